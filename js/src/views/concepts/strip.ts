/** Thumbnails of the photos. */
import type { PhotoInfo } from "../../core/concept_wire";
import { h, setText, show } from "../../core/dom";
import { Gallery } from "../shared/gallery";
import type { PhotoStore } from "../shared/photos";
import { makeThumbnails, type Thumb } from "../shared/thumbnails";
import type { Context, Part } from "./context";
import { thumbnailLabel } from "./words";

/** Makes the strip, with what adds to it; for a single photo there are no thumbnails. */
export function makeStrip(context: Context, photos: PhotoStore, adding: HTMLElement): Part {
  const { model, kernel, act } = context;
  const gallery = new Gallery<PhotoInfo>(kernel, act.redraw);
  const badge = () => h("span", { class: "wrong", "aria-hidden": "true", hidden: true }, "×");
  const thumbnails = makeThumbnails(context, gallery, "Photos", badge);
  const { group, more } = thumbnails;
  const count = h("span", { class: "mut" });
  const node = h("section", { class: "images" }, h("h2", {}, "Photos ", count), group, more, adding);

  return {
    node,
    update(shown) {
      const images = model.get("_images") ?? [];
      const strip = model.get("_strip");
      const total = Math.max(images.length, strip?.total ?? 0);
      const many = total > 1 && images.length > 0;
      show(group, many);
      show(node, many || kernel.state !== "saved");
      setText(count, "");
      if (!many) return;
      /** Places in `_images`, by places in the strip. */
      const held = new Map(images.map(({ place }, at) => [place ?? at, at] as const));
      const infoOf = (place: number): PhotoInfo | undefined =>
        images[held.get(place) ?? -1] ?? gallery.get(place)?.info;
      const describe = (place: number): Thumb | null => {
        const error = gallery.get(place)?.info.error;
        const info = infoOf(place);
        if (!info?.name) return error ? { name: "", label: error, bitmap: null } : null;
        return {
          name: info.name,
          label: thumbnailLabel(info),
          bitmap: photos.get(held.get(place) ?? -1)?.bitmap ?? null,
        };
      };
      const all = Math.max(total, shown.bank?.quality.n_images ?? 0);
      const listed = kernel.state === "alive" || gallery.started ? total : images.length;
      setText(count, all > listed ? `${listed} of ${all}` : String(listed));
      thumbnails.update({
        strip,
        held: new Set(held.keys()),
        here: images[shown.place]?.place ?? shown.place,
        describe,
        dress: (button, place) =>
          show(button.lastElementChild as HTMLElement, infoOf(place)?.right === false),
      });
    },
  };
}
