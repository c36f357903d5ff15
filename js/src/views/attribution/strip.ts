/** Thumbnails of the images. */
import { h, on, patchChildren, setAttribute, show } from "../../core/dom";
import { walkWithArrows } from "../../core/roving";
import { paintThumbnail } from "../shared/canvas";
import type { PhotoStore } from "../shared/photos";
import type { Context, Part } from "./context";
import { statusOf } from "./state";
import { progressOf, thumbnailLabel } from "./words";

const SIZE = 80;

/** Makes the strip, with what adds to it; for a single image there are no thumbnails. */
export function makeStrip(context: Context, photos: PhotoStore, adding: HTMLElement): Part {
  const { model, act, signal } = context;
  const group = h("div", { class: "strip", role: "radiogroup", "aria-label": "Images" });
  const node = h("section", { class: "images" }, h("h2", {}, "Images"), group, adding);
  const painted = new WeakMap<HTMLCanvasElement, ImageBitmap>();

  walkWithArrows(group, (button) => act.selectImage(button.dataset.key ?? ""), signal);
  on(
    group,
    "click",
    (event) => {
      const button = (event.target as Element).closest<HTMLElement>("[data-key]");
      if (button) act.selectImage(button.dataset.key ?? "");
    },
    signal,
  );

  const make = () =>
    h(
      "button",
      { type: "button", role: "radio" },
      h("canvas", { "aria-hidden": "true" }),
      h("i", { "aria-hidden": "true" }),
    );

  return {
    node,
    update(shown) {
      const images = model.get("_images") ?? [];
      show(group, images.length > 1);
      show(node, images.length > 1 || context.kernel.state !== "saved");
      if (images.length < 2) return;
      const buttons = patchChildren(
        group,
        images.map(({ name }) => name),
        make,
      );
      group.style.setProperty("--columns", String(Math.max(2, Math.min(4, Math.ceil(images.length / 2)))));
      buttons.forEach((button, place) => {
        const name = images[place]?.name ?? "";
        const status = statusOf(model, name);
        const here = place === shown.place;
        setAttribute(button, "aria-checked", here ? "true" : "false");
        setAttribute(button, "tabindex", here ? 0 : -1);
        setAttribute(button, "aria-label", thumbnailLabel(name, status, model.get("_maps")?.[name]));
        setAttribute(button, "title", name);
        setAttribute(button, "data-state", status?.state ?? "empty");
        button.style.setProperty(
          "--v",
          status?.state === "computing" ? `${100 * progressOf(status)}%` : "0%",
        );
        const canvas = button.firstElementChild as HTMLCanvasElement;
        const bitmap = photos.get(place)?.bitmap;
        if (!bitmap || painted.get(canvas) === bitmap) return;
        paintThumbnail(canvas, bitmap, 2 * SIZE);
        painted.set(canvas, bitmap);
      });
    },
  };
}
