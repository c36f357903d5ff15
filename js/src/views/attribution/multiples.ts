/** Maps side by side as one picture that is saved: as they stand on the page, each under its name. */
import { breakLines, FONT, type Snapshot } from "../shared/save";
import type { Context } from "./context";
import { groupByColors, legendLine } from "./legend";
import type { Shown } from "./state";
import { multiplesLines, panelWords } from "./words";

type Brush = CanvasRenderingContext2D;

/** Gaps between panels, and height of a line and of the room under it, in pixels of the page. */
const [ACROSS, DOWN, LINE, UNDER] = [16, 20, 18, 6];

/** Where panels stand, in pixels of the page. */
export interface Layout {
  width: number;
  height: number;
  /** Left and top edge of each panel. */
  corners: [number, number][];
}

/** Puts panels of one size into lines. */
export function layOut(count: number, columns: number, width: number, height: number): Layout {
  const wide = Math.min(columns, count);
  const lines = Math.ceil(count / wide);
  return {
    width: wide * (width + ACROSS) - ACROSS,
    height: lines * (height + DOWN) - DOWN,
    corners: Array.from({ length: count }, (_, place) => [
      (place % wide) * (width + ACROSS),
      Math.floor(place / wide) * (height + DOWN),
    ]),
  };
}

/**
 * Joins what is seen of panels.
 *
 * @param context - the view's
 * @param panels - what they show
 * @param parts - what is seen of each
 * @param columns - panels in a line, at most
 * @param node - has the colours of the words
 * @returns null where one of them has no photo, or there are none
 */
export function joinSnapshots(
  context: Context,
  panels: readonly Shown[],
  parts: readonly (Snapshot | null)[],
  columns: number,
  node: HTMLElement,
): Snapshot | null {
  const [first] = parts;
  const [panel] = panels;
  if (!first || !panel || parts.includes(null)) return null;
  const page = Math.max(1, first.shown); // width of a panel
  const own = first.width / page;
  const high = first.height / own;
  const labels = panels.map((each) => labelLines(each, page));
  const above = Math.max(...labels.map((lines) => lines.length)) * LINE + UNDER;
  const layout = layOut(panels.length, columns, page, above + high);
  return {
    image: first.image,
    width: Math.round(layout.width * own),
    height: Math.round(layout.height * own),
    shown: layout.width,
    paint(brush, scale, whole) {
      const style = getComputedStyle(node);
      const inks = ["--ink", "--ink2"].map((name) => style.getPropertyValue(name).trim());
      layout.corners.forEach(([x, y], place) => {
        writeLabel(brush, labels[place] ?? [], x, y, scale, inks);
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [Math.round(page * scale), Math.round(high * scale)];
        const own = canvas.getContext("2d");
        if (own) parts[place]?.paint(own, scale, whole);
        brush.drawImage(canvas, x * scale, (y + above) * scale);
      });
    },
    legend: groupByColors(context.model, panels).map(([shown, ...more]) =>
      legendLine(context, shown as Shown, more.length > 0 && context.model.get("scale") !== "shared"),
    ),
    lines: multiplesLines(context.model, panels),
    name: ["where", first.image, panel.className, ...panels.map(({ label }) => label)],
  };
}

/** A panel's name, and what stands under it, broken into lines. */
function labelLines(shown: Shown, room: number): string[] {
  const brush = document.createElement("canvas").getContext("2d");
  const measure = (text: string) => {
    if (!brush) return 0;
    brush.font = fontOf(1, 1);
    return brush.measureText(text).width;
  };
  return [shown.label, ...breakLines(panelWords(shown), room, measure)];
}

/** A label's first line is its name. */
function fontOf(line: number, scale: number): string {
  return line === 0 ? `600 ${13 * scale}px ${FONT}` : `400 ${12 * scale}px ${FONT}`;
}

function writeLabel(
  brush: Brush,
  lines: readonly string[],
  x: number,
  y: number,
  scale: number,
  inks: readonly string[],
): void {
  brush.textAlign = "left";
  brush.textBaseline = "middle";
  lines.forEach((text, line) => {
    brush.font = fontOf(line, scale);
    brush.fillStyle = inks[Math.min(line, 1)] ?? "";
    brush.fillText(text, x * scale, (y + (line + 0.5) * LINE) * scale);
  });
}
