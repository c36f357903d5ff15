/** How a photo's logit is made up: one bar for, one against, on a scale that all photos share. */
import type { PhotoInfo } from "../../core/concept_wire";
import { sum } from "./groups";
import { addedBy, type Concept } from "./state";

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

/** Of a photo's evidence: a concept that has as much is there; as in Python. */
export const PRESENT = 0.08;
/** Photos from which one can be told apart from the others. */
const ENOUGH = 5;

/** Share of a concept in all that the concepts add to a photo's logit and take from it. */
export function shareOf(concept: Concept, image: PhotoInfo): number {
  const all = sum(image.contributions.map(Math.abs));
  return all > 0 ? Math.abs(addedBy(concept, image)) / all : 0;
}

export interface Standing {
  concept: Concept;
  /** Of this photo's evidence, and on average over the photos. */
  share: number;
  mean: number;
}

/**
 * The concept that is most of a photo's evidence, and the one that sets it apart: whose share is most standard
 * deviations above its mean over the photos. Often one concept is the strongest in nearly all photos.
 *
 * @returns the second is null where there are too few photos, or none stands out
 */
export function standOut(
  image: PhotoInfo,
  rows: readonly Concept[],
  images: readonly PhotoInfo[],
): { strongest: Standing | null; distinctive: Standing | null } {
  const known = images.filter(({ contributions }) => contributions.length > 0);
  const told = rows.map((concept) => {
    const shares = known.map((each) => shareOf(concept, each));
    const mean = sum(shares) / Math.max(1, shares.length);
    const spread = Math.sqrt(sum(shares.map((share) => (share - mean) ** 2)) / Math.max(1, shares.length));
    const share = shareOf(concept, image);
    return { concept, share, mean, z: spread > 1e-6 ? (share - mean) / spread : 0 };
  });
  const most = (of: (each: (typeof told)[number]) => number) =>
    told.reduce<(typeof told)[number] | null>((a, b) => (a && of(a) >= of(b) ? a : b), null);
  const [strongest, apart] = [most(({ share }) => share), most(({ z }) => z)];
  return {
    strongest: strongest && strongest.share > 0 ? strongest : null,
    distinctive: known.length >= ENOUGH && apart && apart.z > 1 && apart.share >= PRESENT ? apart : null,
  };
}

/** Sum of what a photo's pieces add, and of what they take. */
function totals(image: PhotoInfo): [number, number] {
  const values = [...image.contributions, restOf(image)];
  return [sum(values.filter((v) => v > 0)), -sum(values.filter((v) => v < 0))];
}

/** What the concepts leave unexplained, and how far the sum is off. */
export function restOf({ residual, gap }: PhotoInfo): number {
  return (residual ?? 0) + (gap ?? 0);
}

/** Logits that the whole width stands for, for all photos alike. */
export function evidenceScale(images: readonly PhotoInfo[]): number {
  return Math.max(1e-9, ...images.map((image) => Math.max(...totals(image))));
}

/** Splits a photo's logit. */
export function splitEvidence(image: PhotoInfo, rows: readonly Concept[], scale: number): Sums {
  const pieces = rows.map((concept): Piece => {
    return { concept, kind: "concept", value: addedBy(concept, image), count: 1 };
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
