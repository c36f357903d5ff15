/** The concepts and the photo of a view follow the selection, by the same rules as in Python. */
import type { ConceptTraits } from "../../core/concept_wire";
import type { AnyModel } from "../../core/model";
import { type Selection, same } from "../../core/selection";

/** Brings `selected_concepts` and `selected_image` to the selection; what the view does not have leaves it as it is. */
export function followSelection(model: AnyModel<ConceptTraits>, selection: Selection): void {
  if (selection.state !== "shared") return;
  const ids = model.get("_bank")?.ids;
  const wanted = selection.get("concepts") ?? [];
  const concepts = [...new Set(wanted)].filter((id) => ids?.includes(id) ?? true);
  const has = concepts.length > 0 || wanted.length === 0;
  if (has && !same(concepts, model.get("selected_concepts"))) model.set("selected_concepts", concepts);
  const known = new Set((model.get("_images") ?? []).map(({ name }) => name));
  const image = selection.get("images")?.find((name) => known.has(name));
  if (image !== undefined && image !== model.get("selected_image")) model.set("selected_image", image);
}
