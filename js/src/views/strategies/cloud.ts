/** All photos as marks, on a layer that is larger than what is seen: while one pans, it is only moved. */
import type { Rule } from "../../core/strategy_wire";
import { toScreen, type Viewport } from "./geometry";
import { type Points, RIGHT } from "./points";
import { copyStamp, type Palette, type Stamp, Stamps, type Standing, sizeFor } from "./stamps";
import type { Concept } from "./state";

/** Share of the size by which the layer is larger on each side. */
const MARGIN = 0.25;
/** Photos from which a layer is stretched while one zooms, and drawn anew once that rests. */
const MANY = 20_000;
/** Rest after which it is drawn anew, in milliseconds. */
const REST = 90;

/** What is drawn: another object whenever something of it is another. */
export interface Drawn {
  points: Points;
  concepts: readonly Concept[];
  rule: Rule;
  lit: Uint8Array;
  isShown(row: number): boolean;
  chosen: readonly number[];
  palette: Palette;
}

export interface Size {
  width: number;
  height: number;
  /** Pixels of the canvas for one of the page. */
  scale: number;
}

const STANDINGS: readonly Standing[] = ["dim", "lit", "chosen"];

/** Order in which photos are drawn: dimmed ones first, misread above right, chosen ones last. */
export function orderOf({ points, lit, isShown, chosen, rule }: Drawn): {
  order: Uint32Array;
  level: Uint8Array;
} {
  const level = new Uint8Array(points.count);
  const rows = points.rows[rule];
  const heights = new Uint8Array(points.count);
  for (let i = 0; i < points.count; i++) {
    level[i] = lit[i] as number;
    heights[i] = level[i] === 0 ? 0 : rows[i] === -1 ? 1 : points.marks[i] === RIGHT ? 2 : 3;
  }
  for (const row of chosen) {
    level[row] = 2;
    heights[row] = 4;
  }
  const starts = new Uint32Array(6);
  let shown = 0;
  for (let i = 0; i < points.count; i++) {
    if (!isShown(i)) continue;
    const next = (heights[i] as number) + 1;
    starts[next] = (starts[next] as number) + 1;
    shown += 1;
  }
  for (let k = 0; k < 5; k++) starts[k + 1] = (starts[k + 1] as number) + (starts[k] as number);
  const order = new Uint32Array(shown);
  for (let i = 0; i < points.count; i++) {
    if (!isShown(i)) continue;
    const height = heights[i] as number;
    order[starts[height] as number] = i;
    starts[height] = (starts[height] as number) + 1;
  }
  return { order, level };
}

export class CloudLayer {
  #canvas = document.createElement("canvas");
  #stamps = new Stamps();
  #drawn: Drawn | null = null;
  #order: { order: Uint32Array; level: Uint8Array } | null = null;
  /** What the layer shows. */
  #view: Viewport | null = null;
  #size: Size | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #again: () => void;
  /** Side of the marks that were drawn last. */
  markSize = 15;

  /**
   * @param again - draws again, once a zoom rests
   * @param signal - ends waiting
   */
  constructor(again: () => void, signal: AbortSignal) {
    this.#again = again;
    signal.addEventListener("abort", () => clearTimeout(this.#timer), { once: true });
  }

  /** Puts the photos on a canvas. */
  show(brush: CanvasRenderingContext2D, view: Viewport, size: Size, drawn: Drawn): void {
    const zooming = this.#view !== null && this.#view.scale !== view.scale;
    const stale = drawn !== this.#drawn || size !== this.#size || this.#view === null;
    const waits = !stale && zooming && drawn.points.count > MANY && this.#timer !== undefined;
    if (stale || (zooming && !waits) || (!zooming && !this.#covers(view, size))) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#paint(view, size, drawn);
      if (zooming && !stale && drawn.points.count > MANY) this.#restLater();
    } else if (waits) this.#restLater();
    this.#copy(brush, view, size, drawn.palette);
  }

  /** Until the zoom rests, what was drawn is stretched. */
  #restLater(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#again();
    }, REST);
  }

