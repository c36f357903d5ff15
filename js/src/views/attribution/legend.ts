/** The legend: what the colours stand for, in raw numbers. */
import { paintSigned, paintValues } from "../../core/colormap";
import { h, setText } from "../../core/dom";
import { shareOfAll, signedQuantity } from "../../core/format";
import type { LegendLine } from "../shared/save";
import type { Context, Part } from "./context";
import type { Shown } from "./state";

const WIDTH = 256;

const ramp = Float32Array.from({ length: WIDTH }, (_, i) => i / (WIDTH - 1));
const slope = ramp.map((share) => 2 * share - 1);

/** Paints the colours from the low end to the high one. */
function paintRamp({ model }: Context, shown: Shown, brush: CanvasRenderingContext2D): void {
  const image = brush.createImageData(WIDTH, 1);
  const threshold = model.get("threshold");
  if (isSigned(shown)) paintSigned(slope, 1, threshold, image.data);
  else paintValues(ramp, 1, model.get("colormap"), threshold, image.data);
  const opacity = shown.plane ? model.get("opacity") : 0;
  for (let i = 3; i < image.data.length; i += 4) image.data[i] = (image.data[i] as number) * opacity;
  brush.putImageData(image, 0, 0);
}

/** Makes the legend. */
export function makeLegend(context: Context): Part {
  const canvas = h("canvas", { "aria-hidden": "true", width: WIDTH, height: 1 });
  const low = h("span");
  const high = h("span");
  const node = h("div", { class: "legend sm mut" }, low, canvas, high);
  return {
    node,
    update(first, panels) {
      const shown = panels.find(({ plane }) => plane) ?? first;
      const [from, to] = legendWords(shown, panels.length > 1 && context.model.get("scale") !== "shared");
      setText(low, from);
      setText(high, to);
      const brush = canvas.getContext("2d");
      if (brush) paintRamp(context, shown, brush);
    },
  };
}

/** The same for a picture that is saved. */
export function legendLine(context: Context, shown: Shown): LegendLine {
  const [low, high] = legendWords(shown);
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

function isSigned({ reading, partners }: Shown): boolean {
  return reading?.index === "slope" && !partners;
}

/** What stands at the two ends. */
export function legendWords(shown: Shown, each = false): [string, string] {
  const { reading, plane, partners, top } = shown;
  if (each) return [isSigned(shown) ? "against" : "0", "the largest value of each map"];
  if (partners)
    return ["0", partners.found ? `${shareOfAll(partners.found.max)} of the variance` : "searching"];
  if (!plane || !reading) return ["0", "no map"];
  if (isSigned(shown))
    return [`${signedQuantity(-top)} against`, `${signedQuantity(top)} ${reading.unit}, for`];
  return ["0", `${shareOfAll(top)} ${reading.unit}`];
}
