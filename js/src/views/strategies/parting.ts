/** The concepts that part two classes most, to be looked at: where they are on the photo, and crops that show them. */
import { h, on, patchChildren, setAttribute, setText, show } from "../../core/dom";
import { paintTiles, Sprite } from "../concepts/sprite";
import { makeChip, paintLetter } from "./chip";
import type { Context, Part } from "./context";
import { isAbsent, type Looked } from "./look";
import type { Concept, Shown } from "./state";
import { type Compared, differenceOf, LEAST, orderOf } from "./sums";
import { cropsWords, nameOf, partingWords } from "./words";

/** Concepts that are shown, and crops of each. */
const [MOST, CROPS] = [3, 4];
/** Side of a crop, and the gap between two, in pixels of the page; two of them are as high as the photo. */
export const [SIDE, GAP] = [56, 2];
const HIGH = 2 * SIDE + GAP;
/** Narrowest and widest photo, as a share of its height. */
const [NARROW, WIDE] = [0.6, 1.5];

interface Cells {
  chip: HTMLElement;
  name: HTMLElement;
  by: HTMLElement;
  here: HTMLCanvasElement;
  crops: HTMLCanvasElement;
  absent: HTMLElement;
}

/** Rows of the concepts to be shown: those that part the classes most, and the one whose map is looked at. */
export function partingRows(compared: Compared, mapped: number | null): number[] {
  const by = (row: number) => Math.abs(differenceOf(compared, row));
  const order = orderOf(compared);
  const least = LEAST * by(order[0] ?? 0);
  const rows = order.slice(0, MOST).filter((row) => by(row) > 0 && by(row) >= least);
  return mapped === null || rows.includes(mapped) ? rows : [...rows, mapped];
}

/** Makes the figures. */
export function makeParting(context: Context, looked: Looked): Part {
  const { model, state, act, signal } = context;
  const list = h("ul", { class: "partings" });
  const about = h("p", { class: "sm mut" });
  const node = h("div", { class: "parting" }, about, list);
  const sprite = new Sprite(signal, () => act.redraw());
  const cells = new WeakMap<Element, Cells>();
  on(
    list,
    "click",
    (event) => {
      const item = (event.target as Element).closest<HTMLElement>("[data-key]");
      if (item) act.showMap(Number(item.dataset.key));
    },
    signal,
  );

  function make(): HTMLElement {
    const [chip, name, by] = [makeChip(), h("b"), h("span", { class: "mut sm" })];
    const here = h("canvas", { class: "here", role: "img" });
    const absent = h("span", { class: "absent sm mut" }, "absent here");
    const crops = h("canvas", { role: "img" });
    const item = h("li", {}, h("p", {}, chip, name, by), h("div", { class: "shots" }, here, absent, crops));
    cells.set(item, { chip, name, by, here, crops, absent });
    return item;
  }

  /** Paints where the concept is on the photo, as large as its crops beside it. */
  function paintHere(
    canvas: HTMLCanvasElement,
    absent: HTMLElement,
    shown: Shown,
    concept: Concept,
  ): boolean {
    const look = looked.of(shown);
    const [picture, plane] = [looked.picture(look), looked.plane(look, concept)];
    const there = plane !== null && !isAbsent(plane);
    show(absent, plane !== null && !there);
    show(canvas, picture !== null && there);
    if (!picture || !there) return plane !== null;
    const ratio = Math.max(NARROW, Math.min(WIDE, picture.bitmap.width / picture.bitmap.height));
    const scale = Math.min(3, window.devicePixelRatio || 1);
    const [width, height] = [Math.round(HIGH * ratio * scale), Math.round(HIGH * scale)];
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    canvas.style.width = `${Math.round(HIGH * ratio)}px`;
    looked.paint(canvas, picture, concept, plane);
    setAttribute(canvas, "aria-label", `Where ${nameOf(concept)} is on this photo`);
    return true;
  }

  function paintCrops(canvas: HTMLCanvasElement, concept: Concept): boolean {
    const { data, side, columns, images } = model.get("_crops") ?? {};
    const from = images?.[concept.row]?.slice(0, CROPS) ?? [];
    const bitmap = sprite.get(data);
    show(canvas, bitmap !== null && from.length > 0);
    if (!bitmap || !side || !columns || !images || from.length === 0) return false;
    const first = images.slice(0, concept.row).reduce((sum, row) => sum + row.length, 0);
    const scale = Math.min(3, window.devicePixelRatio || 1);
    const [across, down] = [Math.ceil(from.length / 2), Math.min(2, from.length)];
    const length = (count: number) => count * SIDE + (count - 1) * GAP;
    const tiles = from.map((_, i) => ({
      at: first + i,
      x: Math.round(Math.floor(i / 2) * (SIDE + GAP) * scale),
      y: Math.round((i % 2) * (SIDE + GAP) * scale),
      side: Math.round(SIDE * scale),
    }));
    const size = [Math.round(length(across) * scale), Math.round(length(down) * scale)] as const;
    paintTiles(canvas, size, bitmap, side, columns, tiles);
    canvas.style.width = `${length(across)}px`;
    const words = cropsWords(concept, from);
    setAttribute(canvas, "aria-label", words);
    setAttribute(canvas, "title", words);
    return true;
  }

  return {
    node,
    update(shown) {
      const { compared, concepts, here } = shown;
      const rows = compared && here !== null ? partingRows(compared, state.mapped) : [];
      const classes = model.get("_classes") ?? [];
      let [cropped, placed] = [false, false];
      const items = patchChildren(list, rows.map(String), make);
      for (const [i, item] of items.entries()) {
        const concept = concepts[rows[i] as number];
        const of = cells.get(item);
        if (!of || !concept || !compared) continue;
        paintLetter(of.chip, concept, state.dark);
        setText(of.name, concept.name);
        setText(of.by, partingWords(compared, concept.row, classes));
        setAttribute(item, "data-mapped", concept.row === (state.mapped ?? rows[0]) || null);
        placed = paintHere(of.here, of.absent, shown, concept) || placed;
        cropped = paintCrops(of.crops, concept) || cropped;
      }
      const parts = [placed && "on this photo", cropped && "in the crops that show it most"];
      setText(about, `What parts the classes most, ${parts.filter(Boolean).join(" and ")}.`);
      show(node, rows.length > 0 && (placed || cropped));
    },
  };
}
