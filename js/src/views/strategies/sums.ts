/** Two logits of a photo and what adds up to each, from bytes on the wire. */
import type { SumsInfo } from "../../core/strategy_wire";

/** One line of the sum: what it adds to the first logit and to the second. */
export interface Line {
  /** Row of the concept, or what else it is. */
  what: number | "others" | "residual" | "base" | "gap";
  first: number;
  second: number;
  /** Concepts that it stands for. */
  count: number;
}

export interface Compared {
  /** Both classes, as places in the list of classes. */
  classes: [number, number];
  /** Whether the second is what the photo is, or the next likeliest. */
  kind: "true" | "next";
  /** One a concept, in their order. */
  concepts: { first: number; second: number }[];
  residual: [number, number];
  base: [number, number];
  gap: [number, number];
  logits: [number, number];
}

/** Numbers behind the contributions. */
const REST = 4;
/** A concept that parts two classes by less than this share of what the first does is not told of. */
export const LEAST = 0.05;
/** A gap below this is rounding. */
const NOTHING = 0.005;

/** Finds what a photo's logits are made of; null if the page does not hold it. */
export function findSums(
  info: Partial<SumsInfo> | undefined,
  row: number,
  concepts: number,
): Compared | null {
  const place = info?.rows?.findIndex(([photo]) => photo === row) ?? -1;
  const told = info?.rows?.[place];
  const values = info?.values;
  if (!told || !values) return null;
  const width = concepts + REST;
  const read = (side: number, k: number) => values.getFloat32(4 * ((2 * place + side) * width + k), true);
  const both = (k: number): [number, number] => [read(0, k), read(1, k)];
  return {
    classes: [told[1], told[2]],
    kind: told[3] === 0 ? "true" : "next",
    concepts: Array.from({ length: concepts }, (_, k) => ({ first: read(0, k), second: read(1, k) })),
    residual: both(concepts),
    base: both(concepts + 1),
    gap: both(concepts + 2),
    logits: both(concepts + 3),
  };
}

/** What a concept adds to the first logit more than to the second. */
export function differenceOf({ concepts }: Compared, row: number): number {
  const { first, second } = concepts[row] ?? { first: 0, second: 0 };
  return first - second;
}

/** Rows of the concepts, those first that part the two classes most. */
export function orderOf(compared: Compared): number[] {
  const apart = compared.concepts.map((_, k) => Math.abs(differenceOf(compared, k)));
  return apart.map((_, k) => k).sort((a, b) => (apart[b] as number) - (apart[a] as number) || a - b);
}

/** Lines of the sum: they add up to both logits. What is beyond `most` concepts is one line. */
export function linesOf(compared: Compared, most: number): Line[] {
  const order = orderOf(compared);
  const kept = order.length <= most + 1 ? order : order.slice(0, most);
  const left = order.slice(kept.length);
  const lines: Line[] = kept.map((k) => ({
    what: k,
    count: 1,
    ...(compared.concepts[k] as { first: number; second: number }),
  }));
  if (left.length > 0) {
    const sum = (side: "first" | "second") =>
      left.reduce((s, k) => s + (compared.concepts[k]?.[side] ?? 0), 0);
    lines.push({ what: "others", count: left.length, first: sum("first"), second: sum("second") });
  }
  for (const what of ["residual", "base", "gap"] as const) {
    const [first, second] = compared[what];
    if (what === "gap" && Math.abs(first) < NOTHING && Math.abs(second) < NOTHING) continue;
    lines.push({ what, count: 0, first, second });
  }
  return lines;
}
