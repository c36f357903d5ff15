/** How a photo's logit is made up: one bar for, one against, on a scale that all photos share. */
import type { PhotoInfo } from "../../core/concept_wire";
import type { Concept } from "./state";

export interface Piece {
  /** Null for what no concept explains, and for many small ones together. */
  concept: Concept | null;
  kind: "concept" | "residual" | "small";
  /** Logits, signed. */
  value: number;
  /** Of "small": how many there are. */
  count: number;
}

export interface Sums {
  plus: Piece[];
  minus: Piece[];
  /** Logits that the whole width stands for. */
  scale: number;
}

/** Pieces below this share of the width are drawn as one. */
const SMALL = 0.012;
/** Less than this of the width is not drawn at all. */
const VISIBLE = 0.002;

/** Sum of what a photo's pieces add, and of what they take. */
function totals(image: PhotoInfo): [number, number] {
  const values = [...image.contributions, restOf(image)];
  return [sum(values.filter((v) => v > 0)), -sum(values.filter((v) => v < 0))];
}

/** What the concepts leave unexplained, and how far the sum is off. */
export function restOf({ residual, gap }: PhotoInfo): number {
  return (residual ?? 0) + (gap ?? 0);
}

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}

/** Logits that the whole width stands for, for all photos alike. */
export function evidenceScale(images: readonly PhotoInfo[]): number {
  return Math.max(1e-9, ...images.map((image) => Math.max(...totals(image))));
}

/** Splits a photo's logit. */
export function splitEvidence(image: PhotoInfo, rows: readonly Concept[], scale: number): Sums {
  const pieces = rows.map((concept): Piece => {
    return { concept, kind: "concept", value: image.contributions[concept.row] ?? 0, count: 1 };
  });
  const rest = restOf(image);
  const residual: Piece = { concept: null, kind: "residual", value: rest, count: 1 };
  const side = (sign: number): Piece[] => {
    const mine = pieces
      .filter(({ value }) => value * sign > VISIBLE * scale)
      .sort((a, b) => sign * (b.value - a.value));
    const large = mine.filter(({ value }) => sign * value >= SMALL * scale);
    const small = mine.slice(large.length);
    const together = sum(small.map(({ value }) => value));
    return [
      ...large,
      ...(small.length
        ? [{ concept: null, kind: "small" as const, value: together, count: small.length }]
        : []),
      ...(rest * sign > VISIBLE * scale ? [residual] : []),
    ];
  };
  return { plus: side(1), minus: side(-1), scale };
}
