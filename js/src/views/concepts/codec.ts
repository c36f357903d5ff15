/** From bytes on the wire to numbers. */
import { CODE_LEVELS } from "../../core/concept_wire";

/** Values of cells, rows from the top. */
export interface CellPlane {
  rows: number;
  columns: number;
  values: Float32Array;
}

const HEADER = 8;

/** Cells of one concept in uint8 planes, or null if the bytes do not reach that far. */
export function decodeCells(
  bytes: DataView,
  [rows, columns]: readonly [number, number],
  place: number,
  top: number,
  header = 0,
): CellPlane | null {
  const cells = rows * columns;
  const start = header + place * cells;
  if (place < 0 || cells === 0 || bytes.byteLength < start + cells) return null;
  const values = Float32Array.from(
    { length: cells },
    (_, i) => (bytes.getUint8(start + i) / CODE_LEVELS) * top,
  );
  return { rows, columns, values };
}

/** Cells of one concept in planes that say their own size. */
export function decodeOverlay(bytes: DataView, place: number, top: number): CellPlane | null {
  if (bytes.byteLength < HEADER) return null;
  return decodeCells(bytes, [bytes.getUint32(0, true), bytes.getUint32(4, true)], place, top, HEADER);
}

/** A half-precision number (IEEE 754 binary16) from its bits. */
export function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Little-endian numbers; through the DataView, since its buffer often starts at an odd offset. */
export function readHalves(bytes: DataView, start: number, count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => halfToNumber(bytes.getUint16(2 * (start + i), true)));
}

/** Decodes each plane once. */
export class CellStore {
  #known = new WeakMap<DataView, Map<string, CellPlane | null>>();

  get(
    bytes: DataView | undefined,
    key: string,
    decode: (bytes: DataView) => CellPlane | null,
  ): CellPlane | null {
    if (!bytes) return null;
    const planes = this.#known.get(bytes) ?? new Map<string, CellPlane | null>();
    this.#known.set(bytes, planes);
    const known = planes.get(key);
    if (known !== undefined) return known;
    const plane = decode(bytes);
    planes.set(key, plane);
    return plane;
  }
}
