/** Thumbnails of the photos. */
import { h, on, patchChildren, setAttribute, setText, show } from "../../core/dom";
import { walkWithArrows } from "../../core/roving";
import { paintThumbnail } from "../shared/canvas";
import type { PhotoStore } from "../shared/photos";
import type { Context, Part } from "./context";
import { thumbnailLabel } from "./words";

const SIZE = 80;

/** Makes the strip, with what adds to it; for a single photo there are no thumbnails. */
export function makeStrip(context: Context, photos: PhotoStore, adding: HTMLElement): Part {
  const { model, act, signal } = context;
  const group = h("div", { class: "strip", role: "radiogroup", "aria-label": "Photos" });
  const count = h("span", { class: "mut" });
  const node = h("section", { class: "images" }, h("h2", {}, "Photos ", count), group, adding);
  const painted = new WeakMap<HTMLCanvasElement, ImageBitmap>();
  let last = "";

  const choose = (button: Element | null) => {
    const name = (button as HTMLElement | null)?.dataset.key;
    if (name !== undefined) act.selectImage(name);
  };
  walkWithArrows(group, choose, signal);
  on(group, "click", (event) => choose((event.target as Element).closest("[data-key]")), signal);

  const make = () =>
    h(
      "button",
      { type: "button", role: "radio" },
      h("canvas", { "aria-hidden": "true" }),
      h("span", { class: "wrong", "aria-hidden": "true", hidden: true }, "×"),
    );

  /** Brings the photo that is shown into sight, without moving the page. */
  function follow(button: HTMLElement | undefined): void {
    if (!button || button.dataset.key === last) return;
    last = button.dataset.key ?? "";
    const [mine, box] = [button.getBoundingClientRect(), group.getBoundingClientRect()];
    if (mine.top < box.top) group.scrollTop -= box.top - mine.top + 6;
    if (mine.bottom > box.bottom) group.scrollTop += mine.bottom - box.bottom + 6;
  }

  return {
    node,
    update(shown) {
      const images = model.get("_images") ?? [];
      show(group, images.length > 1);
      show(node, images.length > 1 || context.kernel.state !== "saved");
      setText(count, "");
      if (images.length < 2) return;
      const all = shown.bank?.quality.n_images ?? 0;
      setText(count, all > images.length ? `${images.length} of ${all}` : String(images.length));
      const names = images.map(({ name }) => name);
      const buttons = patchChildren(group, names, make);
      buttons.forEach((button, place) => {
        const image = images[place];
        if (!image) return;
        const here = place === shown.place;
        setAttribute(button, "aria-checked", here ? "true" : "false");
        setAttribute(button, "tabindex", here ? 0 : -1);
        setAttribute(button, "aria-label", thumbnailLabel(image));
        setAttribute(button, "title", thumbnailLabel(image));
        show(button.lastElementChild as HTMLElement, image.right === false);
        const canvas = button.firstElementChild as HTMLCanvasElement;
        const bitmap = photos.get(place)?.bitmap;
        if (!bitmap || painted.get(canvas) === bitmap) return;
        paintThumbnail(canvas, bitmap, 2 * SIZE);
        painted.set(canvas, bitmap);
      });
      follow(buttons[shown.place]);
    },
  };
}
