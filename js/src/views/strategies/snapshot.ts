/** The picture that is saved: the photos as they are seen, their concepts, and what they show in words. */
import { count } from "../../core/format";
import { hueOn, inkOn } from "../concepts/palette";
import type { Snapshot } from "../shared/save";
import type { Context } from "./context";
import type { PlotPart } from "./plot";
import type { Concept, Shown } from "./state";
import { headWords, litWords, nameOf, ruleWords } from "./words";

/** Takes what is seen now; null if there is nothing. */
export function takeSnapshot(
  { model, state, kernel }: Context,
  plot: PlotPart,
  shown: Shown,
): Snapshot | null {
  const { points, graph, concepts, counts } = shown;
  const { clientWidth: width, clientHeight: height } = plot.frame;
  if (!points || !graph || width === 0) return null;
  const head = headWords(model, shown, kernel);
  const used = concepts.filter(({ row }) => (counts[row] ?? 0) > 0);
  const most = Math.max(1, ...used.map(({ row }) => counts[row] ?? 0));
  const legend = used.map((concept: Concept) => {
    const hue = hueOn(concept.hue, state.dark);
    const some = counts[concept.row] ?? 0;
    return {
      mark: { letter: concept.letter, hue, ink: inkOn(hue) },
      low: nameOf(concept),
      high: `${count(some)} photos`,
      ramp(brush: CanvasRenderingContext2D, x: number, y: number, wide: number, high: number) {
        brush.fillStyle = getComputedStyle(plot.frame).getPropertyValue("--wash").trim();
        brush.fillRect(x, y, wide, high);
        brush.fillStyle = hue;
        brush.fillRect(x, y, (wide * some) / most, high);
      },
    };
  });
  return {
    image: "",
    width,
    height,
    shown: width,
    paint: (brush, scale) => plot.paint(brush, scale),
    legend,
    lines: [
      `${head.title}: ${head.subtitle}`,
      `Near: read for the same reasons. ${ruleWords(model.get("by"))} Circles are right, diamonds misread, squares not known.`,
      ...[litWords(shown, graph.presence)].filter(Boolean),
      ...graph.caveats,
    ],
    name: [head.title, "strategies", model.get("by")],
  };
}
