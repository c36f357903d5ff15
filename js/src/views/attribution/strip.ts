/** Thumbnails of the images. */
import { h, setAttribute, show } from "../../core/dom";
import type { Gallery } from "../shared/gallery";
import type { PhotoStore } from "../shared/photos";
import { makeThumbnails } from "../shared/thumbnails";
import type { Context, Part } from "./context";
import { progressOf, thumbnailLabel } from "./words";

/** Makes the strip; it hides itself for a single image. */
export function makeStrip(context: Context, photos: PhotoStore, gallery: Gallery<object>): Part {
  const { model } = context;
  const badge = () => h("i", { "aria-hidden": "true" });
  const thumbnails = makeThumbnails(context, gallery, "Images", badge);
  const node = h("section", { class: "images" }, h("h2", {}, "Images"), thumbnails.group, thumbnails.more);

  return {
    node,
    update(shown) {
      const images = model.get("_images") ?? [];
      show(node, images.length > 1);
      if (images.length < 2) return;
      const columns = Math.max(2, Math.min(4, Math.ceil(images.length / 2)));
      thumbnails.group.style.setProperty("--columns", String(columns));
      const stored = model.get("_photos") ?? [];
      const large = model.get("_large") ?? {};
      const places = images.flatMap(({ name }, place) =>
        stored[place]?.byteLength || large[name] || stored.length === 0 ? [place] : [],
      );
      const held = new Set(places);
      const statusOf = (place: number) => model.get("_status")?.[images[place]?.name ?? ""];
      thumbnails.update({
        strip: model.get("_strip"),
        held,
        here: shown.place,
        describe(place) {
          const name = images[place]?.name ?? "";
          const label = thumbnailLabel(name, statusOf(place), model.get("_maps")?.[name]);
          return { name, label, title: name, bitmap: (held.has(place) && photos.get(place)?.bitmap) || null };
        },
        dress(button, place) {
          const status = statusOf(place);
          const progress = status?.state === "computing" ? 100 * progressOf(status) : 0;
          setAttribute(button, "data-state", status?.state ?? "empty");
          button.style.setProperty("--v", `${progress}%`);
        },
      });
    },
  };
}
