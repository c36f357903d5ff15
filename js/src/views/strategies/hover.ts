/** What is told of the photo under the pointer, or of the one that the keys have walked to. */
import { h, setText, show } from "../../core/dom";
import { percent } from "../../core/format";
import type { AnyModel } from "../../core/model";
import type { StrategyTraits } from "../../core/strategy_wire";
import { Sprite } from "../concepts/sprite";
import { paintThumbnail } from "../shared/canvas";
import { Gallery } from "../shared/gallery";
import { decodeJpeg } from "../shared/jpeg";
import { makeChip, paintLetter } from "./chip";
import type { Context } from "./context";
import type { Spot } from "./geometry";
import type { Shown } from "./state";
import { readingWords, share } from "./words";

/** Side of the picture on the card, in pixels of the page. */
const SIDE = 96;
/** Room between photo and card. */
const AWAY = 14;

/** Small pictures: those that the page holds, and those that Python sends. */
export class Thumbs {
  #model: AnyModel<StrategyTraits>;
  #sprite: Sprite;
  #gallery: Gallery<{ name?: string }>;
  #places = new WeakMap<object, Map<number, number>>();
  #decoded = new Map<DataView, ImageBitmap | null>();
  #ready: () => void;
  #signal: AbortSignal;

  constructor({ model, kernel, signal, act }: Context) {
    this.#model = model;
    this.#signal = signal;
    this.#ready = () => act.redraw();
    this.#sprite = new Sprite(signal, this.#ready);
    this.#gallery = new Gallery(kernel, this.#ready);
    signal.addEventListener(
      "abort",
      () => {
        for (const bitmap of this.#decoded.values()) bitmap?.close();
        this.#decoded.clear();
      },
      { once: true },
    );
  }

  /** Paints a photo; false if it is not there yet, or not at all. */
  paint(canvas: HTMLCanvasElement, row: number, size: number): boolean {
    this.#gallery.follow(this.#model.get("_strip"));
    const sent = this.#gallery.get(row);
    if (!sent) this.#gallery.want([row]);
    const bitmap = sent?.bytes ? this.#decode(sent.bytes) : null;
    if (bitmap) {
      paintThumbnail(canvas, bitmap, size);
      return true;
    }
    return this.#paintHeld(canvas, row, size);
  }

  #paintHeld(canvas: HTMLCanvasElement, row: number, size: number): boolean {
    const info = this.#model.get("_sprite");
    const bitmap = this.#sprite.get(info?.data);
    if (!bitmap || !info?.rows || !info.side || !info.columns) return false;
    let places = this.#places.get(info.rows);
    if (!places) {
      places = new Map(info.rows.map((photo, place) => [photo, place]));
      this.#places.set(info.rows, places);
    }
    const place = places.get(row);
    if (place === undefined) return false;
    const { side, columns } = info;
    canvas.width = canvas.height = size;
    const brush = canvas.getContext("2d");
    if (!brush) return false;
    brush.imageSmoothingQuality = "high";
    brush.drawImage(
      bitmap,
      (place % columns) * side,
      Math.floor(place / columns) * side,
      side,
      side,
      0,
      0,
      size,
      size,
    );
    return true;
  }

  #decode(bytes: DataView): ImageBitmap | null {
    const known = this.#decoded.get(bytes);
    if (known !== undefined) return known;
    this.#decoded.set(bytes, null);
    decodeJpeg(bytes)
      .then((bitmap) => {
        if (this.#signal.aborted) return bitmap.close();
        this.#decoded.set(bytes, bitmap);
        this.#ready();
      })
      .catch((error) => console.warn("[whatwhere] a photo cannot be read", error));
    return null;
  }
}

export interface Card {
  node: HTMLElement;
  /** Tells of a photo at a place of the frame; of none with null. */
  update(shown: Shown, at: Spot | null, row: number, frame: HTMLElement): void;
}

/** Makes the card. */
export function makeCard({ model, state }: Context, thumbs: Thumbs): Card {
  const canvas = h("canvas", { "aria-hidden": "true" });
  const name = h("b");
  const reading = h("p");
  const top = h("p", { class: "tops" });
  const node = h(
    "div",
    { class: "card", "aria-hidden": "true", hidden: true },
    canvas,
    h("div", {}, name, reading, top),
  );
  let told = "";
  return {
    node,
    update(shown, at, row, frame) {
      const { points, concepts } = shown;
      show(node, at !== null && points !== null);
      if (!at || !points) return;
      show(canvas, thumbs.paint(canvas, row, SIDE * 2));
      const classes = model.get("_classes") ?? [];
      const key = `${row}/${state.dark}/${points.count}`;
      if (key !== told) {
        told = key;
        setText(name, points.names[row] ?? "");
        setText(reading, `${readingWords(points, row, classes)}, ${percent(points.probability(row))}`);
        top.replaceChildren(
          ...points.top(row).flatMap(({ concept, share: of }) => {
            const each = concepts[concept];
            if (!each || of === 0) return [];
            const chip = makeChip();
            paintLetter(chip, each, state.dark);
            return [h("span", {}, chip, share(of))];
          }),
        );
      }
      place(node, at, frame);
    },
  };
}

/** Puts the card beside a photo, inside the frame. */
function place(node: HTMLElement, at: Spot, frame: HTMLElement): void {
  const [wide, high] = [node.offsetWidth, node.offsetHeight];
  const right = at.x + AWAY + wide <= frame.clientWidth;
  const left = right ? at.x + AWAY : Math.max(0, at.x - AWAY - wide);
  const top = Math.max(4, Math.min(frame.clientHeight - high - 4, at.y - high / 2));
  node.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
}
