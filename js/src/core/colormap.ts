/** Perceptual colour maps whose zero is transparent. */
import stops from "../../../src/whatwhere/colormaps.json";
import type { ColormapName } from "./wire";

const LEVELS = 256;
const tables = new Map<PaletteName, Uint8Array>();

/** Colours of unsigned values: those that a person chose, or those of standard errors. */
export type PaletteName = ColormapName | "error";

/** Of one hue that no other map has, with even steps of lightness. */
const ERROR = [
  "#0f2727",
  "#07403f",
  "#005a58",
  "#007571",
  "#00918a",
  "#2eaca2",
  "#67c6bb",
  "#9eded4",
  "#daf3ee",
];

function rgb(hex: string): [number, number, number] {
  const n = Number.parseInt(hex.slice(1), 16);
  return [n >> 16, (n >> 8) & 255, n & 255];
}

/** The colours of a map, 256 times red, green, blue. */
export function colorTable(name: PaletteName): Uint8Array {
  const known = tables.get(name);
  if (known) return known;
  const colors = (name === "error" ? ERROR : (stops[name] ?? stops.magma)).map(rgb);
  const table = new Uint8Array(LEVELS * 3);
  for (let i = 0; i < LEVELS; i++) {
    const place = (i / (LEVELS - 1)) * (colors.length - 1);
    const low = Math.min(colors.length - 2, Math.floor(place));
    for (let c = 0; c < 3; c++) {
      const a = colors[low]?.[c] ?? 0;
      const b = colors[low + 1]?.[c] ?? 0;
      table[3 * i + c] = Math.round(a + (b - a) * (place - low));
    }
  }
  tables.set(name, table);
  return table;
}

/**
 * Opacity of a value: nothing up to the threshold, then rising smoothly and soon full.
 *
 * @param share - value as a share of the map's maximum
 * @param threshold - share below which nothing is painted
 */
export function alphaOf(share: number, threshold: number): number {
  if (share <= threshold) return 0;
  const rise = Math.min(1, ((share - threshold) / (1 - threshold)) * 1.8);
  return rise * rise * (3 - 2 * rise);
}

/** Ends of the diverging map: what speaks against, and what speaks for. */
const AGAINST = rgb("#0072b2");
const FOR = rgb("#e8590c");

/**
 * Paints values of either sign as pixels: one hue a side, and nothing at zero.
 *
 * @param values - of any number
 * @param max - size of the value of full colour
 * @param threshold - share of `max` below which nothing is painted
 * @param out - red, green, blue, alpha for each value
 */
export function paintSigned(
  values: ArrayLike<number>,
  max: number,
  threshold: number,
  out: Uint8ClampedArray,
): void {
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    const share = max > 0 ? Math.min(1, Math.abs(value) / max) : 0;
    const hue = value < 0 ? AGAINST : FOR;
    const light = 0.3 * (1 - share); // paler near zero, so that strength also shows where opacity is full
    for (let c = 0; c < 3; c++) out[4 * i + c] = (hue[c] as number) + (255 - (hue[c] as number)) * light;
    out[4 * i + 3] = 255 * alphaOf(share, threshold);
  }
}

/**
 * Paints values as pixels.
 *
 * @param values - of any number
 * @param max - value of the last colour
 * @param name - their colours
 * @param threshold - share of `max` below which nothing is painted
 * @param out - red, green, blue, alpha for each value
 */
export function paintValues(
  values: ArrayLike<number>,
  max: number,
  name: PaletteName,
  threshold: number,
  out: Uint8ClampedArray,
): void {
  const table = colorTable(name);
  for (let i = 0; i < values.length; i++) {
    const share = max > 0 ? Math.max(0, Math.min(1, (values[i] as number) / max)) : 0;
    const at = 3 * Math.round(share * (LEVELS - 1));
    out[4 * i] = table[at] as number;
    out[4 * i + 1] = table[at + 1] as number;
    out[4 * i + 2] = table[at + 2] as number;
    out[4 * i + 3] = 255 * alphaOf(share, threshold);
  }
}
