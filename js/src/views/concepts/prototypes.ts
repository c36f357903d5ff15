/** Prototypes of concepts: beside the crops of the opened one, the choice of what cards show, and the offer to grow. */
import { h, icon, on, setAttribute, setText, show } from "../../core/dom";
import { makeAbout, makePopover } from "../shared/popover";
import type { Context, Part } from "./context";
import type { Protos } from "./protos";
import { makeSegments } from "./segments";
import { CARD_KINDS, growingWords, kernelWords, MADE } from "./words";

const TITLE = "How this prototype was made";

/** Makes the prototype of the opened concept, with how it was made and how much of it is shown. */
export function makeProto({ model, act, signal }: Context, protos: Protos): Part {
  const canvas = h("canvas", { role: "img" });
  const info = h(
    "button",
    { class: "icon", type: "button", "aria-label": TITLE, "aria-haspopup": "dialog", title: TITLE },
    icon("info"),
  );
  const about = makeAbout(signal);
  const popover = makePopover(info, TITLE, about.node, signal);
  const input = h("input", { type: "range", min: 0, max: 100, step: 1 });
  const output = h("output");
  const slider = h(
    "label",
    { class: "sl", title: "Pixels that mattered less than this percentile fade out" },
    h("span", { class: "mut" }, "Fade below"),
    input,
    output,
  );
  const caption = h("figcaption", { class: "sm mut" }, h("span", {}, MADE), info, popover.node);
  const node = h("figure", { class: "grown" }, canvas, caption, slider);
  on(input, "input", () => act.adjust("percentile", Number(input.value)), signal);
  return {
    node,
    update({ opened }) {
      const there = opened !== null && protos.has(opened);
      show(node, there);
      if (!opened || !there) return;
      const told = protos.opened(opened.id);
      setAttribute(canvas, "aria-label", `Prototype of ${opened.title}, made by optimisation`);
      show(info, told !== undefined);
      if (told) about.update(told.about, told.code);
      const percentile = Math.round(model.get("percentile") ?? 0);
      if (Number(input.value) !== percentile) input.value = String(percentile);
      input.style.setProperty("--v", `${percentile}%`);
      setAttribute(input, "aria-valuetext", `${percentile} %`);
      setText(output, `${percentile}\u00a0%`);
      protos.paintLarge(canvas, opened.id);
    },
  };
}

/** Makes the choice of what the cards show in large; it hides itself where there are no prototypes. */
export function makeCardKinds({ act, signal }: Context, protos: Protos): Part {
  const { node, update } = makeSegments("On the cards", CARD_KINDS, act.setCards, signal);
  return {
    node,
    update() {
      show(node, protos.some);
      update(protos.kind);
    },
  };
}

/** Makes the line that offers to grow prototypes, and tells how far they are. */
export function makeGrowing({ model, kernel, act, signal }: Context): Part {
  const button = h("button", { class: "link sm", type: "button" });
  const words = h("span", { class: "sm mut" });
  const spoken = h("span", { class: "vh", role: "status" });
  const bar = h("i");
  const progress = h("div", { class: "prog", "aria-hidden": "true" }, bar);
  const node = h(
    "div",
    { class: "growing" },
    h("div", { class: "deckfoot" }, button, words, spoken),
    progress,
  );
  let active = false;
  on(button, "click", () => act.grow(!active), signal);
  on(
    node,
    "keydown",
    (event) => {
      if (event.key !== "Escape" || !active) return;
      event.stopPropagation();
      act.grow(false);
    },
    signal,
  );
  return {
    node,
    update({ bank }) {
      const growing = model.get("_growing") ?? {};
      const told = growingWords(growing, kernel.state);
      active = growing.state === "computing" && kernel.reachable;
      const possible = kernel.state !== "saved" && told.verb !== "";
      const reason = growing.reason || kernelWords(kernel);
      setText(button, told.verb);
      show(button, possible);
      button.disabled = !active && reason !== "";
      setAttribute(button, "title", reason || told.hint || null);
      setText(words, told.words || (button.disabled && possible ? (growing.reason ?? "") : ""));
      setText(spoken, told.spoken);
      setAttribute(progress, "data-on", active ? 1 : 0);
      show(progress, active);
      bar.style.width = `${(100 * (growing.steps ?? 0)) / Math.max(1, growing.wanted ?? 1)}%`;
      show(node, Boolean(bank?.complete) && (possible || told.words !== ""));
    },
  };
}