  #covers(view: Viewport, { width, height }: Size): boolean {
    const here = this.#view as Viewport;
    return (
      Math.abs(view.cx - here.cx) * view.scale <= MARGIN * width &&
      Math.abs(view.cy - here.cy) * view.scale <= MARGIN * height
    );
  }

  #copy(
    brush: CanvasRenderingContext2D,
    view: Viewport,
    { width, height, scale }: Size,
    palette: Palette,
  ): void {
    const here = this.#view as Viewport;
    const by = view.scale / here.scale;
    const middle = toScreen(view, here.cx, here.cy, width, height);
    const [wide, high] = [(this.#canvas.width / scale) * by, (this.#canvas.height / scale) * by];
    brush.fillStyle = palette.ground;
    brush.fillRect(0, 0, width * scale, height * scale);
    if (this.#canvas.width === 0 || this.#canvas.height === 0) return;
    const [x, y] = [(middle.x - wide / 2) * scale, (middle.y - high / 2) * scale];
    if (by === 1) brush.drawImage(this.#canvas, Math.round(x), Math.round(y));
    else brush.drawImage(this.#canvas, x, y, wide * scale, high * scale);
  }

  #paint(view: Viewport, size: Size, drawn: Drawn): void {
    const wide = Math.round(size.width * (1 + 2 * MARGIN));
    const high = Math.round(size.height * (1 + 2 * MARGIN));
    if (drawn !== this.#drawn) this.#order = orderOf(drawn);
    this.#drawn = drawn;
    this.#view = view;
    this.#size = size;
    this.markSize = this.paintOn(
      this.#canvas,
      view,
      { ...size, width: wide, height: high },
      drawn,
      this.#order,
    );
  }

  /** Paints the photos on a canvas of their own, and returns the side of the marks. */
  paintOn(
    canvas: HTMLCanvasElement,
    view: Viewport,
    { width, height, scale }: Size,
    drawn: Drawn,
    known: { order: Uint32Array; level: Uint8Array } | null = null,
  ): number {
    const { order, level } = known ?? orderOf(drawn);
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const size = sizeFor(countSeen(drawn, order, view, width / (1 + 2 * MARGIN), height / (1 + 2 * MARGIN)));
    const brush = canvas.getContext("2d", { willReadFrequently: true });
    if (!brush || canvas.width === 0 || canvas.height === 0) return size;
    brush.fillStyle = drawn.palette.ground;
    brush.fillRect(0, 0, canvas.width, canvas.height);
    const image = brush.getImageData(0, 0, canvas.width, canvas.height);
    const { points, concepts, rule, palette } = drawn;
    const kinds = new Map<number, Stamp | null>();
    const rows = points.rows[rule];
    for (const i of order) {
      const x = Math.round((width / 2 + ((points.x[i] as number) - view.cx) * view.scale) * scale);
      const y = Math.round((height / 2 - ((points.y[i] as number) - view.cy) * view.scale) * scale);
      if (x < -40 || y < -40 || x > canvas.width + 40 || y > canvas.height + 40) continue;
      const [row, mark] = [rows[i] as number, points.marks[i] as number];
      const key = ((row + 1) * 3 + mark) * 3 + (level[i] as number);
      let stamp = kinds.get(key);
      if (stamp === undefined) {
        const standing = STANDINGS[level[i] as number] as Standing;
        stamp = this.#stamps.get(concepts[row] ?? null, mark, standing, size, scale, palette);
        kinds.set(key, stamp);
      }
      if (stamp) copyStamp(image.data, canvas.width, canvas.height, stamp, x, y);
    }
    brush.putImageData(image, 0, 0);
    return size;
  }
}

/** Photos that are seen. */
function countSeen(
  { points }: Drawn,
  order: Uint32Array,
  { cx, cy, scale }: Viewport,
  width: number,
  height: number,
): number {
  const [across, up] = [width / 2 / scale, height / 2 / scale];
  let count = 0;
  for (const i of order)
    if (Math.abs((points.x[i] as number) - cx) <= across && Math.abs((points.y[i] as number) - cy) <= up)
      count += 1;
  return count;
}
