/** The photo, the class and the layers of a view follow the selection, by the same rules as in Python. */
import type { AnyModel } from "../../core/model";
import { type Selection, same } from "../../core/selection";
import { LAYER_NAMES, type LayerName, type PublicTraits } from "../../core/wire";

type Shown = Pick<PublicTraits, "index" | "layers">;

/**
 * How a view shows layers: `index` and `layers` are one choice, the list that the selection has of them.
 *
 * @param chosen - one is shown alone, several side by side; without any, that which was shown alone before
 * @param before - the layer that was shown alone before
 */
export function showLayers(chosen: readonly LayerName[], before: LayerName): Shown {
  const layers = LAYER_NAMES.filter((name) => chosen.includes(name));
  const [only = before] = layers;
  return layers.length > 1 ? { index: before, layers } : { index: only, layers: [] };
}

/** The list of a view's `index` and `layers`. */
export function listLayers({ index, layers }: Shown): LayerName[] {
  return layers.length > 0 ? [...layers] : [index];
}

/** What the view shows of a map now, as the selection lists it. */
export const layersShown = (model: AnyModel): LayerName[] =>
  listLayers({ index: model.get("index") ?? "total", layers: model.get("layers") ?? [] });

/** Brings `index` and `layers` to the selection. */
function followLayers(model: AnyModel, chosen: readonly LayerName[]): void {
  const missing = model.get("_missing") ?? {};
  const known = chosen.filter((name) => !(name in missing));
  if (known.length === 0) return;
  const { index, layers } = showLayers(known, model.get("index") ?? "total");
  if (index !== model.get("index")) model.set("index", index);
  if (!same(layers, model.get("layers") ?? [])) model.set("layers", layers);
}

/** Brings the view's choices to the selection; what the view does not have leaves it as it is. */
export function followSelection(model: AnyModel, selection: Selection): void {
  if (selection.state !== "shared") return;
  const known = new Set((model.get("_images") ?? []).map(({ name }) => name));
  const image = selection.get("images")?.find((name) => known.has(name));
  if (image !== undefined && image !== model.get("selected_image")) model.set("selected_image", image);
  const id = selection.get("class_id") ?? null;
  const exists = id === null || id < model.get("_class_count");
  if (exists && id !== model.get("selected_class")) model.set("selected_class", id);
  followLayers(model, selection.get("layers") ?? []);
}
