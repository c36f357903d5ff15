/** What the colours over the photo stand for, in raw numbers. */
import { h, patchChildren, setText, show } from "../../core/dom";
import type { LegendLine } from "../shared/save";
import { makeChip, paintChip, tint } from "./chip";
import type { Context, Part } from "./context";
import { opacityOf } from "./overlay";
import { hueOn, inkOn, toRgb } from "./palette";
import type { Layer, Shown } from "./state";
import { legendWords, scaleWords } from "./words";

/** Concepts with a line of their own. */
const MOST = 4;
const STEPS = 12;

/** Makes the legend: a line for each concept over the photo. */
export function makeLegend({ model, state }: Context): Part {
  const lines = h("div", { class: "keys2" });
  const note = h("p", { class: "sm mut" });
  const node = h("div", { class: "legend2 sm mut" }, lines, note);
  return {
    node,
    update(shown) {
      const layers = shown.layers.slice(0, MOST);
      const threshold = model.get("threshold");
      const opacity = model.get("opacity");
      const ramp = Array.from({ length: STEPS + 1 }, (_, i) => {
        const share = i / STEPS;
        return `color-mix(in srgb, var(--c) ${Math.round(100 * opacity * opacityOf(share, threshold))}%, #8a8984) ${Math.round(100 * share)}%`;
      });
      const rows = patchChildren(
        lines,
        layers.map(({ concept }) => String(concept.id)),
        makeLine,
      );
      rows.forEach((row, i) => {
        const layer = layers[i];
        if (!layer) return;
        tint(row, layer.concept, state.dark);
        paintChip(row.firstElementChild as HTMLElement, layer.concept, state.dark);
        (row.children[2] as HTMLElement).style.background = `linear-gradient(90deg, ${ramp})`;
        setText(row.lastElementChild as Element, legendWords(layer, shown.missing ? "codes" : shown.kind));
      });
      const more = shown.layers.length - layers.length;
      const scale = scaleWords(shown.missing ? "codes" : shown.kind);
      setText(
        note,
        layers.length === 0
          ? "Choose a concept to see where it is."
          : more > 0
            ? `and ${more} more. ${scale}`
            : scale,
      );
      show(node, shown.image !== null && shown.bank !== null);
    },
  };
}

/** The same line for a picture that is saved. */
export function legendLine(layer: Layer, shown: Shown, model: Context["model"], dark: boolean): LegendLine {
  const hue = hueOn(layer.concept.hue, dark);
  const color = toRgb(hue).join(",");
  const [opacity, threshold] = [model.get("opacity"), model.get("threshold")];
  return {
    mark: { letter: layer.concept.letter, hue, ink: inkOn(hue) },
    low: `${layer.concept.title} 0`,
    high: legendWords(layer, shown.missing ? "codes" : shown.kind),
    ramp(brush, x, y, width, height) {
      const ramp = brush.createLinearGradient(x, 0, x + width, 0);
      for (let i = 0; i <= STEPS; i++)
        ramp.addColorStop(i / STEPS, `rgba(${color},${opacity * opacityOf(i / STEPS, threshold)})`);
      brush.fillStyle = ramp;
      brush.fillRect(x, y, width, height);
    },
  };
}

function makeLine(): HTMLElement {
  return h(
    "div",
    { class: "key" },
    makeChip(),
    h("span", {}, "0"),
    h("span", { class: "ramp", "aria-hidden": "true" }),
    h("span"),
  );
}
