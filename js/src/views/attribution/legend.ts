/** The legend: what the colours stand for, in raw numbers. */
import { type PaletteName, paintSigned, paintValues } from "../../core/colormap";
import { h, setText } from "../../core/dom";
import { quantity, shareOfAll, signedQuantity } from "../../core/format";
import type { AnyModel } from "../../core/model";
import type { LegendLine } from "../shared/save";
import type { Context, Part } from "./context";
import type { Shown } from "./state";

const WIDTH = 256;

const ramp = Float32Array.from({ length: WIDTH }, (_, i) => i / (WIDTH - 1));
const slope = ramp.map((share) => 2 * share - 1);

/** The colours in which something is drawn: those that the person chose, but where there are two signs, or errors. */
export function colorsOf(model: AnyModel, { reading, partners }: Shown): PaletteName | "signed" {
  if (reading?.index === "slope" && !partners) return "signed";
  return reading?.index === "error" && !partners ? "error" : model.get("colormap");
}

/** Paints the colours from the low end to the high one. */
function paintRamp({ model }: Context, shown: Shown, brush: CanvasRenderingContext2D): void {
  const image = brush.createImageData(WIDTH, 1);
  const threshold = model.get("threshold");
  const colors = colorsOf(model, shown);
  if (colors === "signed") paintSigned(slope, 1, threshold, image.data);
  else paintValues(ramp, 1, colors, threshold, image.data);
  const opacity = shown.plane ? model.get("opacity") : 0;
  for (let i = 3; i < image.data.length; i += 4) image.data[i] = (image.data[i] as number) * opacity;
  brush.putImageData(image, 0, 0);
}

interface Line {
  node: HTMLElement;
  update(shown: Shown, each: boolean): void;
}

function makeLine(context: Context): Line {
  const canvas = h("canvas", { "aria-hidden": "true", width: WIDTH, height: 1 });
  const low = h("span");
  const high = h("span");
  return {
    node: h("div", { class: "legend sm mut" }, low, canvas, high),
    update(shown, each) {
      const [from, to] = legendWords(shown, each);
      setText(low, from);
      setText(high, to);
      const brush = canvas.getContext("2d");
      if (brush) paintRamp(context, shown, brush);
    },
  };
}

/** Puts maps together that are drawn in the same colours; those that are flat, or not there, are left out. */
export function groupByColors(model: AnyModel, panels: readonly Shown[]): Shown[][] {
  const groups = new Map<string, Shown[]>();
  for (const shown of panels.filter(({ plane }) => plane)) {
    const colors = colorsOf(model, shown);
    groups.set(colors, [...(groups.get(colors) ?? []), shown]);
  }
  return [...groups.values()];
}

/** Makes the legend: a line for all that is drawn in the same colours. */
export function makeLegend(context: Context): Part {
  const node = h("div", { class: "legends" });
  const lines: Line[] = [];
  return {
    node,
    update(first, panels) {
      const drawn = groupByColors(context.model, panels);
      const groups = drawn.length ? drawn : [[first]];
      groups.forEach(([shown, ...more], place) => {
        lines[place] ??= makeLine(context);
        if (shown) lines[place].update(shown, more.length > 0 && context.model.get("scale") !== "shared");
      });
      lines.forEach((line, place) => {
        if (place >= groups.length) line.node.remove();
        else if (line.node.parentNode !== node) node.append(line.node);
      });
    },
  };
}

/** The same for a picture that is saved. */
export function legendLine(context: Context, shown: Shown, each = false): LegendLine {
  const [low, high] = legendWords(shown, each);
  return {
    low,
    high,
    ramp(brush, ...box) {
      const canvas = h("canvas", { width: WIDTH, height: 1 });
      const own = canvas.getContext("2d");
      if (own) paintRamp(context, shown, own);
      brush.drawImage(canvas, ...box);
    },
  };
}

/** What stands at the two ends. */
export function legendWords(shown: Shown, each = false): [string, string] {
  const { reading, plane, partners, top } = shown;
  const signed = reading?.index === "slope" && !partners;
  if (each) return [signed ? "against" : "0", "the largest value of each map"];
  if (partners)
    return ["0", partners.found ? `${shareOfAll(partners.found.max)} of the variance` : "searching"];
  if (!plane || !reading) return ["0", "no map"];
  if (signed) return [`${signedQuantity(-top)} against`, `${signedQuantity(top)} ${reading.unit}, for`];
  const number = reading.index === "error" ? quantity(top) : shareOfAll(top);
  return ["0", `${number} ${reading.unit}`];
}
