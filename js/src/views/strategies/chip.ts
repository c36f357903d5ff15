/** A concept's letter in its hue, as the other views draw it. */
import { h, setAttribute, setText } from "../../core/dom";
import { hueOn, inkOn } from "../concepts/palette";
import type { Concept } from "./state";

/** Makes a letter that is filled by `paintLetter`. */
export function makeChip(): HTMLElement {
  return h("span", { class: "dot", "aria-hidden": "true" });
}

/** Gives an element a concept's hue, texture and ink. */
export function tint(node: HTMLElement, concept: Concept, dark: boolean): void {
  const hue = hueOn(concept.hue, dark);
  node.style.setProperty("--c", hue);
  node.style.setProperty("--cf", inkOn(hue));
  setAttribute(node, "data-tx", concept.texture || null);
}

/** Writes a concept's letter. */
export function paintLetter(chip: HTMLElement, concept: Concept, dark: boolean): void {
  tint(chip, concept, dark);
  setText(chip, concept.letter);
}
