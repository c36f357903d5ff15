/** Drawing a prototype on a canvas: from its large picture, from a frame of its way, or from the mosaic. */
import type { Box } from "../../core/box";
import { paintValues } from "../../core/colormap";
import type { AnyModel } from "../../core/model";
import type { FramesInfo, ProtoTraits } from "../../core/proto_wire";
import { paintWipe } from "../shared/canvas";
import { applyMask, maskOf } from "./alpha";
import type { Bitmaps } from "./bitmaps";
import { fitted, type Proto, type ViewState } from "./state";

/** A part of a decoded picture. */
interface Piece {
  bitmap: ImageBitmap;
  box: Box;
}

/** What a prototype is drawn from. */
export interface Pieces {
  image: Piece;
  alpha: Piece | null;
}

/** All of a picture. */
export const whole = (bitmap: ImageBitmap): Piece => ({
  bitmap,
  box: { x: 0, y: 0, width: bitmap.width, height: bitmap.height },
});

/** Box of a tile, in a mosaic of squares. */
export function tileBox(number: number, side: number, columns: number, size: readonly [number, number]): Box {
  const [height, width] = fitted(size, side);
  return { x: (number % columns) * side, y: Math.floor(number / columns) * side, width, height };
}

/** The small picture of a prototype. */
export function smallPieces(model: AnyModel<ProtoTraits>, bitmaps: Bitmaps, proto: Proto): Pieces | null {
  const bitmap = bitmaps.get(model.get("_mosaic"));
  const alpha = bitmaps.get(model.get("_mosaic_alpha"));
  if (!bitmap) return null;
  const [side, columns] = [model.get("_side"), model.get("_columns")];
  const half = Math.max(16, Math.floor(side / 2));
  const piece = (of: ImageBitmap, each: number) => ({
    bitmap: of,
    box: tileBox(proto.number, each, columns, proto.size),
  });
  return { image: piece(bitmap, side), alpha: alpha && piece(alpha, half) };
}

/** The best picture of a prototype that is here. */
export function bestPieces(
  model: AnyModel<ProtoTraits>,
  bitmaps: Bitmaps,
  proto: Proto,
  state: ViewState,
): Pieces | null {
  const large = state.kept.get(proto.number);
  const image = bitmaps.get(large?.image);
  if (!image) return smallPieces(model, bitmaps, proto);
  const alpha = bitmaps.get(large?.alpha);
  return { image: whole(image), alpha: alpha && whole(alpha) };
}

/** A frame of the way; it has the alpha of the whole. */
export function framePieces(
  bitmaps: Bitmaps,
  proto: Proto,
  frames: FramesInfo,
  frame: number,
  alpha: Piece | null,
): Pieces | null {
  const bitmap = bitmaps.get(frames.data);
  return bitmap && { image: { bitmap, box: tileBox(frame, frames.side, frames.columns, proto.size) }, alpha };
}

function drawPiece(brush: CanvasRenderingContext2D, { bitmap, box }: Piece): void {
  const { width, height } = brush.canvas;
  brush.imageSmoothingQuality = "high";
  brush.drawImage(bitmap, box.x, box.y, box.width, box.height, 0, 0, width, height);
}

/**
 * Draws a prototype over the whole canvas.
 *
 * @param brush - of the canvas
 * @param pieces - what it is drawn from
 * @param percentile - of alpha from which it is opaque; null draws all of it
 */
export function paintProto(brush: CanvasRenderingContext2D, pieces: Pieces, percentile: number | null): void {
  brush.clearRect(0, 0, brush.canvas.width, brush.canvas.height);
  drawPiece(brush, pieces.image);
  const mask =
    percentile !== null && pieces.alpha ? maskOf(pieces.alpha.bitmap, pieces.alpha.box, percentile) : null;
  if (mask) applyMask(brush, mask);
}

/** Percentile from which a prototype is opaque; null where all of it is shown, as of a photo. */
export function fadeOf(model: AnyModel<ProtoTraits>, proto: Proto): number | null {
  return model.get("transparency") && !proto.seeded ? model.get("percentile") : null;
}

/** Draws the photo over the left part of an accentuated one. */
export function paintBefore(
  brush: CanvasRenderingContext2D,
  photo: ImageBitmap,
  share: number,
  scale: number,
): void {
  const { width, height } = brush.canvas;
  brush.save();
  brush.beginPath();
  brush.rect(0, 0, share * width, height);
  brush.clip();
  brush.clearRect(0, 0, width, height);
  drawPiece(brush, whole(photo));
  brush.restore();
  paintWipe(brush, share * width, height, scale);
}

const differences = new WeakMap<ImageBitmap, HTMLCanvasElement>();
/** Side of the map of what changed, in pixels. */
const SIDE = 160;

/** Draws what an accentuation changed, in magma over the photo in grey. */
export function paintDifference(
  brush: CanvasRenderingContext2D,
  photo: ImageBitmap,
  after: ImageBitmap,
): void {
  const { width, height } = brush.canvas;
  brush.clearRect(0, 0, width, height);
  brush.save();
  brush.filter = "grayscale(1) opacity(.55)";
  drawPiece(brush, whole(photo));
  brush.restore();
  const map = differences.get(after) ?? drawDifference(photo, after);
  if (map) {
    differences.set(after, map);
    brush.drawImage(map, 0, 0, width, height);
  }
}

function drawDifference(photo: ImageBitmap, after: ImageBitmap): HTMLCanvasElement | null {
  const [height, width] = fitted(
    [photo.height, photo.width],
    Math.min(SIDE, Math.max(photo.width, photo.height)),
  );
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  if (!brush) return null;
  const pixels = [photo, after].map((bitmap) => {
    drawPiece(brush, whole(bitmap));
    return brush.getImageData(0, 0, width, height).data;
  }) as [Uint8ClampedArray, Uint8ClampedArray];
  const sizes = differenceOf(...pixels);
  const out = brush.createImageData(width, height);
  paintValues(sizes, highest(sizes), "magma", 0.1, out.data);
  brush.putImageData(out, 0, 0);
  return canvas;
}

/** Mean size of the difference of red, green and blue, a pixel. */
export function differenceOf(a: ArrayLike<number>, b: ArrayLike<number>): Float32Array {
  const at = (values: ArrayLike<number>, i: number) => values[i] as number;
  return Float32Array.from({ length: a.length / 4 }, (_, i) => {
    const each = (c: number) => Math.abs(at(a, 4 * i + c) - at(b, 4 * i + c));
    return (each(0) + each(1) + each(2)) / 3;
  });
}

/** The value that 99 of 100 stay below: one odd pixel does not set the scale. */
export function highest(values: Float32Array): number {
  const sorted = values.slice().sort();
  return Math.max(1, sorted[Math.floor(0.99 * (sorted.length - 1))] ?? 0);
}
