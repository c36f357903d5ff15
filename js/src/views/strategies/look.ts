/** The photo that is looked at, and where one of the concepts is on it. */

import { CODE_LEVELS } from "../../core/concept_wire";
import { h, setAttribute, setText, show } from "../../core/dom";
import type { AnyModel } from "../../core/model";
import { type CellPlane, CellStore, decodeCells } from "../concepts/codec";
import { ConceptOverlay } from "../concepts/overlay";
import type { Layer } from "../concepts/state";
import { fitCanvas } from "../shared/canvas";
import { PhotoStore } from "../shared/photos";
import type { Context, Part } from "./context";
import type { Thumbs } from "./hover";
import type { Concept } from "./state";
import { orderOf } from "./sums";
import { nameOf } from "./words";

/** Share of a concept's scale below which nothing is painted. */
const THRESHOLD = 0.1;

/** Makes the photo. */
export function makeLook({ model, state, act, signal }: Context, thumbs: Thumbs): Part {
  const canvas = h("canvas", { "aria-hidden": "true" });
  const frame = h("div", { class: "pic", role: "img" }, canvas);
  const caption = h("figcaption", { class: "sm mut" });
  const node = h("figure", { class: "look" }, frame, caption);
  const photos = new PhotoStore(model as unknown as AnyModel, signal, () => act.redraw());
  const overlay = new ConceptOverlay();
  const planes = new CellStore();
  const observer = new ResizeObserver(() => act.redraw());
  observer.observe(frame);
  signal.addEventListener("abort", () => observer.disconnect(), { once: true });

  function paint(bytes: DataView | undefined, concept: Concept | null, plane: CellPlane | null): boolean {
    const picture = photos.of(bytes);
    if (!picture) return false;
    const { bitmap, muted } = picture;
    frame.style.aspectRatio = `${bitmap.width} / ${bitmap.height}`;
    fitCanvas(canvas, frame);
    const brush = canvas.getContext("2d");
    if (!brush) return true;
    brush.imageSmoothingQuality = "high";
    brush.drawImage(plane ? muted : bitmap, 0, 0, canvas.width, canvas.height);
    if (concept && plane) {
      const layer = { concept, plane, top: 1, present: true } as unknown as Layer; // its hue and texture are read
      overlay.paint([layer], THRESHOLD, true, state.dark);
      brush.drawImage(overlay.canvas, 0, 0, canvas.width, canvas.height);
    }
    return true;
  }

  return {
    node,
    update({ here, points, compared, concepts, graph }) {
      const look = model.get("_look");
      const name = here === null ? "" : (points?.names[here] ?? "");
      const arrived = look?.image === name && look.photo !== undefined;
      const mapped = state.mapped ?? (compared ? (orderOf(compared)[0] ?? null) : null);
      const concept = mapped === null ? null : (concepts[mapped] ?? null);
      const maps = arrived && look.maps?.byteLength && look.grid ? look.maps : undefined;
      const plane =
        concept && maps
          ? planes.get(maps, String(concept.row), (bytes) =>
              decodeCells(bytes, look?.grid as [number, number], concept.row, 1),
            )
          : null;
      const absent = plane?.values.every((value) => value < 1 / CODE_LEVELS) ?? false;
      show(node, here !== null);
      if (here === null) return;
      const painted =
        arrived && look.photo?.byteLength ? paint(look.photo, concept, absent ? null : plane) : false;
      if (!painted) {
        frame.style.aspectRatio = "1";
        show(frame, thumbs.paint(canvas, here, 128));
      } else show(frame, true);
      const reason = arrived ? look.reason : graph?.no_photos || graph?.no_maps;
      const where =
        concept && plane
          ? absent
            ? `${nameOf(concept)} is absent.`
            : `Where ${nameOf(concept)} is: its code at each place`
          : "";
      setText(caption, where || (reason ?? ""));
      setAttribute(frame, "aria-label", `${name}. ${where}`);
    },
  };
}
