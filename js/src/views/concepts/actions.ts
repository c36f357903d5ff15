/** What people do, as changes of traits and messages. Drawing comes before saving: it must not wait. */
import { CONCEPT_PUBLIC, type ConceptPublic, type ConceptTraits } from "../../core/concept_wire";
import type { AnyModel } from "../../core/model";
import type { Chosen, Selection } from "../../core/selection";
import { debounce, type Redraw } from "../../core/timing";
import { TraitWriter } from "../../core/writer";
import type { Actions, ConceptKernel } from "./context";
import type { Edit, History } from "./history";
import type { ViewState } from "./state";
import { ADD_ANOTHER, letters } from "./words";

/** Time after the last move of a slider until its value is saved, in milliseconds. */
const SAVE_AFTER = 150;

/** Replaces, adds or, with an empty text, removes an entry. */
function withEntry(dict: Record<string, string>, id: number, text: string): Record<string, string> {
  const { [id]: _, ...rest } = dict;
  return text ? { ...rest, [id]: text } : rest;
}

function toggled(list: readonly number[], id: number): number[] {
  return list.includes(id) ? list.filter((each) => each !== id) : [...list, id];
}

/** Makes the actions. */
export function makeActions(
  model: AnyModel<ConceptTraits>,
  state: ViewState,
  history: History,
  kernel: ConceptKernel,
  selection: Selection,
  redraw: Redraw,
  signal: AbortSignal,
): Actions {
  const writer = new TraitWriter<ConceptPublic>(model as unknown as AnyModel, kernel, signal, CONCEPT_PUBLIC);
  const saveSoon = debounce(() => writer.save(), SAVE_AFTER, signal);
  const groups = () => model.get("merged") ?? [];
  const leadOf = (id: number) => groups().find((ids) => ids.includes(id))?.[0] ?? id;
  const selected = () => [...new Set((model.get("selected_concepts") ?? []).map(leadOf))];
  const letterOf = (id: number) => {
    const bank = model.get("_bank");
    return bank.letters?.[bank.ids?.indexOf(id) ?? -1] ?? String(id);
  };

  /** Selects for all views of the selection; where the host finds none, for this one. */
  function choose<K extends "selected_concepts" | "selected_image">(
    name: K,
    value: ConceptPublic[K],
    chosen: Chosen,
  ): void {
    if (selection.state === "shared") {
      selection.set(chosen);
      kernel.askedBeside();
    } else writer.set(name, value);
  }
  function select(ids: number[]): void {
    state.hint = "";
    if (ids.length === 0) state.opened ??= selected().at(-1) ?? null; // what is told of below stays
    choose("selected_concepts", ids, { concepts: ids });
    redraw.now();
    writer.save();
  }
  function apply({ rank, ...edit }: Edit): void {
    state.hint = "";
    for (const [name, value] of Object.entries(edit)) writer.set(name as keyof typeof edit, value);
    redraw.now();
    writer.save();
    if (rank) void askRank(rank);
  }
  function change(edit: Omit<Edit, "rank">, words: string): void {
    const before = Object.keys(edit).map((name) => [name, model.get(name as keyof typeof edit)]);
    history.add(Object.fromEntries(before), edit, words);
    apply(edit);
  }
  /** Asks for a number of concepts; true once they are there. The latest request wins. */
  async function askRank(count: number): Promise<boolean> {
    state.rank = count;
    state.hint = "";
    redraw.now();
    const reply = await kernel.ask("rank", { concepts: count });
    if (signal.aborted) return false;
    if (state.rank === count) state.rank = null;
    if (reply.kind === "refused" && !reply.superseded) state.hint = reply.message;
    redraw.request();
    return reply.kind === "applied";
  }

  return {
    open(id) {
      state.opened = id;
      state.reading = null;
      select([id]);
    },
    toggleConcept(id) {
      if (!selected().includes(id)) state.opened = id;
      select(toggled(selected(), id));
    },
    clear: () => select([]),
    selectImage(name) {
      if (name === model.get("selected_image")) return;
      choose("selected_image", name, { images: [name] });
      redraw.now();
      writer.save();
    },
    setKind(kind) {
      state.reading = null;
      writer.set("map_kind", kind);
      redraw.now();
      writer.save();
    },
    setTab(tab) {
      state.tab = tab;
      redraw.now();
    },
    adjust(name, value) {
      writer.set(name, value);
      redraw.request();
      saveSoon();
    },
    toggle(name) {
      state[name] = !state[name];
      redraw.now();
    },
    scale({ parts }, factor) {
      const scales = { ...model.get("scales") };
      for (const { id } of parts) {
        if (factor === 1) delete scales[id];
        else scales[id] = factor;
      }
      writer.set("scales", scales);
      redraw.request();
      saveSoon();
    },
    resetScales() {
      writer.set("scales", {});
      redraw.now();
      writer.save();
    },
    startRenaming(id, where) {
      state.renaming = { id, where };
      redraw.now();
    },
    rename(id, name) {
      state.renaming = null;
      const names = model.get("names") ?? {};
      if (name === null || name === (names[id] ?? "")) redraw.now();
      else change({ names: withEntry(names, id, name) }, `name of ${letterOf(id)}`);
    },
    note(id, text) {
      const notes = model.get("notes") ?? {};
      const kept = text.trim();
      if (kept !== (notes[id] ?? ""))
        change({ notes: withEntry(notes, id, kept) }, `note on ${letterOf(id)}`);
    },
    toggleHidden(id) {
      const hidden = model.get("hidden") ?? [];
      const words = hidden.includes(id) ? `showing ${letterOf(id)}` : `hiding ${letterOf(id)}`;
      if (!hidden.includes(id) && selected().includes(id)) {
        const rest = toggled(selected(), id);
        choose("selected_concepts", rest, { concepts: rest });
      }
      change({ hidden: toggled(hidden, id) }, words);
    },
    togglePinned(id) {
      const pinned = model.get("pinned") ?? [];
      const words = pinned.includes(id) ? `unpinning ${letterOf(id)}` : `pinning ${letterOf(id)}`;
      change({ pinned: toggled(pinned, id) }, words);
    },
    merge(concepts) {
      const order = [...concepts].sort((a, b) => b.importance - a.importance);
      const ids = order.flatMap(({ parts }) => parts.map(({ id }) => id));
      if (concepts.length < 2) {
        state.hint = ADD_ANOTHER;
        return redraw.now();
      }
      const rest = groups().filter(([first]) => !ids.includes(first ?? -1));
      change({ merged: [...rest, ids] }, `merging ${letters(order)}`);
      state.opened = ids[0] ?? null;
      select([...ids.slice(0, 1), ...selected().filter((id) => !ids.includes(id))]);
    },
    takeApart(concept) {
      if (concept.parts.length < 2) return;
      const rest = groups().filter(([first]) => first !== concept.id);
      change({ merged: rest }, `taking ${letters([concept])} apart`);
    },
    async setRank(count) {
      const before = model.get("_bank").ids?.length;
      if (count !== before && before && (await askRank(count)))
        history.add({ rank: before }, { rank: count }, `${count} instead of ${before} concepts`);
      redraw.request();
    },
    undo() {
      const edit = state.rank === null ? history.undo() : null;
      if (edit) apply(edit);
    },
    redo() {
      const edit = state.rank === null ? history.redo() : null;
      if (edit) apply(edit);
    },
    setCards(kind) {
      writer.set("card_kind", kind);
      redraw.now();
      writer.save();
    },
    async grow(on) {
      state.hint = "";
      const reply = await kernel.ask("grow", { on });
      if (signal.aborted || reply.kind !== "refused") return;
      state.hint = reply.message;
      redraw.request();
    },
    start: () => kernel.tell("start", {}),
    stop: () => kernel.tell("stop", {}),
    redraw: () => redraw.request(),
  };
}
