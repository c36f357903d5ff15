/** The photo that is looked at, and where one of the concepts is on it. */

import { CODE_LEVELS } from "../../core/concept_wire";
import { h, setAttribute, setText, show } from "../../core/dom";
import type { AnyModel } from "../../core/model";
import type { LookInfo } from "../../core/strategy_wire";
import { type CellPlane, CellStore, decodeCells } from "../concepts/codec";
import { ConceptOverlay } from "../concepts/overlay";
import type { Layer } from "../concepts/state";
import { fitCanvas } from "../shared/canvas";
import { PhotoStore, type Picture } from "../shared/photos";
import type { Context, Part } from "./context";
import type { Thumbs } from "./hover";
import type { Concept, Shown } from "./state";
import { orderOf } from "./sums";
import { nameOf } from "./words";

/** Share of a concept's scale below which nothing is painted. */
const THRESHOLD = 0.1;

/** What has arrived of the photo that is looked at. */
export class Looked {
  #context: Context;
  #photos: PhotoStore;
  #planes = new CellStore();
  #overlay = new ConceptOverlay();

  constructor(context: Context) {
    this.#context = context;
    const model = context.model as unknown as AnyModel;
    this.#photos = new PhotoStore(model, context.signal, () => context.act.redraw());
  }

  /** What there is of a photo; null until it has arrived. */
  of({ here, points }: Shown): Partial<LookInfo> | null {
    const look = this.#context.model.get("_look");
    const name = here === null ? "" : (points?.names[here] ?? "");
    return look?.image === name && look.photo !== undefined ? look : null;
  }

  picture(look: Partial<LookInfo> | null): Picture | null {
    return this.#photos.of(look?.photo);
  }

  /** Where a concept is on it; null where that is not known. */
  plane(look: Partial<LookInfo> | null, concept: Concept | null): CellPlane | null {
    const { maps, grid } = look ?? {};
    if (!concept || !maps?.byteLength || !grid) return null;
    return this.#planes.get(maps, String(concept.row), (bytes) => decodeCells(bytes, grid, concept.row, 1));
  }

  /** Paints the photo on all of a canvas, muted under a concept. */
  paint(canvas: HTMLCanvasElement, picture: Picture, concept: Concept | null, plane: CellPlane | null): void {
    const brush = canvas.getContext("2d");
    if (!brush) return;
    const area = [0, 0, canvas.width, canvas.height] as const;
    brush.imageSmoothingQuality = "high";
    brush.drawImage(plane ? picture.muted : picture.bitmap, ...area);
    if (!concept || !plane) return;
    const layer = { concept, plane, top: 1, present: true } as unknown as Layer; // its hue and texture are read
    this.#overlay.paint([layer], THRESHOLD, true, this.#context.state.dark);
    brush.drawImage(this.#overlay.canvas, ...area);
  }
}

/** Whether a concept is nowhere on a photo. */
export function isAbsent(plane: CellPlane): boolean {
  return plane.values.every((value) => value < 1 / CODE_LEVELS);
}

/** Makes the photo. */
export function makeLook({ state, act, signal }: Context, looked: Looked, thumbs: Thumbs): Part {
  const canvas = h("canvas", { "aria-hidden": "true" });
  const frame = h("div", { class: "pic", role: "img" }, canvas);
  const caption = h("figcaption", { class: "sm mut" });
  const node = h("figure", { class: "look" }, frame, caption);
  const observer = new ResizeObserver(() => act.redraw());
  observer.observe(frame);
  signal.addEventListener("abort", () => observer.disconnect(), { once: true });

  return {
    node,
    update(shown) {
      const { here, points, compared, concepts, graph } = shown;
      const look = looked.of(shown);
      const mapped = state.mapped ?? (compared ? (orderOf(compared)[0] ?? null) : null);
      const concept = mapped === null ? null : (concepts[mapped] ?? null);
      const plane = looked.plane(look, concept);
      const absent = plane !== null && isAbsent(plane);
      show(node, here !== null);
      if (here === null) return;
      const picture = looked.picture(look);
      if (picture) {
        frame.style.aspectRatio = `${picture.bitmap.width} / ${picture.bitmap.height}`;
        fitCanvas(canvas, frame);
        looked.paint(canvas, picture, concept, absent ? null : plane);
      } else frame.style.aspectRatio = "1";
      show(frame, picture !== null || thumbs.paint(canvas, here, 128));
      const reason = look ? look.reason : graph?.no_photos || graph?.no_maps;
      const where =
        concept && plane
          ? absent
            ? `${nameOf(concept)} is absent.`
            : `Where ${nameOf(concept)} is: its code at each place`
          : "";
      setText(caption, where || (reason ?? ""));
      setAttribute(frame, "aria-label", `${points?.names[here] ?? ""}. ${where}`);
    },
  };
}
