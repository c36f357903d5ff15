/** Maps side by side on the same photo: of several methods, or layers of one. */
import { h, on, patchChildren, setText, show } from "../../core/dom";
import type { PhotoStore } from "../shared/photos";
import type { Saver, Snapshot } from "../shared/save";
import type { Context, Part } from "./context";
import { joinSnapshots } from "./multiples";
import { makePicture, type PicturePart } from "./picture";
import { LAYERS, layersOf, type Shown, type ViewState } from "./state";
import { panelLabel, panelWords } from "./words";

/** Most panels in a line: four stand two by two. */
const COLUMNS = [1, 1, 2, 3, 2, 3];

type Grid = readonly [number, number];

/** The cell of a grid in which the middle of another grid's cell lies. */
export function cellOn(cell: number, [rows, columns]: Grid, [otherRows, otherColumns]: Grid): number {
  const row = Math.floor(((Math.floor(cell / columns) + 0.5) / rows) * otherRows);
  return row * otherColumns + Math.floor((((cell % columns) + 0.5) / columns) * otherColumns);
}

/** The view's state as a panel has it: the place that is read, on the panel's own grid. */
function stateOn(state: ViewState, grid: () => Grid | null): ViewState {
  return new Proxy(state, {
    get(all, name: keyof ViewState) {
      const { reading, grid: from } = all;
      if (name !== "reading" || typeof reading !== "number") return all[name];
      const to = grid();
      return from && to ? cellOn(reading, from, to) : null;
    },
    set(all, name, value) {
      if (name === "reading") all.grid = grid();
      return Reflect.set(all, name, value);
    },
  });
}

interface Panel {
  picture: PicturePart;
  update(shown: Shown): void;
}

function makePanel(context: Context, photos: PhotoStore, saver: Saver): Panel {
  let shown: Shown | null = null;
  const { model, act, signal, state } = context;
  const open = () => {
    const layer = LAYERS.find(([, label]) => layersOf(model).length > 0 && label === shown?.label)?.[0];
    if (layer) act.layOut([layer]);
    else act.choose("selected_method", shown?.label ?? "");
  };
  const own: Context = {
    ...context,
    act: { ...act, findPartners: open },
    state: stateOn(state, () => (shown?.plane ? [shown.plane.rows, shown.plane.columns] : null)),
  };
  const picture = makePicture(own, photos, saver, panelLabel);
  const name = h("button", { class: "link", type: "button", title: "Show this alone" });
  const words = h("p", { class: "mut sm" });
  picture.node.prepend(h("figcaption", {}, name, words));
  on(name, "click", open, signal);
  return {
    picture,
    update(now) {
      shown = now;
      setText(name, now.label);
      setText(words, panelWords(now));
      picture.update(now);
    },
  };
}

export interface PanelsPart extends Part {
  readonly drawn: boolean;
  /** What is seen of all of them; null where none are shown, or they have no photo. */
  snapshot(): Snapshot | null;
}

/** Makes the panels, as many as are wanted. */
export function makePanels(context: Context, photos: PhotoStore, saver: Saver): PanelsPart {
  const node = h("div", { class: "panels", role: "group", "aria-label": "Maps side by side" });
  const made = new Map<string, Panel>();
  let shown: readonly Shown[] = [];
  return {
    node,
    snapshot() {
      const parts = shown.map((_, place) => made.get(String(place))?.picture.snapshot() ?? null);
      return joinSnapshots(context, shown, parts, COLUMNS[shown.length] ?? 3, node);
    },
    update(_, panels) {
      shown = panels;
      show(node, panels.length > 0);
      const wide = COLUMNS[panels.length] ?? 3;
      node.style.setProperty("--wide", String(wide));
      const keys = panels.map((_, place) => String(place));
      patchChildren(node, keys, (key) => {
        const panel = made.get(key) ?? makePanel(context, photos, saver);
        made.set(key, panel);
        return panel.picture.node;
      });
      panels.forEach((shown, place) => {
        made.get(String(place))?.update({ ...shown, partners: null });
      });
    },
    get drawn() {
      return [...made.values()].every(({ picture }) => picture.drawn);
    },
  };
}
