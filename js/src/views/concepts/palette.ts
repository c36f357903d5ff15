/** What marks a concept: its hue, a texture where hues come back, and ink that can be read on it. */
import { luminance } from "../../core/theme";

export type Rgb = readonly [number, number, number];
/** 0 plain, 1 stripes, 2 dots. */
export type Texture = 0 | 1 | 2;

const HUES = 7;
const TEXTURES = 3;
/** Okabe and Ito's blue is too dark on a dark page. */
const IN_THE_DARK: Record<string, string> = { "#0072B2": "#2A8FD0" };
const EVEN = 0.179; // luminance from which black ink has more contrast than white

export function toRgb(hex: string): Rgb {
  const n = Number.parseInt(hex.slice(1), 16);
  return [(n >> 16) & 255, (n >> 8) & 255, n & 255];
}

/** The hue as it is drawn on a page. */
export function hueOn(hue: string, dark: boolean): string {
  return dark ? (IN_THE_DARK[hue.toUpperCase()] ?? hue) : hue;
}

/** Black or white, whichever stands out more. */
export function inkOn(hue: string): string {
  return (luminance(`rgb(${toRgb(hue).join(", ")})`) ?? 0) > EVEN ? "#000" : "#fff";
}

/** The seven hues come back with another texture; beyond 21 concepts marks are grey and the letter tells. */
export function textureOf(id: number): Texture {
  return (id < HUES * TEXTURES ? Math.floor(id / HUES) : 0) as Texture;
}
