/** A concept's letter in its hue, as the other views draw it. */
import { setAttribute, setText, show } from "../../core/dom";
import { hueOn, inkOn, textureOf } from "../concepts/palette";
import type { Proto } from "./state";

/** Writes the letter of a prototype's concept, if it is of one. */
export function paintChip(chip: HTMLElement, proto: Proto, dark: boolean): void {
  show(chip, proto.concept !== null);
  if (proto.concept === null) return;
  const hue = hueOn(proto.hue, dark);
  chip.style.setProperty("--c", hue);
  chip.style.setProperty("--cf", inkOn(hue));
  setAttribute(chip, "data-tx", textureOf(proto.concept) || null);
  setText(chip, proto.letter);
}
