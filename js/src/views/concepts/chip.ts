/** A concept's letter in its hue. */
import { h, patchChildren, setAttribute, setText } from "../../core/dom";
import { hueOn, inkOn } from "./palette";
import type { Concept, Mark } from "./state";

/** Makes a letter that is filled by `paintChip`. */
export function makeChip(): HTMLElement {
  return h("span", { class: "dot" });
}

/** Gives an element, and what is in it, a concept's hue, texture and ink. */
export function tint(node: HTMLElement, concept: Mark, dark: boolean): void {
  const hue = hueOn(concept.hue, dark);
  node.style.setProperty("--c", hue);
  node.style.setProperty("--cf", inkOn(hue));
  setAttribute(node, "data-tx", concept.texture || null);
}

/** Writes a concept's letter. */
export function paintChip(chip: HTMLElement, concept: Mark, dark: boolean): void {
  tint(chip, concept, dark);
  setText(chip, concept.letter);
}

/** Writes the letters of a concept: of a merged one those of all its parts. */
export function paintChips(node: HTMLElement, { parts }: Concept, dark: boolean): void {
  const chips = patchChildren(
    node,
    parts.map(({ id }) => String(id)),
    makeChip,
  );
  chips.forEach((chip, i) => {
    const part = parts[i];
    if (part) paintChip(chip, part, dark);
  });
}
