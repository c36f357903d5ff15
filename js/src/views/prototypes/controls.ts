/** What belongs to drawing: the frames of the way; transparency, or what was changed in a photo. */
import { h, on, setAttribute, setText, show } from "../../core/dom";
import type { Context, Part } from "./context";
import { stepWords } from "./words";

interface Slider {
  node: HTMLElement;
  input: HTMLInputElement;
  output: HTMLOutputElement;
}

function makeSlider(text: string, title: string, max: number): Slider {
  const input = h("input", { type: "range", min: 0, max, step: 1 });
  const output = h("output");
  return {
    node: h("label", { class: "sl", title }, h("span", { class: "mut" }, text), input, output),
    input,
    output,
  };
}

function setSlider({ input, output }: Slider, value: number, max: number, words: string): void {
  setAttribute(input, "max", max);
  if (Number(input.value) !== value) input.value = String(value);
  input.style.setProperty("--v", `${(100 * value) / Math.max(1, max)}%`);
  setAttribute(input, "aria-valuetext", words);
  setText(output, words);
}

/** Makes the controls. */
export function makeControls({ model, state, act, signal }: Context): Part {
  const way = makeSlider("Step", "What the picture was on the way", 1);
  const shown = makeSlider("Fade below", "Pixels that mattered less than this percentile fade out", 100);
  const transparency = h(
    "button",
    { class: "tog", type: "button", title: "Fades out what did not matter (Space)" },
    "Transparency",
  );
  const difference = h(
    "button",
    { class: "tog", type: "button", title: "What was changed in the photo, and where" },
    "Difference",
  );
  const toggles = h("div", { class: "row", role: "group", "aria-label": "Layers" }, transparency, difference);
  const node = h("div", { class: "drawing" }, h("div", { class: "sliders" }, way.node, shown.node), toggles);
  let last = 1;
  on(
    way.input,
    "input",
    () => act.setFrame(Number(way.input.value) >= last ? null : Number(way.input.value)),
    signal,
  );
  on(shown.input, "input", () => act.setPercentile(Number(shown.input.value)), signal);
  on(transparency, "click", () => act.toggleTransparency(), signal);
  on(difference, "click", () => act.toggle("difference"), signal);
  return {
    node,
    update(now) {
      const { here, frames, frame } = now;
      show(node, here !== null);
      if (!here) return;
      last = (frames?.steps.length ?? 2) - 1;
      show(way.node, frames !== null);
      setSlider(way, frame ?? last, last, stepWords(now));
      const percentile = Math.round(model.get("percentile"));
      setSlider(shown, percentile, 100, `${percentile}\u00a0%`);
      shown.input.disabled = !model.get("transparency");
      setAttribute(transparency, "aria-pressed", model.get("transparency") ? "true" : "false");
      show(shown.node, !here.seeded);
      show(transparency, !here.seeded);
      show(difference, here.seeded);
      setAttribute(difference, "aria-pressed", state.difference ? "true" : "false");
    },
  };
}
