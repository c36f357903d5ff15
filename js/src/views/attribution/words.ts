/** Sentences. All of them, so that they can be read, and changed, in one place. */

import {
  count,
  counted,
  duration,
  percent,
  quantity,
  remaining,
  shareOfAll,
  signedQuantity,
} from "../../core/format";
import type { KernelState } from "../../core/kernel";
import type { AnyModel } from "../../core/model";
import type { Plane } from "../../core/planes";
import type { MapInfo, ScoreName, Status } from "../../core/wire";
import { type Answering, silenceWords } from "../shared/answering";
import { layersOf, type Partners, type Shown } from "./state";

const DOT = " · ";

export const SAVED = "Saved page: stored classes and images work; computing needs a notebook.";
export const FLAT = "The score does not move when this image is masked";
export const OUTSIDE = "not seen: the model's crop ends here";
export const COARSE = "Preview from coarse blocks: a block carries at least what its cells do, up to chance.";

/** What the kernel's silence means, or nothing. */
export const kernelWords = (kernel: Answering): string => silenceWords(kernel, SAVED);

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
  const { map, reading, partners } = shown;
  const plane = partners ? partners.plane : shown.plane;
  if (!map || !reading || !shown.plane) return { place: "", number: "", rest: "" };
  const { columns } = shown.plane;
  const at = placeOf([Math.floor(cell / columns), cell % columns]);
  const place = `${map.preview ? "block " : ""}${at}${DOT}`;
  if (partners && partners.cell === cell) return { place, number: "", rest: "the cell itself" };
  if (partners && !partners.found?.looked.includes(cell)) return { place, number: "", rest: "not looked at" };
  const value = plane?.values[cell] ?? Number.NaN;
  if (reading.of && !partners) {
    const whole = `${shareOfAll(reading.of.plane.values[cell] ?? Number.NaN)} ${reading.of.unit}`;
    return { place, number: quantity(value), rest: ` standard error${shown.label ? "" : `, of ${whole}`}` };
  }
  const spread = quantity(1.96 * (plane?.errors[cell] ?? Number.NaN));
  const number = reading.index === "total" || partners ? shareOfAll(value) : signedQuantity(value);
  const unit = shown.label ? "" : ` ${partners ? "of the variance" : reading.unit}`; // beside others it stands above
  return { place, number, rest: ` ± ${spread}${unit}` };
}

/** Names of the scores, as people choose them. */
export const SCORE_NAMES: Record<ScoreName, string> = {
  logit: "Logit",
  softmax: "Probability",
  log_softmax: "Log-probability",
  margin: "Margin to the next class",
  own: "The method's own",
};

export const NO_PARTNERS = "Looking for partners of a cell needs a kernel";

/** The heading over the controls, in two parts. */
export function headingWords({ className, partners, reading }: Shown): [string, string] {
  if (partners) return ["With", placeOf(partners.search.cell)];
  if (reading?.index === "error") return ["Uncertainty", `of where it looks for ${className}`];
  return ["Where", className ? `it looks for ${className}` : "it looks"];
}

function placeOf([row, column]: readonly [number, number]): string {
  return `row ${row + 1}, column ${column + 1}`;
}

/** What is said of a search for partners while no cell is read. */
export function partnerWords({ search, found }: Partners, unit: string): string {
  const place = placeOf(search.cell);
  if (search.state === "failed") return `The search failed: ${search.why}`;
  if (search.state === "computing") {
    const tenths = search.total > 0 ? Math.floor((10 * search.done) / search.total) : 0; // read aloud at each change
    return `Looking for what acts together with ${place}: ${percent(tenths / 10)}`;
  }
  if (!found || found.partners.length === 0) return `No cell clearly acts together with ${place}`;
  const cells = found.partners.length;
  return `${counted(cells, "cell")} ${cells === 1 ? "acts" : "act"} with ${place}, up to ${shareOfAll(found.max)} ${unit}`;
}

/** What stands over the picture when no cell is read. */
export function pictureWords(shown: Shown, kernel: KernelState): string {
  if (shown.partners) return partnerWords(shown.partners, "of the variance");
  if (shown.missing && shown.stored) return readingWords(shown, kernel);
  if (shown.missing) {
    if (kernel === "saved") return `${shown.className} is not stored in this page for this photo`;
    return kernel === "silent"
      ? `${shown.className} is not stored; computing it needs a kernel`
      : "One moment: reading this class";
  }
  if (shown.reading?.flat) return FLAT;
  if (shown.map?.preview) return "Preview";
  return "";
}

/** Why the reading that was asked for is not there. */
function readingWords(shown: Shown, kernel: KernelState): string {
  if (shown.refusal) return shown.refusal;
  if (kernel === "saved") return "Not stored in this page";
  return kernel === "silent" ? "Not stored; reading it needs a kernel" : "One moment: reading it";
}

export interface Sureness {
  figure: string;
  /** What the figure is a part of. */
  of?: string;
  /** Dots that are full, of four; null if there is no figure. */
  dots: number | null;
  words: string;
}

