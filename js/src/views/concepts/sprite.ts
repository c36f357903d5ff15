/** All crops in one picture. */
import { decodeJpeg } from "../shared/jpeg";

export class Sprite {
  #bytes: DataView | null = null;
  #bitmap: ImageBitmap | null = null;
  #signal: AbortSignal;
  #ready: () => void;

  /**
   * @param signal - gives the memory back
   * @param ready - called when it can be drawn
   */
  constructor(signal: AbortSignal, ready: () => void) {
    this.#signal = signal;
    this.#ready = ready;
    signal.addEventListener("abort", () => this.#bitmap?.close(), { once: true });
  }

  /** The picture of these bytes, or null until it is decoded. */
  get(bytes: DataView | undefined): ImageBitmap | null {
    if (!bytes || bytes.byteLength === 0) return null;
    if (bytes !== this.#bytes) {
      this.#bytes = bytes;
      this.#bitmap?.close();
      this.#bitmap = null;
      decodeJpeg(bytes)
        .then((bitmap) => this.#keep(bytes, bitmap))
        .catch((error) => console.warn("[whatwhere] the crops cannot be read", error));
    }
    return this.#bitmap;
  }

  #keep(bytes: DataView, bitmap: ImageBitmap): void {
    if (this.#signal.aborted || bytes !== this.#bytes) {
      bitmap.close();
      return;
    }
    this.#bitmap = bitmap;
    this.#ready();
  }
}

/** Where a crop lies on a canvas. */
export interface Tile {
  at: number;
  x: number;
  y: number;
  side: number;
}

/** Crop painted last on each canvas, so that it is not painted again. */
const painted = new WeakMap<HTMLCanvasElement, string>();
const owners = new WeakMap<ImageBitmap, number>();
let bitmaps = 0;

/**
 * Paints crops, unless the canvas has them already.
 *
 * @param canvas - where
 * @param size - width and height of the canvas
 * @param bitmap - crops in a grid
 * @param side - of a crop in it
 * @param columns - of the grid
 * @param tiles - which crops, and where they go
 * @returns whether it was painted anew
 */
export function paintTiles(
  canvas: HTMLCanvasElement,
  size: readonly [number, number],
  bitmap: ImageBitmap,
  side: number,
  columns: number,
  tiles: readonly Tile[],
): boolean {
  const number = owners.get(bitmap) ?? ++bitmaps;
  owners.set(bitmap, number);
  const key = `${number}/${size}/${tiles.map(({ at, x, y }) => `${at}@${x},${y}`)}`;
  if (painted.get(canvas) === key) return false;
  painted.set(canvas, key);
  [canvas.width, canvas.height] = size;
  const brush = canvas.getContext("2d");
  if (!brush) return true;
  brush.imageSmoothingQuality = "high";
  for (const { at, x, y, side: wanted } of tiles) {
    const from = [(at % columns) * side, Math.floor(at / columns) * side] as const;
    brush.drawImage(bitmap, from[0], from[1], side, side, x, y, wanted, wanted);
  }
  return true;
}
