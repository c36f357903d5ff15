/** Drawing that the pictures of all views have in common. */
import type { Box } from "../../core/box";

/** Box of a cell. */
export function cellBox(cell: number, grid: readonly [number, number], seen: Box): Box {
  const [rows, columns] = grid;
  const width = seen.width / columns;
  const height = seen.height / rows;
  const row = Math.floor(cell / columns);
  return { x: seen.x + (cell % columns) * width, y: seen.y + row * height, width, height };
}

/** Diagonal lines through a box, white on dark, so that they show on any colour. */
export function hatch(brush: CanvasRenderingContext2D, box: Box, scale: number): void {
  brush.save();
  brush.beginPath();
  brush.rect(box.x, box.y, box.width, box.height);
  brush.clip();
  diagonals(brush, box, 6 * scale);
  brush.lineWidth = 2.2 * scale;
  brush.strokeStyle = "rgba(0,0,0,.34)";
  brush.stroke();
  brush.lineWidth = scale;
  brush.strokeStyle = "rgba(255,255,255,.82)";
  brush.stroke();
  brush.restore();
}

/** Lines at 45 degrees whose phase belongs to the picture, so that neighbouring boxes join. */
function diagonals(brush: CanvasRenderingContext2D, box: Box, step: number): void {
  const bottom = box.y + box.height;
  brush.beginPath();
  for (let s = Math.ceil((box.x + box.y) / step) * step; s < box.x + box.width + bottom; s += step) {
    brush.moveTo(s - bottom, bottom);
    brush.lineTo(s - box.y, box.y);
  }
}

/** Fades what lies outside the crop into the page, with fine hatching, and draws the crop's edge. */
export function paintUnseen(brush: CanvasRenderingContext2D, seen: Box, scale: number, dark: boolean): void {
  const { width, height } = brush.canvas;
  const ink = dark ? "255,255,255" : "20,20,18";
  brush.save();
  brush.beginPath();
  brush.rect(0, 0, width, height);
  brush.rect(seen.x, seen.y, seen.width, seen.height);
  brush.clip("evenodd");
  brush.fillStyle = dark ? "rgba(19,19,18,.66)" : "rgba(255,255,255,.68)";
  brush.fillRect(0, 0, width, height);
  diagonals(brush, { x: 0, y: 0, width, height }, 6 * scale);
  brush.lineWidth = Math.max(1, 0.75 * scale);
  brush.strokeStyle = `rgba(${ink},.13)`;
  brush.stroke();
  brush.restore();
  const line = Math.max(1, Math.round(scale));
  brush.lineWidth = line;
  brush.strokeStyle = `rgba(${ink},.55)`;
  brush.strokeRect(seen.x - line / 2, seen.y - line / 2, seen.width + line, seen.height + line);
}

/** Draws a box that shows on any colour. */
export function outline(brush: CanvasRenderingContext2D, box: Box, scale: number): void {
  const inset = 1.5 * scale;
  const rect = [box.x + inset, box.y + inset, box.width - 2 * inset, box.height - 2 * inset] as const;
  brush.lineWidth = 3.5 * scale;
  brush.strokeStyle = "rgba(0,0,0,.5)";
  brush.strokeRect(...rect);
  brush.lineWidth = 1.5 * scale;
  brush.strokeStyle = "#fff";
  brush.strokeRect(...rect);
}

/** Draws the edge between map and photo. */
export function paintWipe(brush: CanvasRenderingContext2D, x: number, height: number, scale: number): void {
  brush.fillStyle = "rgba(0,0,0,.4)";
  brush.fillRect(x - 1.5 * scale, 0, 3 * scale, height);
  brush.fillStyle = "#fff";
  brush.fillRect(x - 0.75 * scale, 0, 1.5 * scale, height);
}

/**
 * Fits a canvas to the screen's pixels; without layout (a hidden cell) it stays as it is.
 *
 * @param canvas - fills the frame
 * @param frame - has the size on the page
 * @returns pixels of the canvas for one of the page
 */
export function fitCanvas(canvas: HTMLCanvasElement, frame: HTMLElement): number {
  const scale = Math.min(3, window.devicePixelRatio || 1);
  const width = Math.round(frame.clientWidth * scale);
  const height = Math.round(frame.clientHeight * scale);
  if (width > 0 && (canvas.width !== width || canvas.height !== height)) {
    canvas.width = width;
    canvas.height = height;
  }
  return scale;
}

/** Fills a square with the middle of a photo. */
export function paintThumbnail(canvas: HTMLCanvasElement, bitmap: ImageBitmap, size: number): void {
  canvas.width = canvas.height = size;
  const brush = canvas.getContext("2d");
  if (!brush) return;
  const side = Math.min(bitmap.width, bitmap.height);
  const [x, y] = [(bitmap.width - side) / 2, (bitmap.height - side) / 2];
  brush.imageSmoothingQuality = "high";
  brush.drawImage(bitmap, x, y, side, side, 0, 0, size, size);
}
