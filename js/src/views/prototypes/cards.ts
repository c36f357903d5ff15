/** The targets: a card with a small prototype for each. */
import { h, on, patchChildren, setAttribute, setText, show } from "../../core/dom";
import { counted } from "../../core/format";
import { walkWithArrows } from "../../core/roving";
import { fitCanvas } from "../shared/canvas";
import type { Bitmaps } from "./bitmaps";
import { paintChip } from "./chip";
import type { Context, Part } from "./context";
import { fadeOf, paintProto, smallPieces } from "./painting";
import type { Proto } from "./state";
import { cardLabel, valueWords } from "./words";

interface Card {
  canvas: HTMLCanvasElement;
  frame: HTMLElement;
  chip: HTMLElement;
  name: HTMLElement;
  value: HTMLElement;
}

/** Makes the cards; one target alone needs none. */
export function makeCards({ model, state, act, signal }: Context, bitmaps: Bitmaps): Part {
  const cards = new WeakMap<Element, Card>();
  const heading = h("h2");
  const group = h("div", { class: "cards", role: "radiogroup", "aria-label": "Targets" });
  const node = h("div", { class: "targets" }, h("div", { class: "bar" }, heading), group);

  const pick = (target: EventTarget | null) => {
    const button = (target as Element | null)?.closest<HTMLElement>("[data-key]");
    if (button) act.choose(Number(button.dataset.number));
  };
  on(group, "click", (event) => pick(event.target), signal);
  walkWithArrows(group, pick, signal);

  function make(): HTMLElement {
    const canvas = h("canvas", { "aria-hidden": "true" });
    const frame = h("span", { class: "thumb" }, canvas);
    const chip = h("span", { class: "dot" });
    const name = h("span", { class: "name" });
    const value = h("span", { class: "value mut" });
    const card = h(
      "button",
      { type: "button", role: "radio", class: "card" },
      frame,
      h("span", { class: "nm", "aria-hidden": "true" }, chip, name, value),
    );
    cards.set(card, { canvas, frame, chip, name, value });
    return card;
  }

  function update(button: HTMLElement, face: Proto, chosen: boolean): void {
    const card = cards.get(button);
    if (!card) return;
    button.dataset.number = String(face.number);
    setAttribute(button, "aria-checked", chosen ? "true" : "false");
    setAttribute(button, "tabindex", chosen ? 0 : -1);
    setAttribute(button, "aria-label", cardLabel(face));
    setAttribute(button, "title", face.label);
    paintChip(card.chip, face, state.dark);
    setText(card.name, face.label);
    setText(card.value, valueWords(face));
    card.frame.style.aspectRatio = `${face.size[1]} / ${face.size[0]}`;
    fitCanvas(card.canvas, card.frame);
    const brush = card.canvas.getContext("2d");
    const pieces = smallPieces(model, bitmaps, face);
    if (brush && pieces) paintProto(brush, pieces, fadeOf(model, face));
  }

  return {
    node,
    update({ faces, here }) {
      show(node, faces.length > 1);
      if (faces.length < 2) return;
      setText(heading, counted(faces.length, "target"));
      const buttons = patchChildren(
        group,
        faces.map((face) => String(face.group)),
        make,
      );
      buttons.forEach((button, i) => {
        const face = faces[i];
        if (face) update(button, face, face.group === here?.group);
      });
    },
  };
}
