/** Drawing on the canvas: photo, what is not seen, map, uncertainty, the cell that is read, and the wipe. */
import type { Box } from "../../core/box";
import { type PaletteName, paintSigned, paintValues } from "../../core/colormap";
import { smoothField } from "../../core/field";
import type { Plane } from "../../core/planes";
import { cellBox, hatch, outline, paintUnseen, paintWipe } from "../shared/canvas";
import type { Picture } from "../shared/photos";

export interface Scene {
  picture: Picture | null;
  /** Box of what the model sees. */
  seen: Box;
  /** The crop is smaller than the photo. */
  cropped: boolean;
  /** The map's colours, or null if none is drawn. */
  overlay: HTMLCanvasElement | null;
  smooth: boolean;
  opacity: number;
  wipe: number | null;
  /** Cells with too wide an interval. */
  unsure: readonly number[];
  grid: readonly [number, number];
  /** Cells that carry a plus or a minus. */
  signs: readonly { cell: number; positive: boolean }[];
  cell: number | null;
  /** The cell whose partners are shown, and they, the strongest first. */
  pinned: number | null;
  partners: readonly number[];
  dark: boolean;
  /** Pixels of the canvas for one of the page. */
  scale: number;
}

/** Pixels of a drawn map along its longer side; the browser enlarges it to the screen. */
const FIELD = 144;

/** A map as colours; it remembers the smooth field of the last plane, since sliders redraw the same one. */
export class Overlay {
  readonly canvas = document.createElement("canvas");
  #plane: Plane | null = null;
  #smooth = true;
  #field: Float32Array = new Float32Array(0);

