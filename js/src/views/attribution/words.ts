/** Sentences. All of them, so that they can be read, and changed, in one place. */

import { count, counted, duration, percent, quantity, remaining } from "../../core/format";
import type { KernelState } from "../../core/kernel";
import type { MapInfo, Status } from "../../core/wire";
import type { Shown } from "./state";

const DOT = " · ";

export const SILENT = "No kernel answers. What is drawn still works; run the cell again to compute more.";
export const SAVED = "Saved page: stored classes and images work; computing needs a notebook.";
export const FLAT = "The score does not move when this image is masked";
export const OUTSIDE = "not seen: the model's crop ends here";
export const COARSE = "Preview from coarse blocks: a block carries at least what its cells do, up to chance.";

/** What the kernel's silence means, or nothing. */
export function kernelWords(state: KernelState): string {
  if (state === "saved") return SAVED;
  return state === "silent" ? SILENT : "";
}

/** The status line. */
export function statusWords(status: Status, map: MapInfo | null): string {
  const rows = `${status.rows} of ${status.rows_wanted} rows`;
  switch (status.state) {
    case "empty":
      return "Not computed yet";
    case "computing": {
      const left = status.eta === null ? "" : DOT + remaining(status.eta);
      if (status.stage === "rows") return rows + left;
      if (status.stage === "tuning") return "Measuring how this network runs fastest here, once";
      return status.stage === "preview" ? `Preview${left}` : "Queued";
    }
    case "partial":
      return status.rows > 0 ? `Stopped at ${rows}` : "Stopped after the preview";
    case "failed":
      return status.rows > 0 ? `Failed after ${rows}` : "Failed";
    case "done": {
      const parts = [counted(map && !map.preview ? map.rows : status.rows, "row")];
      if (status.done > 0) parts.push(counted(status.done, "forward"));
      if (status.seconds > 0) parts.push(duration(status.seconds));
      return parts.join(DOT);
    }
  }
}

/** Share of the work that is done, from 0 to 1. */
export function progressOf(status: Status): number {
  if (status.state === "done") return 1;
  const [done, total] = status.total > 0 ? [status.done, status.total] : [status.rows, status.rows_wanted];
  return total > 0 ? Math.max(0, Math.min(1, done / total)) : 0;
}

/** What the button that computes says, or nothing if there is nothing to do. */
export function jobVerb(status: Status): string {
  return { empty: "Run", computing: "Stop", partial: "Continue", failed: "Try again", done: "" }[
    status.state
  ];
}

/** A cell's place and value, in two parts: the number carries the weight. */
export function cellWords(shown: Shown, cell: number): { place: string; number: string; rest: string } {
  const { plane, map } = shown;
  if (!plane || !map) return { place: "", number: "", rest: "" };
  const row = Math.floor(cell / plane.columns) + 1;
  const column = (cell % plane.columns) + 1;
  const value = quantity(plane.values[cell] ?? Number.NaN);
  const spread = quantity(1.96 * (plane.errors[cell] ?? Number.NaN));
  return {
    place: `${map.preview ? "block row" : "row"} ${row}, column ${column}${DOT}`,
    number: value,
    rest: ` ± ${spread} ${map.unit}`,
  };
}

/** What stands over the picture when no cell is read. */
export function pictureWords(shown: Shown, kernel: KernelState): string {
  if (shown.missing) {
    if (kernel === "saved") return `${shown.className} is not stored in this page for this photo`;
    return kernel === "silent"
      ? `${shown.className} is not stored; computing it needs a kernel`
      : "One moment: reading this class";
  }
  if (shown.stored?.flat) return FLAT;
  if (shown.map?.preview) return "Preview";
  return "";
}

export interface Sureness {
  figure: string;
  /** Dots that are full, of four; null if there is no figure. */
  dots: number | null;
  words: string;
}

/** How far the maps of two halves of the rows agree. */
export function surenessWords(shown: Shown): Sureness {
  const agreement = shown.stored?.agreement ?? null;
  if (!shown.stored || shown.map?.preview)
    return { figure: "–", dots: null, words: "How sure: known once there are rows" };
  if (shown.stored.flat) return { figure: "–", dots: null, words: "How sure: there is no map to judge" };
  if (agreement === null)
    return { figure: "–", dots: null, words: "How sure: too few rows to compare two halves" };
  const halves = `How sure: two halves of the ${shown.map?.rows ?? 0} rows`;
  return {
    figure: agreement < 0 ? `−${Math.abs(agreement).toFixed(2)}` : agreement.toFixed(2),
    dots: Math.round(Math.max(0, Math.min(1, agreement)) * 4),
    words: agreement < 0.6 ? `${halves} agree in part; run more` : `${halves} agree this well`,
  };
}

/** What an image's thumbnail is called. */
export function thumbnailLabel(name: string, status: Status | undefined, map: MapInfo | undefined): string {
  const first = map?.classes[0];
  const parts = [name];
  if (first) parts.push(`read as ${first.name} ${percent(first.p)}`);
  if (!status || status.state === "empty") parts.push("not computed yet");
  else if (status.state !== "done") parts.push(status.state === "partial" ? "stopped" : status.state);
  return parts.join(", ");
}

/** What the picture is called by a screen reader. */
export function pictureLabel(shown: Shown): string {
  const name = shown.image?.name ?? "No image";
  const what = shown.plane ? `with a map of where the model looks for ${shown.className}` : "without a map";
  return `${name}, ${what}. Arrow keys read cells, Space shows or hides the map, Escape goes back.`;
}

/** What is under the model's name. */
export function subtitle(images: number): string {
  return `${counted(images, "photo")}${DOT}Sobol`;
}

/** Rows that the map is made of. */
export function rowsWords(shown: Shown): { figure: string; of: string } {
  const rows = shown.map && !shown.map.preview ? shown.map.rows : 0;
  return { figure: count(rows), of: `of ${count(Math.max(rows, shown.status.rows_wanted))}` };
}

export const KEYS: readonly [string[], string][] = [
  [["Tab"], "next control"],
  [["←", "→", "↑", "↓"], "walk images, classes, cells"],
  [["Space"], "toggle a layer; on the picture, the map"],
  [["Enter"], "explain the class that was typed"],
  [["drag"], "wipe between map and photo"],
  [["Esc"], "close, stop, go back"],
  [["?"], "this list"],
];
