/**
 * Monotone cubic interpolation (Fritsch and Carlson, SIAM J. Numer. Anal. 17(2), 1980), rows first, then columns.
 *
 * The surface goes through the value of every cell at the cell's centre, and never beyond the values around it: a
 * drawing that overshoots would show evidence nobody measured. Outside the outer centres it stays level.
 */

/**
 * Fills `out` with a line of samples.
 *
 * @param source - values
 * @param offset - where the line starts in it
 * @param stride - from one value of the line to the next
 * @param count - values of the line
 * @param positions - where to sample, in cells: 0 is the centre of the first cell
 * @param out - where to write
 * @param outOffset - where the line starts in it
 * @param outStride - from one sample to the next
 */
export function sampleLine(
  source: ArrayLike<number>,
  offset: number,
  stride: number,
  count: number,
  positions: ArrayLike<number>,
  out: Float32Array,
  outOffset = 0,
  outStride = 1,
): void {
  const value = (i: number) => source[offset + stride * Math.max(0, Math.min(count - 1, i))] as number;
  const slopes = new Float64Array(count);
  for (let i = 1; i < count - 1; i++) {
    const before = value(i) - value(i - 1);
    const after = value(i + 1) - value(i);
    slopes[i] = before * after > 0 ? (2 * before * after) / (before + after) : 0;
  }
  for (let j = 0; j < positions.length; j++) {
    const x = Math.max(0, Math.min(count - 1, positions[j] as number));
    const cell = Math.min(Math.max(0, count - 2), Math.floor(x));
    const t = x - cell;
    const a = value(cell);
    const b = value(cell + 1);
    const bend = t * (1 - t) * ((1 - t) * (slopes[cell] ?? 0) - t * (slopes[cell + 1] ?? 0));
    out[outOffset + outStride * j] = a + (b - a) * t * t * (3 - 2 * t) + bend;
  }
}

/** Sample positions of `size` pixels over `count` cells, in cells. */
export function pixelPositions(count: number, size: number): Float64Array {
  return Float64Array.from({ length: size }, (_, i) => ((i + 0.5) / size) * count - 0.5);
}

/**
 * Draws a map through all its cells.
 *
 * @param values - cells, rows from the top
 * @param rows - rows of cells
 * @param columns - columns of cells
 * @param height - pixels
 * @param width - pixels
 * @returns pixels, rows from the top
 */
export function smoothField(
  values: ArrayLike<number>,
  rows: number,
  columns: number,
  height: number,
  width: number,
): Float32Array {
  const across = pixelPositions(columns, width);
  const down = pixelPositions(rows, height);
  const wide = new Float32Array(rows * width);
  const out = new Float32Array(height * width);
  for (let row = 0; row < rows; row++)
    sampleLine(values, row * columns, 1, columns, across, wide, row * width);
  for (let x = 0; x < width; x++) sampleLine(wide, x, width, rows, down, out, x, width);
  return out;
}
