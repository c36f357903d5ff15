/** From bytes on the wire to numbers. */
import { PLANE_LEVELS } from "./wire";

/** A class's map: a value and a standard error for each cell, rows from the top. */
export interface Plane {
  rows: number;
  columns: number;
  values: Float32Array;
  errors: Float32Array;
}

const errorPlanes = new WeakMap<Plane, Plane>();

/** The standard errors of a map as a map of their own, which is sure of itself; always the same one. */
export function errorsOf(plane: Plane): Plane {
  const known = errorPlanes.get(plane);
  if (known) return known;
  const made = { ...plane, values: plane.errors, errors: new Float32Array(plane.errors.length) };
  errorPlanes.set(plane, made);
  return made;
}

/**
 * Decodes the map of one class.
 *
 * @param bytes - little-endian uint16: for each class its values, then its standard errors
 * @param grid - rows and columns
 * @param place - which class, counted from 0
 * @param max - value that the highest level stands for
 * @param errorMax - standard error that the highest level stands for
 * @returns the map, or null if the bytes do not reach that far (the list of classes is newer than the bytes)
 */
export function decodePlane(
  bytes: DataView,
  grid: readonly [number, number],
  place: number,
  max: number,
  errorMax: number,
): Plane | null {
  const [rows, columns] = grid;
  const cells = rows * columns;
  const start = place * cells * 4;
  if (place < 0 || bytes.byteLength < start + cells * 4) return null;
  return {
    rows,
    columns,
    values: readLevels(bytes, start, cells, max),
    errors: readLevels(bytes, start + cells * 2, cells, errorMax),
  };
}

/**
 * Decodes a map whose values may have either sign.
 *
 * @param bytes - little-endian uint16: the values, then the standard errors
 * @param grid - rows and columns
 * @param scale - the values that the lowest and the highest level stand for
 * @returns the map, or null if the bytes do not reach that far
 */
export function decodeLayer(
  bytes: DataView,
  grid: readonly [number, number],
  scale: { min: number; max: number; se_max: number },
): Plane | null {
  const [rows, columns] = grid;
  const cells = rows * columns;
  if (bytes.byteLength < cells * 4) return null;
  const values = readLevels(bytes, 0, cells, scale.max - scale.min);
  for (let i = 0; i < cells; i++) values[i] = (values[i] as number) + scale.min;
  return { rows, columns, values, errors: readLevels(bytes, cells * 2, cells, scale.se_max) };
}

/** Reads through the DataView, since its buffer often starts at an odd offset inside a larger message. */
function readLevels(bytes: DataView, start: number, count: number, max: number): Float32Array {
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) out[i] = (bytes.getUint16(start + 2 * i, true) / PLANE_LEVELS) * max;
  return out;
}
