/** Photos as columns of numbers, from bytes on the wire. */
import { type PointsInfo, type Rule, TOP } from "../../core/strategy_wire";

/** Marks of photos: read as what they are, misread, or nobody said what they are. */
export const [RIGHT, WRONG, OPEN] = [0, 1, 2];
/** Stands for no concept, in numbers of one byte and of two. */
const NONE = { 1: 0xff, 2: 0xffff } as const;
const LEVELS = 65535;
const UNKNOWN = 65535;

export interface Points {
  count: number;
  /** Places, upwards. */
  x: Float32Array;
  y: Float32Array;
  /** Row of the concept that colours each photo, by rule; -1 for none. */
  rows: Record<Rule, Int16Array>;
  marks: Uint8Array;
  /** Whether a photo has a concept. */
  has(point: number, concept: number): boolean;
  /** Concepts that give most to a photo, with signed shares. */
  top(point: number): { concept: number; share: number }[];
  /** Places in the list of classes; null if not known. */
  said(point: number): number;
  truth(point: number): number | null;
  probability(point: number): number;
  names: readonly string[];
  /** Row of a photo by its name. */
  rowOf(name: string): number | undefined;
}

/** Little-endian numbers; through the DataView, since its buffer often starts at an odd offset. */
function readShorts(bytes: DataView, count: number): Uint16Array {
  return Uint16Array.from({ length: count }, (_, i) => bytes.getUint16(2 * i, true));
}

function bytesOf(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** Numbers of concepts, -1 for none. */
function readConcepts(bytes: DataView, count: number): Int16Array {
  const width = bytes.byteLength >= 2 * count ? 2 : 1;
  const raw = width === 2 ? readShorts(bytes, count) : bytesOf(bytes);
  return Int16Array.from({ length: count }, (_, i) => (raw[i] === NONE[width] ? -1 : (raw[i] as number)));
}

function axis(raw: Uint16Array, offset: number, count: number, low: number, high: number): Float32Array {
  return Float32Array.from(
    { length: count },
    (_, i) => low + ((raw[2 * i + offset] as number) / LEVELS) * (high - low),
  );
}

/** Decodes photos, or says that there are none. */
export function decodePoints(info: Partial<PointsInfo> | undefined, concepts: number): Points | null {
  if (!info?.count || !info.xy) return null;
  const told = info as PointsInfo;
  const { count, box } = told;
  const raw = readShorts(told.xy, 2 * count);
  const bits = bytesOf(told.present);
  const stride = Math.ceil(concepts / 8);
  const top = readConcepts(told.top, TOP_OF(concepts) * count);
  const names = new TextDecoder().decode(bytesOf(told.names)).split("\0");
  let places: Map<string, number> | null = null;
  return {
    count,
    x: axis(raw, 0, count, box[0], box[2]),
    y: axis(raw, 1, count, box[1], box[3]),
    rows: {
      strongest: readConcepts(told.strongest, count),
      distinctive: readConcepts(told.distinctive, count),
    },
    marks: bytesOf(told.marks),
    has: (point, concept) => (((bits[point * stride + (concept >> 3)] ?? 0) >> (concept & 7)) & 1) === 1,
    top: (point) =>
      Array.from({ length: TOP_OF(concepts) }, (_, k) => {
        const at = point * TOP_OF(concepts) + k;
        return { concept: top[at] as number, share: told.shares.getInt8(at) / 100 };
      }),
    said: (point) => told.said.getUint16(2 * point, true),
    truth: (point) => {
      const place = told.truth.getUint16(2 * point, true);
      return place === UNKNOWN ? null : place;
    },
    probability: (point) => told.p.getUint8(point) / 100,
    names,
    rowOf(name) {
      places ??= new Map(names.map((each, row) => [each, row]));
      return places.get(name);
    },
  };
}

/** Concepts told of a photo: fewer where there are fewer. */
const TOP_OF = (concepts: number) => Math.min(TOP, concepts);

/** Which photos are lit: those that have any of some concepts; all if there are none of these. */
export function litBy(points: Points, concepts: readonly number[]): Uint8Array {
  const lit = new Uint8Array(points.count).fill(1);
  if (concepts.length === 0) return lit;
  for (let i = 0; i < points.count; i++) lit[i] = concepts.some((k) => points.has(i, k)) ? 1 : 0;
  return lit;
}

/** Photos of each concept by a rule; the last entry counts those without. */
export function countBy(
  points: Points,
  rule: Rule,
  concepts: number,
  shown: (row: number) => boolean,
): number[] {
  const counts = new Array<number>(concepts + 1).fill(0);
  const rows = points.rows[rule];
  for (let i = 0; i < points.count; i++) {
    if (!shown(i)) continue;
    const place = rows[i] === -1 ? concepts : (rows[i] as number);
    counts[place] = (counts[place] ?? 0) + 1;
  }
  return counts;
}