  /** Paints a map, and returns the canvas it is on. */
  paint(
    plane: Plane,
    max: number,
    name: PaletteName | "signed",
    threshold: number,
    smooth: boolean,
  ): HTMLCanvasElement {
    if (plane !== this.#plane || smooth !== this.#smooth) this.#shape(plane, smooth);
    const brush = this.canvas.getContext("2d");
    if (!brush) return this.canvas;
    const image = brush.createImageData(this.canvas.width, this.canvas.height);
    if (name === "signed") paintSigned(this.#field, max, threshold, image.data);
    else paintValues(this.#field, max, name, threshold, image.data);
    brush.putImageData(image, 0, 0);
    return this.canvas;
  }

  #shape(plane: Plane, smooth: boolean): void {
    const { rows, columns, values } = plane;
    const unit = smooth ? Math.max(1, Math.floor(FIELD / Math.max(rows, columns))) : 1;
    this.canvas.width = columns * unit;
    this.canvas.height = rows * unit;
    this.#field = smooth ? smoothField(values, rows, columns, rows * unit, columns * unit) : values;
    this.#plane = plane;
    this.#smooth = smooth;
  }
}

/**
 * Cells that say little: the 95 % interval's half width is above 60 % of the map's maximum, or the interval reaches
 * down to nothing (2 % of the maximum) although something is painted.
 */
export function unsureCells(plane: Plane, max: number, threshold: number): number[] {
  const cells: number[] = [];
  plane.values.forEach((signedValue, cell) => {
    const value = Math.abs(signedValue);
    const half = 1.96 * (plane.errors[cell] ?? 0);
    const painted = value > threshold * max;
    if (half > 0.6 * max || (painted && value - half <= 0.02 * max)) cells.push(cell);
  });
  return cells;
}

/** Cells strong enough for a sign of their own, so that hue is not alone. */
export function signsOf(plane: Plane, max: number, threshold: number): Scene["signs"] {
  const least = Math.max(0.25, threshold) * max;
  return [...plane.values].flatMap((value, cell) =>
    Math.abs(value) >= least ? [{ cell, positive: value > 0 }] : [],
  );
}

/** Draws everything. */
export function paintScene(brush: CanvasRenderingContext2D, scene: Scene): void {
  const { width, height } = brush.canvas;
  brush.clearRect(0, 0, width, height);
  if (!scene.picture) return;
  brush.imageSmoothingQuality = "high";
  brush.drawImage(scene.picture.bitmap, 0, 0, width, height);
  if (scene.overlay) paintMap(brush, scene, scene.picture, scene.overlay);
  if (scene.cropped) paintUnseen(brush, scene.seen, scene.scale, scene.dark);
  scene.partners.forEach((cell, rank) => {
    const box = cellBox(cell, scene.grid, scene.seen);
    outline(brush, box, scene.scale);
    number(brush, box, rank + 1, scene.scale);
  });
  if (scene.pinned !== null) pin(brush, cellBox(scene.pinned, scene.grid, scene.seen), scene.scale);
  if (scene.cell !== null) outline(brush, cellBox(scene.cell, scene.grid, scene.seen), scene.scale);
  if (scene.overlay && scene.wipe !== null) paintWipe(brush, scene.wipe * width, height, scene.scale);
}

function paintMap(
  brush: CanvasRenderingContext2D,
  scene: Scene,
  picture: Picture,
  overlay: HTMLCanvasElement,
): void {
  const { seen } = scene;
  const { width, height } = brush.canvas;
  brush.save();
  brush.beginPath();
  const right = scene.wipe === null ? width : scene.wipe * width;
  brush.rect(seen.x, seen.y, Math.max(0, Math.min(seen.width, right - seen.x)), seen.height);
  brush.clip();
  brush.globalAlpha = scene.opacity;
  brush.drawImage(picture.muted, 0, 0, width, height);
  brush.imageSmoothingEnabled = scene.smooth;
  brush.drawImage(overlay, seen.x, seen.y, seen.width, seen.height);
  brush.globalAlpha = 1;
  for (const cell of scene.unsure) hatch(brush, cellBox(cell, scene.grid, seen), scene.scale);
  for (const { cell, positive } of scene.signs)
    sign(brush, cellBox(cell, scene.grid, seen), positive, scene.scale);
  brush.restore();
}

/** A plus or a minus in the middle of a box, white on dark. */
function sign(brush: CanvasRenderingContext2D, box: Box, positive: boolean, scale: number): void {
  const x = box.x + box.width / 2;
  const y = box.y + box.height / 2;
  const arm = 4 * scale;
  brush.beginPath();
  brush.moveTo(x - arm, y);
  brush.lineTo(x + arm, y);
  if (positive) {
    brush.moveTo(x, y - arm);
    brush.lineTo(x, y + arm);
  }
  brush.lineCap = "round";
  brush.lineWidth = 3.6 * scale;
  brush.strokeStyle = "rgba(0,0,0,.5)";
  brush.stroke();
  brush.lineWidth = 1.6 * scale;
  brush.strokeStyle = "#fff";
  brush.stroke();
}

/** Marks the cell that others are compared with: a frame inside a frame. */
function pin(brush: CanvasRenderingContext2D, box: Box, scale: number): void {
  const inset = 1.5 * scale;
  brush.lineWidth = 7 * scale;
  brush.strokeStyle = "rgba(0,0,0,.72)";
  brush.strokeRect(box.x + inset, box.y + inset, box.width - 2 * inset, box.height - 2 * inset);
  brush.lineWidth = 3 * scale;
  brush.strokeStyle = "#fff";
  brush.strokeRect(box.x + inset, box.y + inset, box.width - 2 * inset, box.height - 2 * inset);
}

/** A rank in the corner of a box. */
function number(brush: CanvasRenderingContext2D, box: Box, rank: number, scale: number): void {
  const side = 14 * scale;
  const x = box.x + 1.5 * scale;
  const y = box.y + 1.5 * scale;
  brush.fillStyle = "#fff";
  brush.fillRect(x, y, side, side);
  brush.fillStyle = "#111";
  brush.font = `600 ${11 * scale}px system-ui, sans-serif`;
  brush.textAlign = "center";
  brush.textBaseline = "middle";
  brush.fillText(String(rank), x + side / 2, y + side / 2 + 0.5 * scale);
}
