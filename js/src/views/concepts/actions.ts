/** What people do, as changes of traits and messages. Drawing comes before saving: it must not wait. */
import { CONCEPT_PUBLIC, type ConceptPublic, type ConceptTraits } from "../../core/concept_wire";
import type { AnyModel } from "../../core/model";
import type { Chosen, Selection } from "../../core/selection";
import { debounce, type Redraw } from "../../core/timing";
import { TraitWriter } from "../../core/writer";
import type { Actions, ConceptKernel } from "./context";
import type { Edit, History } from "./history";
import type { ViewState } from "./state";

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
  const selected = () => model.get("selected_concepts") ?? [];
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
      kernel.poke();
    } else writer.set(name, value);
  }
  function select(ids: number[]): void {
    choose("selected_concepts", ids, { concepts: ids });
    redraw.now();
    writer.save();
  }
  function apply(edit: Edit): void {
    for (const [name, value] of Object.entries(edit)) writer.set(name as keyof Edit, value);
    redraw.now();
    writer.save();
  }
  function change<K extends keyof Edit & string>(name: K, value: ConceptPublic[K], words: string): void {
    history.add({ [name]: model.get(name) }, { [name]: value }, words);
    apply({ [name]: value });
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
    scale(id, factor) {
      const { [id]: _, ...rest } = model.get("scales") ?? {};
      writer.set("scales", factor === 1 ? rest : { ...rest, [id]: factor });
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
      else change("names", withEntry(names, id, name), `name of ${letterOf(id)}`);
    },
    note(id, text) {
      const notes = model.get("notes") ?? {};
      const kept = text.trim();
      if (kept !== (notes[id] ?? "")) change("notes", withEntry(notes, id, kept), `note on ${letterOf(id)}`);
    },
    toggleHidden(id) {
      const hidden = model.get("hidden") ?? [];
      const words = hidden.includes(id) ? `showing ${letterOf(id)}` : `hiding ${letterOf(id)}`;
      if (!hidden.includes(id) && selected().includes(id)) {
        const rest = toggled(selected(), id);
        choose("selected_concepts", rest, { concepts: rest });
      }
      change("hidden", toggled(hidden, id), words);
    },
    togglePinned(id) {
      const pinned = model.get("pinned") ?? [];
      const words = pinned.includes(id) ? `unpinning ${letterOf(id)}` : `pinning ${letterOf(id)}`;
      change("pinned", toggled(pinned, id), words);
    },
    undo() {
      const edit = history.undo();
      if (edit) apply(edit);
    },
    redo() {
      const edit = history.redo();
      if (edit) apply(edit);
    },
    start: () => kernel.tell("start", {}),
    stop: () => kernel.tell("stop", {}),
    redraw: () => redraw.request(),
  };
}
