/** The prototype that is looked at follows the selection, by the same rules as in Python. */
import type { AnyModel } from "../../core/model";
import type { ProtoInfo, ProtoTraits } from "../../core/proto_wire";
import { type Selection, same } from "../../core/selection";

/** Follows whichever of concepts and class was selected last: nothing else tells which of them is meant. */
export class Follower {
  #concepts: number[] | undefined;
  #class: number | null | undefined;

  /** Brings `selected` to what has changed; what the view does not have leaves it as it is. */
  follow(model: AnyModel<ProtoTraits>, selection: Selection): void {
    if (selection.state !== "shared") return;
    const [concepts, classId] = [selection.get("concepts") ?? [], selection.get("class_id") ?? null];
    const [before, classBefore] = [this.#concepts, this.#class];
    this.#concepts = [...concepts];
    this.#class = classId;
    if (before === undefined) return; // Python has settled it
    const protos = model.get("_protos") ?? [];
    if (!same(concepts, before)) go(model, protos, findConcept(protos, concepts));
    else if (classId !== classBefore)
      go(model, protos, classId === null ? -1 : protos.findIndex((each) => each.class_id === classId));
  }
}

/** The first prototype of the concept that was chosen last. */
export function findConcept(protos: readonly ProtoInfo[], concepts: readonly number[]): number {
  const known = concepts.filter((id) => protos.some(({ concept }) => concept === id)).at(-1);
  return known === undefined ? -1 : protos.findIndex(({ concept }) => concept === known);
}

function go(model: AnyModel<ProtoTraits>, protos: readonly ProtoInfo[], found: number): void {
  const [here, there] = [protos[model.get("selected")], protos[found]];
  if (!there || (here && here.concept === there.concept && here.class_id === there.class_id)) return;
  model.set("selected", found);
}
