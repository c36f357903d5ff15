/**
 * Concepts that were merged: what is drawn of them is the sum of what is drawn of their parts.
 *
 * Codes and contributions add up, so that nothing has to be fitted, or asked of a kernel, and taking a group apart gives
 * back what there was.
 */
import type { CellPlane } from "./codec";

/** Share of the values above 0 that full colour leaves below it, as in Python. */
const QUANTILE = 0.99;

export function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}

const summed = new WeakMap<CellPlane, Map<string, CellPlane>>();

/**
 * Adds planes up, once.
 *
 * @param planes - of one size
 * @param key - tells which they are, of those that begin with the same
 */
export function sumPlanes(planes: readonly (CellPlane | null)[], key: string): CellPlane | null {
  const [first, ...others] = planes;
  if (!first || planes.includes(null)) return null;
  if (others.length === 0) return first;
  const known = summed.get(first) ?? new Map<string, CellPlane>();
  summed.set(first, known);
  const plane = known.get(key) ?? {
    ...first,
    values: first.values.map((_, i) => sum(planes.map((each) => each?.values[i] ?? 0))),
  };
  known.set(key, plane);
  return plane;
}

const tops = new WeakMap<object, Map<string, number>>();

/**
 * The value that 99 % of those above 0 stay below, worked out once.
 *
 * @param holder - what the planes came from
 * @param key - tells which of its planes
 * @param planes - makes them
 */
export function largeValue(holder: object, key: string, planes: () => (CellPlane | null)[]): number {
  const known = tops.get(holder) ?? new Map<string, number>();
  tops.set(holder, known);
  const told = known.get(key);
  if (told !== undefined) return told;
  const above = planes()
    .flatMap((plane) => [...(plane?.values ?? [])])
    .filter((value) => value > 0)
    .sort((a, b) => a - b);
  const place = QUANTILE * (above.length - 1);
  const [low, high] = [above[Math.floor(place)] ?? 0, above[Math.ceil(place)] ?? 0];
  const top = low + (place % 1) * (high - low);
  known.set(key, above.length ? top : 0);
  return known.get(key) as number;
}
