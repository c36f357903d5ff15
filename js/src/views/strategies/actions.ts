/** What people do, as changes of traits and messages. Drawing comes before saving: it must not wait. */
import type { AnyModel } from "../../core/model";
import type { Chosen, Selection } from "../../core/selection";
import { STRATEGY_PUBLIC, type StrategyPublic, type StrategyTraits } from "../../core/strategy_wire";
import type { Redraw } from "../../core/timing";
import { TraitWriter } from "../../core/writer";
import type { Actions, StrategyKernel } from "./context";
import type { Shown, ViewState } from "./state";

/** Makes the actions. */
export function makeActions(
  model: AnyModel<StrategyTraits>,
  state: ViewState,
  kernel: StrategyKernel,
  selection: Selection,
  redraw: Redraw,
  shown: () => Shown,
  say: (text: string) => void,
  signal: AbortSignal,
): Actions {
  const writer = new TraitWriter<StrategyPublic>(
    model as unknown as AnyModel,
    kernel,
    signal,
    STRATEGY_PUBLIC,
  );

  /** Selects for all views of the selection; where the host finds none, for this one. */
  function select<K extends "selected_images" | "selected_concepts">(
    name: K,
    value: StrategyPublic[K],
    chosen: Chosen,
  ): void {
    if (selection.state === "shared") {
      selection.set(chosen);
      kernel.askedBeside();
    } else writer.set(name, value);
    redraw.now();
    writer.save();
  }
  function selectImages(rows: readonly number[]): void {
    const { points } = shown();
    if (!points) return;
    const images = rows.map((row) => points.names[row] as string);
    select("selected_images", images, { images });
  }
  function set<K extends keyof StrategyPublic>(name: K, value: StrategyPublic[K]): void {
    writer.set(name, value);
    redraw.now();
    writer.save();
  }

  return {
    choose(rows, add) {
      state.mapped = null;
      const before = shown().chosen;
      const here = before[0] ?? -1;
      // what is looked at stays so where it is among them
      if (!add)
        return selectImages(rows.includes(here) ? [here, ...rows.filter((row) => row !== here)] : rows);
      const [one] = rows;
      const had = rows.length === 1 && before.includes(one as number);
      selectImages(had ? before.filter((row) => row !== one) : [...new Set([...before, ...rows])]);
    },
    lookAt(row) {
      state.mapped = null;
      selectImages([row, ...shown().chosen.filter((each) => each !== row)]);
    },
    chooseConcept(id, add) {
      const before = model.get("selected_concepts") ?? [];
      const had = before.includes(id);
      const concepts = add
        ? had
          ? before.filter((each) => each !== id)
          : [...before, id]
        : had && before.length === 1
          ? []
          : [id];
      select("selected_concepts", concepts, { concepts });
    },
    clear() {
      const { chosenConcepts, chosen } = shown();
      if (chosenConcepts.length > 0) select("selected_concepts", [], { concepts: [] });
      else if (chosen.length > 0) selectImages([]);
    },
    setRule: (rule) => set("by", rule),
    setCounting: (counting) => set("counting", counting),
    toggleMistakes: () => set("only_mistakes", !model.get("only_mistakes")),
    toggleLasso() {
      state.lassoing = !state.lassoing;
      redraw.now();
    },
    showMap(row) {
      state.mapped = row;
      redraw.now();
    },
    say,
    start: () => kernel.tell("start", {}),
    stop: () => kernel.tell("stop", {}),
    redraw: () => redraw.request(),
  };
}
