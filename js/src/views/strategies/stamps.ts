/**
 * Marks of photos, drawn once each and then copied pixel by pixel: a hundred thousand of them are a few milliseconds,
 * and a canvas would take half a second.
 */
import { hueOn, inkOn } from "../concepts/palette";
import { OPEN, WRONG } from "./points";
import type { Concept } from "./state";

/** Grey, and a dash, of photos that no concept supports. */
export const GREY = "#8A8984";
const NO_LETTER = "–";

/** How a mark stands out. */
export type Standing = "dim" | "lit" | "chosen";

export interface Stamp {
  side: number;
  /** Red, green, blue and opacity. */
  data: Uint8ClampedArray;
}

/** What colours depend on. */
export interface Palette {
  dark: boolean;
  ground: string;
  ink: string;
}

/** Side of a mark in pixels of the page: the fewer there are, the larger; letters fit on the largest. */
export function sizeFor(count: number): number {
  if (count <= 250) return 15;
  if (count <= 2_000) return 9;
  return count <= 20_000 ? 6 : 4;
}

export const LETTERED = 15;

/** Outlines a mark round a middle. */
export function outlineMark(
  brush: CanvasRenderingContext2D,
  mark: number,
  x: number,
  y: number,
  half: number,
): void {
  brush.beginPath();
  if (mark === WRONG) {
    const wide = 1.25 * half;
    brush.moveTo(x, y - wide);
    brush.lineTo(x + wide, y);
    brush.lineTo(x, y + wide);
    brush.lineTo(x - wide, y);
    brush.closePath();
  } else if (mark === OPEN) brush.rect(x - 0.9 * half, y - 0.9 * half, 1.8 * half, 1.8 * half);
  else brush.arc(x, y, half, 0, 2 * Math.PI);
}

/** Draws a mark. */
export function drawMark(
  brush: CanvasRenderingContext2D,
  concept: Concept | null,
  mark: number,
  standing: Standing,
  at: { x: number; y: number; size: number; scale: number },
  { dark, ground, ink }: Palette,
): void {
  const { x, y, size, scale } = at;
  const hue = concept ? hueOn(concept.hue, dark) : GREY;
  const half = (size / 2) * scale;
  const [letters, edged] = [size >= LETTERED, (concept?.texture ?? 0) > 0];
  if (standing === "chosen") {
    const small = size < 9; // of many: a line, or nothing but rings would be seen
    outlineMark(brush, mark, x, y, half + (small ? 1 : 3) * scale);
    brush.fillStyle = ink;
    brush.fill();
    outlineMark(brush, mark, x, y, half + (small ? 0 : 1.25) * scale);
    brush.fillStyle = ground;
    brush.fill();
  }
  outlineMark(brush, mark, x, y, half);
  brush.globalAlpha = standing === "dim" ? 0.22 : 1;
  brush.fillStyle = hue;
  brush.fill();
  if (size > 4 && standing !== "dim") {
    brush.lineWidth = (edged ? 1.25 : 0.75) * scale;
    brush.strokeStyle = edged ? ink : ground;
    brush.stroke();
  }
  if (letters && standing !== "dim") {
    brush.font = `600 ${9 * scale}px system-ui, sans-serif`;
    brush.textAlign = "center";
    brush.textBaseline = "middle";
    brush.fillStyle = inkOn(hue);
    brush.fillText(concept?.letter ?? NO_LETTER, x, y + 0.5 * scale);
  } else if (concept?.texture === 2 && size > 4 && standing !== "dim") {
    brush.beginPath();
    brush.arc(x, y, scale, 0, 2 * Math.PI);
    brush.fillStyle = inkOn(hue);
    brush.fill();
  }
  brush.globalAlpha = 1;
}

/** Draws each mark once. */
export class Stamps {
  #known = new Map<string, Stamp | null>();
  #palette = "";

  get(
    concept: Concept | null,
    mark: number,
    standing: Standing,
    size: number,
    scale: number,
    palette: Palette,
  ): Stamp | null {
    const colours = JSON.stringify(palette);
    if (colours !== this.#palette) this.#known.clear();
    this.#palette = colours;
    const key = `${concept?.hue},${concept?.letter},${mark},${standing},${size},${scale}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const side = 2 * Math.ceil((0.625 * size + 4) * scale) + 1;
    const canvas = document.createElement("canvas");
    canvas.width = canvas.height = side;
    const brush = canvas.getContext("2d", { willReadFrequently: true });
    if (!brush) return null;
    drawMark(brush, concept, mark, standing, { x: side / 2, y: side / 2, size, scale }, palette);
    const stamp = trim(brush.getImageData(0, 0, side, side));
    this.#known.set(key, stamp);
    return stamp;
  }
}

/** Cuts empty edges off, the same on all sides: fewer pixels are then copied. */
function trim({ data, width: side }: ImageData): Stamp {
  let edge = 0;
  const empty = (k: number) => {
    for (let i = k; i < side - k; i++) {
      const along = [k * side + i, (side - 1 - k) * side + i, i * side + k, i * side + side - 1 - k];
      if (along.some((at) => (data[4 * at + 3] as number) > 0)) return false;
    }
    return true;
  };
  while (2 * edge < side - 1 && empty(edge)) edge += 1;
  const kept = side - 2 * edge;
  const out = new Uint8ClampedArray(4 * kept * kept);
  for (let y = 0; y < kept; y++) {
    const from = 4 * ((y + edge) * side + edge);
    out.set(data.subarray(from, from + 4 * kept), 4 * y * kept);
  }
  return { side: kept, data: out };
}

/** Copies a mark onto opaque pixels, its middle at a place; what lies outside is left out. */
export function copyStamp(
  out: Uint8ClampedArray,
  width: number,
  height: number,
  { side, data }: Stamp,
  x: number,
  y: number,
): void {
  const [left, top] = [x - (side >> 1), y - (side >> 1)];
  const [from, to] = [Math.max(0, -left), Math.min(side, width - left)];
  for (let row = Math.max(0, -top); row < Math.min(side, height - top); row++) {
    let [source, target] = [4 * (row * side + from), 4 * ((top + row) * width + left + from)];
    for (let column = from; column < to; column++, source += 4, target += 4) {
      const alpha = data[source + 3] as number;
      if (alpha === 0) continue;
      const keep = 255 - alpha;
      for (let c = 0; c < 3; c++)
        out[target + c] = ((data[source + c] as number) * alpha + (out[target + c] as number) * keep) / 255;
    }
  }
}