/** How far the maps of two halves of the rows agree. */
export function surenessWords(shown: Shown): Sureness {
  const { reading } = shown;
  const agreement = reading?.agreement ?? null;
  if (!reading || shown.map?.preview)
    return { figure: "–", dots: null, words: "How sure: known once there are rows" };
  if (reading.index !== "total" && !reading.of && shown.plane) return clearCells(shown.plane);
  if (reading.flat) return { figure: "–", dots: null, words: "How sure: there is no map to judge" };
  if (agreement === null)
    return { figure: "–", dots: null, words: "How sure: too few rows to compare two halves" };
  const halves = `How sure: two halves of the ${shown.map?.rows ?? 0} rows`;
  return {
    figure: agreement < 0 ? `−${Math.abs(agreement).toFixed(2)}` : agreement.toFixed(2),
    dots: Math.round(Math.max(0, Math.min(1, agreement)) * 4),
    words: agreement < 0.6 ? `${halves} agree in part; run more` : `${halves} agree this well`,
  };
}

/** How many cells are clearly not nothing, beside how many would seem so by chance. */
function clearCells({ values, errors }: Plane): Sureness {
  const clear = values.filter((value, cell) => Math.abs(value) > 1.96 * (errors[cell] ?? 0)).length;
  const chance = Math.round(0.05 * values.length);
  return {
    figure: count(clear),
    of: `of ${count(values.length)}`,
    dots: null,
    words: `How sure: cells clearly not zero; about ${chance} would seem so by chance`,
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

/** What stands under a picture that is saved. */
export function captionLines(model: AnyModel, shown: Shown, mapped: boolean): string[] {
  const { image, map, stored, reading, className, partners } = shown;
  if (!image) return [];
  const name = model.get("_title");
  const read = stored ? `${className} ${percent(stored.p)}` : "";
  if (!mapped || !map) return [image.name, [name, read].filter(Boolean).join(DOT)];
  const [lead, rest] = headingWords(shown);
  const about = Object.fromEntries(map.about);
  const index = reading && `${INDEX_WORDS[reading.index]} of the ${SCORE_NAMES[reading.score].toLowerCase()}`;
  const scale = model.get("scale") === "shared" ? "One scale for all photos" : "Scale of this photo";
  const drawn = `drawn from ${percent(model.get("threshold"))} of it, opacity ${percent(model.get("opacity"))}`;
  return [
    `${lead} ${rest}, in ${image.name}`,
    [name, read].filter(Boolean).join(DOT),
    [about.Method, partners ? "" : index].filter(Boolean).join(DOT),
    `${scale}, ${drawn}`,
  ];
}

/** What a saved picture of maps side by side shows. */
export function multiplesLines(model: AnyModel, panels: readonly Shown[]): string[] {
  const first = panels.find(({ map }) => map) ?? panels[0];
  if (!first?.image) return [];
  const [lead, rest] = headingWords({ ...first, partners: null, reading: null });
  const { stored, className, map } = first;
  const read = stored ? `${className} ${percent(stored.p)}` : "";
  const about = Object.fromEntries(map?.about ?? []);
  const scale = model.get("scale") === "shared" ? "One scale for all maps" : "Each map on its own scale";
  const drawn = `drawn from ${percent(model.get("threshold"))} of it, opacity ${percent(model.get("opacity"))}`;
  return [
    `${lead} ${rest}, in ${first.image.name}`,
    [model.get("_title"), read].filter(Boolean).join(DOT),
    layersOf(model).length ? (about.Method ?? "") : "",
    `${scale}, ${drawn}`,
  ].filter(Boolean);
}

const INDEX_WORDS = {
  total: "total index",
  first: "first order",
  slope: "sign",
  error: "standard error of the total index",
};

/** What the picture is called by a screen reader. */
export function pictureLabel(shown: Shown): string {
  const name = shown.image?.name ?? "No image";
  const where = `where the model looks for ${shown.className}`;
  const map = shown.reading?.of ? `a map of how uncertain it is ${where}` : `a map of ${where}`;
  const what = shown.plane ? `with ${map}` : "without a map";
  return `${name}, ${what}. Arrow keys read cells, Enter looks for what a cell acts together with, Space shows or hides the map, Escape goes back.`;
}

/** What a map beside others is called by a screen reader. */
export function panelLabel(shown: Shown): string {
  return `${shown.label}: ${shown.plane ? "a map" : "no map yet"}. Arrow keys read cells in all maps, Enter shows this one alone.`;
}

/** What stands over a map beside others: what full colour is, and how sure it is. */
export function panelWords(shown: Shown): string {
  const { map, reading } = shown;
  if (!map || !reading || !shown.plane) return map ? "" : statusWords(shown.status, map);
  const sign = reading.index === "slope" ? "±" : "";
  const parts = [`to ${sign}${quantity(shown.top)} ${reading.unit}`];
  if (map.preview) parts.push("preview");
  else if (shown.status.state === "done") parts.push(counted(map.rows, "row"));
  else parts.push(`${map.rows} of ${shown.status.rows_wanted} rows`);
  if (reading.agreement !== null) parts.push(`halves agree ${reading.agreement.toFixed(2)}`);
  return parts.join(DOT);
}

/** What is under the model's name. */
export function subtitle(images: number, methods: number): string {
  return `${counted(images, "photo")}${DOT}${methods > 1 ? counted(methods, "method") : "Sobol"}`;
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
  [["Enter"], "on the picture, what acts together with a cell; in the field, explain the class"],
  [["click"], "on the picture, what acts together with a cell"],
  [["Shift", "←", "→"], "on the picture, wipe between map and photo; or drag"],
  [["Ctrl", "V"], "add a photo that was copied; or drop one"],
  [["S", "C"], "on the picture, save or copy it"],
  [["Esc"], "close, stop, go back"],
  [["?"], "this list"],
];
