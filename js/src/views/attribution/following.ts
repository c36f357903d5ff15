/** The photo and the class of a view follow the selection, by the same rules as in Python. */
import type { AnyModel } from "../../core/model";
import type { Selection } from "../../core/selection";

/** Brings `selected_image` and `selected_class` to the selection; what the view does not have leaves it as it is. */
export function followSelection(model: AnyModel, selection: Selection): void {
  if (selection.state !== "shared") return;
  const known = new Set((model.get("_images") ?? []).map(({ name }) => name));
  const image = selection.get("images")?.find((name) => known.has(name));
  if (image !== undefined && image !== model.get("selected_image")) model.set("selected_image", image);
  const id = selection.get("class_id") ?? null;
  const exists = id === null || id < model.get("_class_count");
  if (exists && id !== model.get("selected_class")) model.set("selected_class", id);
}
