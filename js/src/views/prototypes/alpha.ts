/** Alpha as transparency: a pixel is opaque from a percentile of the picture's alpha on. */
import type { Box } from "../../core/box";

const LEVELS = 256;

/**
 * Opacity of each level, from 0 to 255.
 *
 * @param levels - of the pixels: 255 times the square root of alpha as a share of its largest value
 * @param percentile - from which a pixel is opaque, 0 to 100
 */
export function opacities(levels: ArrayLike<number>, percentile: number): Uint8ClampedArray {
  const counts = new Uint32Array(LEVELS);
  for (let i = 0; i < levels.length; i++)
    counts[levels[i] as number] = (counts[levels[i] as number] ?? 0) + 1;
  const rank = ((levels.length - 1) * percentile) / 100;
  let [top, seen] = [0, 0];
  while (top < LEVELS - 1 && seen + (counts[top] ?? 0) <= rank) seen += counts[top++] ?? 0;
  const plain = counts.some((count) => count > 0 && count === levels.length); // it tells nothing
  return Uint8ClampedArray.from({ length: LEVELS }, (_, level) =>
    plain || top === 0 ? 255 : 255 * Math.min(1, (level / top) ** 2),
  );
}

/** Levels of a part of a picture of greys. */
function readLevels(bitmap: ImageBitmap, box: Box): Uint8Array | null {
  const canvas = document.createElement("canvas");
  canvas.width = box.width;
  canvas.height = box.height;
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  if (!brush) return null;
  brush.drawImage(bitmap, box.x, box.y, box.width, box.height, 0, 0, box.width, box.height);
  const { data } = brush.getImageData(0, 0, box.width, box.height);
  return Uint8Array.from({ length: box.width * box.height }, (_, i) => data[4 * i] as number);
}

interface Mask {
  levels: Uint8Array;
  percentile: number;
  canvas: HTMLCanvasElement;
}

const masks = new WeakMap<ImageBitmap, Map<string, Mask>>();

/**
 * A canvas that is opaque where a prototype is.
 *
 * @param bitmap - alpha, of one prototype or of many
 * @param box - the prototype's part of it
 * @param percentile - from which a pixel is opaque
 */
export function maskOf(bitmap: ImageBitmap, box: Box, percentile: number): HTMLCanvasElement | null {
  const key = `${box.x},${box.y},${box.width},${box.height}`;
  const known = masks.get(bitmap) ?? new Map<string, Mask>();
  masks.set(bitmap, known);
  const mask = known.get(key);
  if (mask?.percentile === percentile) return mask.canvas;
  const levels = mask?.levels ?? readLevels(bitmap, box);
  if (!levels) return null;
  const canvas = mask?.canvas ?? document.createElement("canvas");
  canvas.width = box.width;
  canvas.height = box.height;
  const brush = canvas.getContext("2d");
  if (!brush) return null;
  const of = opacities(levels, percentile);
  const image = brush.createImageData(box.width, box.height);
  for (let i = 0; i < levels.length; i++) image.data[4 * i + 3] = of[levels[i] as number] as number;
  brush.putImageData(image, 0, 0);
  known.set(key, { levels, percentile, canvas });
  return canvas;
}

/** Makes what has been drawn transparent where a mask is. */
export function applyMask(brush: CanvasRenderingContext2D, mask: HTMLCanvasElement): void {
  brush.save();
  brush.globalCompositeOperation = "destination-in";
  brush.imageSmoothingQuality = "high";
  brush.drawImage(mask, 0, 0, brush.canvas.width, brush.canvas.height);
  brush.restore();
}
