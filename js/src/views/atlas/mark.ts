/** How a concept is marked: its letter in its hue. */
import type { ConceptMark } from "../../core/atlas_wire";
import { setAttribute, setText } from "../../core/dom";
import { hueOn, inkOn, textureOf } from "../concepts/palette";

/** Writes a concept's letter in its hue. */
export function markConcept(chip: HTMLElement, { id, hue, letter }: ConceptMark, dark: boolean): void {
  const colour = hueOn(hue, dark);
  chip.style.setProperty("--c", colour);
  chip.style.setProperty("--cf", inkOn(colour));
  setAttribute(chip, "data-tx", textureOf(id) || null);
  setText(chip, letter);
}
