/** Drawing prototypes of concepts, on the cards and beside the crops of the opened one. */
import type { CardKind, ConceptProtos, ConceptTraits, OpenedProto } from "../../core/concept_wire";
import type { AnyModel } from "../../core/model";
import { Bitmaps } from "../prototypes/bitmaps";
import { type Pieces, paintProto, tileBox, whole } from "../prototypes/painting";
import type { Concept } from "./state";

/** Side of the opened concept's canvas. */
export const SIDE = 384;

/** A concept as far as its prototype goes. */
type Known = Pick<Concept, "id" | "parts">;

export class Protos {
  #model: AnyModel<ConceptTraits>;
  #bitmaps: Bitmaps;
  #canvas = document.createElement("canvas");
  /** What was painted last on each canvas, so that it is not painted again. */
  #painted = new WeakMap<HTMLCanvasElement, string>();
  #numbers = new WeakMap<ImageBitmap, number>();
  #count = 0;
  /** Those that were looked at, as long as nothing has grown on, and the mosaic that they go with. */
  #kept = new Map<number, OpenedProto>();
  #mosaic: DataView | undefined;

  /**
   * @param model - holds `_prototypes`
   * @param signal - gives the memory back
   * @param ready - called when one can be drawn
   */
  constructor(model: AnyModel<ConceptTraits>, signal: AbortSignal, ready: () => void) {
    this.#model = model;
    this.#bitmaps = new Bitmaps(signal, ready);
  }

  get #all(): Partial<ConceptProtos> {
    return this.#model.get("_prototypes") ?? {};
  }

  /** Whether there are any. */
  get some(): boolean {
    return (this.#all.ids?.length ?? 0) > 0;
  }

  /** What the cards show in large, where they can. */
  get kind(): CardKind {
    return this.some ? (this.#model.get("card_kind") ?? "prototypes") : "crops";
  }

  /** Whether a concept has one; a merged concept has no direction, and thus none. */
  has({ id, parts }: Known): boolean {
    return parts.length === 1 && (this.#all.ids?.includes(id) ?? false);
  }

  /** How a concept's prototype was made, and its large picture, once they are here. */
  opened(id: number): OpenedProto | undefined {
    if (this.#mosaic !== this.#all.mosaic) this.#kept.clear();
    this.#mosaic = this.#all.mosaic;
    for (const [key, each] of Object.entries(this.#model.get("_prototype") ?? {}))
      this.#kept.set(Number(key), each);
    return this.#kept.get(id);
  }

  /** Paints it into the upper left corner of a canvas, unless it is there. */
  paintSmall(canvas: HTMLCanvasElement, id: number, side: number, anew: boolean): void {
    this.#paint(canvas, id, this.#tile(id), side, anew);
  }

  /** Paints it, as large as it is here, over a canvas of its own. */
  paintLarge(canvas: HTMLCanvasElement, id: number): void {
    const large = this.opened(id);
    const image = this.#bitmaps.get(large?.image);
    const alpha = this.#bitmaps.get(large?.alpha);
    if (canvas.width !== SIDE) canvas.width = canvas.height = SIDE;
    const pieces = image ? { image: whole(image), alpha: alpha && whole(alpha) } : this.#tile(id);
    this.#paint(canvas, id, pieces, SIDE, false);
  }

  #tile(id: number): Pieces | null {
    const { ids, sizes, mosaic, alpha, side, columns } = this.#all;
    const [image, levels] = [this.#bitmaps.get(mosaic), this.#bitmaps.get(alpha)];
    const number = ids?.indexOf(id) ?? -1;
    const size = sizes?.[number];
    if (!image || !levels || !size || !side || !columns) return null;
    const half = Math.max(16, Math.floor(side / 2));
    return {
      image: { bitmap: image, box: tileBox(number, side, columns, size) },
      alpha: { bitmap: levels, box: tileBox(number, half, columns, size) },
    };
  }

  #paint(canvas: HTMLCanvasElement, id: number, pieces: Pieces | null, side: number, anew: boolean): void {
    const brush = canvas.getContext("2d");
    if (!brush || !pieces) return;
    const percentile = this.#model.get("percentile") ?? 80;
    const drawn = [pieces.image, pieces.alpha].map((piece) => piece && this.#numberOf(piece.bitmap));
    const key = `${id}/${drawn}/${percentile}`;
    if (!anew && this.#painted.get(canvas) === key) return;
    this.#painted.set(canvas, key);
    const { width, height } = pieces.image.box;
    const scale = side / Math.max(width, height);
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(height * scale);
    const own = this.#canvas.getContext("2d");
    if (!own) return;
    paintProto(own, pieces, percentile);
    brush.clearRect(0, 0, side, side);
    brush.drawImage(this.#canvas, (side - this.#canvas.width) / 2, (side - this.#canvas.height) / 2);
  }

  #numberOf(bitmap: ImageBitmap): number {
    const number = this.#numbers.get(bitmap) ?? ++this.#count;
    this.#numbers.set(bitmap, number);
    return number;
  }
}
