/** Thumbnails of the images. */
import { h, setAttribute, show } from "../../core/dom";
import type { Gallery } from "../shared/gallery";
import type { PhotoStore } from "../shared/photos";
import { makeThumbnails } from "../shared/thumbnails";
import type { Context, Part } from "./context";
import { statusOf } from "./state";
import { progressOf, thumbnailLabel } from "./words";

/** Makes the strip, with what adds to it; for a single image there are no thumbnails. */
export function makeStrip(
  context: Context,
  photos: PhotoStore,
  gallery: Gallery<object>,
  adding: HTMLElement,
): Part {
  const { model } = context;
  const badge = () => h("i", { "aria-hidden": "true" });
  const thumbnails = makeThumbnails(context, gallery, "Images", badge);
  const { group, more } = thumbnails;
  const node = h("section", { class: "images" }, h("h2", {}, "Images"), group, more, adding);

  return {
    node,
    update(shown) {
      const images = model.get("_images") ?? [];
      show(group, images.length > 1);
      show(node, images.length > 1 || context.kernel.state !== "saved");
      if (images.length < 2) return;
      const columns = Math.max(2, Math.min(4, Math.ceil(images.length / 2)));
      group.style.setProperty("--columns", String(columns));
      const stored = model.get("_photos") ?? [];
      const large = model.get("_large") ?? {};
      const places = images.flatMap(({ name }, place) =>
        stored[place]?.byteLength || large[name] || stored.length === 0 ? [place] : [],
      );
      const held = new Set(places);
      const nameOf = (place: number) => images[place]?.name ?? "";
      thumbnails.update({
        strip: model.get("_strip"),
        held,
        here: shown.place,
        describe(place) {
          const name = nameOf(place);
          const label = thumbnailLabel(name, statusOf(model, name), model.get("_maps")?.[name]);
          return { name, label, title: name, bitmap: (held.has(place) && photos.get(place)?.bitmap) || null };
        },
        dress(button, place) {
          const status = statusOf(model, nameOf(place));
          const progress = status?.state === "computing" ? 100 * progressOf(status) : 0;
          setAttribute(button, "data-state", status?.state ?? "empty");
          button.style.setProperty("--v", `${progress}%`);
        },
      });
    },
  };
}
