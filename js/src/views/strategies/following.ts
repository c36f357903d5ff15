/** Photos and concepts of the view follow the selection, by the same rules as in Python. */
import type { AnyModel } from "../../core/model";
import { type Selection, same } from "../../core/selection";
import type { StrategyTraits } from "../../core/strategy_wire";
import type { Points } from "./points";

/** Brings the view's choices to the selection's; what the view does not have leaves them as they are. */
export function followSelection(
  model: AnyModel<StrategyTraits>,
  selection: Selection,
  points: Points | null,
): void {
  if (selection.state !== "shared") return;
  const ids = model.get("_concepts")?.map(({ id }) => id);
  const concepts = selection.get("concepts") ?? [];
  const known = [...new Set(concepts)].filter((id) => !ids?.length || ids.includes(id));
  if ((known.length > 0 || concepts.length === 0) && !same(known, model.get("selected_concepts")))
    model.set("selected_concepts", known);
  const images = selection.get("images") ?? [];
  const names = [...new Set(images)].filter((name) => !points || points.rowOf(name) !== undefined);
  if ((names.length > 0 || images.length === 0) && !same(names, model.get("selected_images")))
    model.set("selected_images", names);
}
