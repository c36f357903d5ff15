/** Sentences. All of them, so that they can be read, and changed, in one place. */
import type {
  BankInfo,
  CardKind,
  ConceptStatus,
  ConceptTraits,
  CropKind,
  Growing,
  MapKind,
  Pace,
  PhotoInfo,
} from "../../core/concept_wire";
import { amount, count, counted, percent, remaining, signed } from "../../core/format";
import type { KernelState } from "../../core/kernel";
import type { AnyModel } from "../../core/model";
import { type Answering, silenceWords } from "../shared/answering";
import type { HeadWords } from "../shared/head";
import { type Piece, PRESENT, restOf, shareOf } from "./evidence_sums";
import type { Concept, Layer, Shown } from "./state";

const DOT = " · ";

const SAVED = "Saved page: concepts, photos and stored maps work; computing needs a notebook.";
const AWAITED = "Photos come once the concepts are found";
export const OUTSIDE = "not seen: the model's crop ends here";
export const NO_PHOTOS = "No photos came with these concepts";
export const NO_CROPS = "Crops come once the photos' codes are known.";

export const KINDS: readonly [MapKind, string, string][] = [
  ["codes", "Codes", "How much of the concept is at each place of the layer"],
  ["implicit", "Pixels", "Which pixels the concept depends on: gradients through its exact codes"],
  ["occlusion", "Occlusion", "What hiding parts of the photo does to the concept"],
];

export const TABS: readonly [CropKind, string, string][] = [
  ["active", "Most active", "Where there is most of the concept"],
  ["relevant", "Most relevant", "Where it adds most to the logit"],
  ["random", "Random", "A random draw among the photos that have it"],
  ["lowest", "Lowest", "Where there is least of it"],
];

export const CARD_KINDS: readonly [CardKind, string, string][] = [
  ["crops", "Crops", "Where there is most of each concept"],
  ["prototypes", "Prototypes", "Pictures made to excite each concept most; crops stay beside them"],
];

/** What a prototype is, wherever one is shown. */
export const MADE = "Prototype: made by optimisation, not a photo";

export const KEYS: readonly [string[], string][] = [
  [["Tab"], "next control"],
  [["←", "→", "↑", "↓"], "walk concepts, photos, crops, cells"],
  [["Enter"], "open a concept; on a crop, its photo"],
  [["Space"], "lay a concept over the photo, or take it off"],
  [["F2"], "rename"],
  [["P"], "pin first"],
  [["H"], "hide, or show again"],
  [["G"], "merge with those on the photo; with Shift, take apart"],
  [["V"], "crops or prototypes on the cards"],
  [["M"], "menu of a concept"],
  [["Ctrl", "Z"], "undo; with Shift, redo"],
  [["Ctrl", "V"], "add a photo that was copied; or drop one"],
  [["Shift", "←", "→"], "on the picture, wipe between concepts and photo; or drag"],
  [["S", "C"], "on the picture, save or copy it"],
  [["Esc"], "close, stop, take concepts off the photo"],
  [["?"], "this list"],
];

/** What stands there when there is nothing to merge. */
export const ADD_ANOTHER = "Lay another concept over the photo first: Space on its card, or Ctrl and click.";

/** Letters of concepts, of merged ones those of all parts. */
export function letters(concepts: readonly Concept[]): string {
  const told = concepts.map(({ parts }) => parts.map(({ letter }) => letter).join("+"));
  const [last, ...before] = [...told].reverse();
  return before.length ? `${before.reverse().join(", ")} and ${last}` : (last ?? "");
}

/** What a merged concept is. */
export function mergedWords({ parts }: Concept, grown: boolean): string {
  const told = parts.map(({ letter, name }) => (name ? `${letter} ${name}` : letter));
  return `Merged from ${told.join(" and ")}: their codes, maps and contributions added up. Nothing was fitted anew.${grown ? " It has no prototype: those of its parts are of one direction each." : ""}`;
}

/** What is said of the number of concepts. */
export function rankWords(count: number, wanted: number | null, most: number): string {
  if (wanted !== null)
    return `Extracting ${counted(wanted, "concept")} from ${count === 1 ? "this one" : `these ${count}`}, which stay until it is done.`;
  if (most < 2) return "At most one concept a photo.";
  return "Extracts again from these. Concepts that match keep letter, name and colour.";
}

/** What the kernel's silence means, or nothing. */
export const kernelWords = (kernel: Answering): string => silenceWords(kernel, SAVED);

const STAGES: Record<string, string> = {
  queued: "Queued",
  images: "Reading photos",
  crops: "Reading crops",
  concepts: "Finding concepts",
  codes: "Finding concepts in the photos",
  importance: "Weighing concepts",
  head: "Reading the classes",
  maps: "Computing a map",
  parts: "Splitting a concept",
  "what-if": "Asking what if",
  photo: "Looking at a photo",
};

/** How far a stage is: `12 of about 40 iterations`. */
function paceWords(done: number, total: number, { unit, bound }: Pace): string {
  return `${count(done)} of ${bound ? `${bound} ` : ""}${count(total)} ${unit}`;
}

function statusWords(status: ConceptStatus, bank: BankInfo | null): string {
  switch (status.state) {
    case "empty":
      return bank ? "" : "Not computed yet";
    case "computing": {
      const { stage, pace, eta } = status;
      const told = STAGES[stage ?? ""] ?? (sentence(stage ?? "") || "Computing");
      const left = eta === null ? "" : remaining(eta) + (pace && !pace.whole ? " in this step" : "");
      return [told, pace ? paceWords(status.done, status.total, pace) : "", left].filter(Boolean).join(DOT);
    }
    case "partial":
      return "Stopped before the end: a sketch";
    case "failed":
      return "Failed";
    case "done":
      return bank ? `${counted(bank.quality.n_images, "photo")} explained` : "";
  }
}

/** What is explained, in few words. */
export function targetWords(target: string): string {
  return target.startsWith("each photo") ? "these photos" : target;
}

/** What the head says. */
export function headWords(model: AnyModel<ConceptTraits>, shown: Shown, kernel: Answering): HeadWords {
  const { status, bank } = shown;
  const target = targetWords(model.get("_target"));
  const found = bank ? counted(bank.ids.length, "concept") : "Concepts";
  const part = status.total > 0 ? Math.min(1, status.done / status.total) : 0;
  const share = status.pace?.share ?? part;
  const verbs = {
    empty: bank ? "" : "Run",
    computing: "Stop",
    partial: "Continue",
    failed: "Try again",
    done: "",
  };
  return {
    title: model.get("_title"),
    subtitle: target ? `${found} of ${target}` : found,
    status: statusWords(status, bank),
    verb: verbs[status.state],
    silence: kernelWords(kernel),
    computing: status.state === "computing",
    done: status.state === "done" || (status.state === "empty" && bank !== null),
    progress: status.state === "done" ? 1 : share,
  };
}

/** A share of the evidence, with its standard error where one is known. */
export function shareWords({ importance, dead }: Concept): string {
  return dead ? "unused" : percent(importance);
}

/** What a concept weighs, in a sentence. */
export function weightWords(concept: Concept): string {
  if (concept.dead) return "no photo uses it";
  const spread = concept.error ? ` ± ${(100 * concept.error).toFixed(1)}` : "";
  const share = `${percent(concept.importance).replace("\u00a0%", "")}${spread}\u00a0% of the evidence`;
  return concept.contribution === null
    ? share
    : `${share}, ${signed(concept.contribution)} logits on average`;
}

/** What a card says to a screen reader after its letter, name and share. */
export function cardWords(concept: Concept, grown: boolean): string {
  const parts = concept.dead ? [] : [" of the evidence"];
  if (grown) parts.push("shown by its prototype, made by optimisation");
  if (concept.contribution !== null) parts.push(`${signed(concept.contribution)} logits on average`);
  if (concept.pinned) parts.push("pinned");
  if (concept.hidden) parts.push("hidden");
  if (concept.note) parts.push("has a note");
  return parts.join(", ");
}

/** What selecting a concept did. */
export function selectionWords(shown: Shown): string {
  if (shown.layers.length === 0) return "No concept on the photo";
  const told = shown.layers.map(
    ({ concept, present }) =>
      `${concept.letter} ${concept.title}${present === false ? ", absent in this photo" : ""}`,
  );
  const weight = shown.layers.length === 1 && shown.opened ? `, ${weightWords(shown.opened)}` : "";
  return `On ${shown.image?.name ?? "no photo"}: ${told.join("; ")}${weight}`;
}

/** What stands over the picture: what is missing, what is absent. */
export function pictureWords(shown: Shown, kernel: KernelState, refused: string, reason: string): string {
  const { layers, missing } = shown;
  if (shown.awaited) return AWAITED;
  const said: string[] = [];
  if (missing && layers.length > 0) {
    if (refused) said.push(`${refused} Shown are codes.`);
    else if (reason) said.push(`${reason} Shown are codes.`);
    else if (kernel === "saved") said.push("This map is not stored in the page; shown are codes.");
    else if (kernel === "silent") said.push("This map needs a kernel; shown are codes.");
    else said.push("Computing this map; meanwhile codes");
  }
  const absent = layers.filter(({ present }) => present === false).map(({ concept }) => concept.letter);
  if (absent.length === layers.length && layers.length === 1) said.push("absent in this photo");
  else if (absent.length) said.push(`absent: ${absent.join(", ")}`);
  return said.join(DOT);
}

/** A cell's place, and each concept's value there. */
export function cellWords(shown: Shown, cell: number): { place: string; values: [Layer, string][] } {
  const { plane } = shown;
  if (!plane) return { place: "", values: [] };
  const row = Math.floor(cell / plane.columns) + 1;
  const column = (cell % plane.columns) + 1;
  return {
    place: `row ${row}, column ${column}`,
    values: shown.layers
      .slice(0, 4)
      .map((layer) => [layer, layer.plane ? amount(layer.plane.values[cell] ?? Number.NaN) : "–"]),
  };
}

/** What the picture is called by a screen reader. */
export function pictureLabel(shown: Shown): string {
  const name = shown.image?.name ?? "No photo";
  const letters = shown.layers.filter(({ present }) => present !== false).map(({ concept }) => concept.title);
  const what = letters.length ? `with ${letters.join(", ")} drawn on it` : "without a concept on it";
  return `${name}, ${what}. Arrow keys read cells, Space shows or hides the map, Escape goes back.`;
}

/** What a photo's thumbnail is called. */
export function thumbnailLabel(image: PhotoInfo): string {
  const read = `read as ${image.predicted}${image.p === null ? "" : ` ${percent(image.p)}`}`;
  return `${image.name}, ${read}${image.right === false ? ", misread" : ""}`;
}

const MAPS: Record<MapKind, string> = {
  codes: "codes at each place of the layer",
  implicit: "pixels that the codes depend on, by their gradient",
  occlusion: "what hiding parts of the photo does to the codes",
};

/** What stands under a picture that is saved. */
export function captionLines(model: AnyModel<ConceptTraits>, shown: Shown, map: boolean): string[] {
  const { image, layers, bank, missing, kind } = shown;
  if (!image) return [];
  const drawn = map ? layers : [];
  const names = drawn.map(({ concept }) => `${letters([concept])} ${concept.name}`.trim());
  const read = `read as ${image.predicted}${image.p === null ? "" : ` ${percent(image.p)}`}`;
  const about = Object.fromEntries(bank?.about ?? []);
  const scale = `one scale a concept for all photos, drawn from ${percent(model.get("threshold"))} of it, opacity ${percent(model.get("opacity"))}`;
  return [
    `${names.length ? `${names.join(", ")} in ` : ""}${image.name}`,
    `${model.get("_title")}, concepts of ${targetWords(model.get("_target"))}${DOT}${read}`,
    ...(drawn.length ? [`${sentence(MAPS[missing ? "codes" : kind])}${DOT}${scale}`] : []),
    [about.Method, about.Layer && `layer ${about.Layer}`].filter(Boolean).join(DOT),
  ].filter(Boolean);
}

function sentence(text: string): string {
  return (text[0]?.toUpperCase() ?? "") + text.slice(1);
}

const UNITS: Record<MapKind, string> = {
  codes: "of code",
  implicit: "of code",
  occlusion: "of code lost",
};

/** What full colour stands for: no photo changes it, so that photos can be told from one another. */
export function scaleWords(kind: MapKind): string {
  const level = "the code that 99 % of places stay below";
  if (kind === "codes") return `One scale a concept for all photos: full colour is ${level}.`;
  if (kind === "implicit")
    return `One scale a concept for all photos, that of the codes: full colour is ${level}.`;
  return `One scale a concept for all photos: full colour is a loss of twice what is hidden, at ${level}.`;
}

/** The upper end of a legend. */
export function legendWords(layer: Layer, kind: MapKind): string {
  return `${amount(layer.top)} ${UNITS[kind]}`;
}

/** How well the concepts stand for the network. */
export function qualityWords({ quality, complete }: BankInfo): string {
  const parts = [`Error ${quality.error.toFixed(2)}`];
  if (quality.agreement !== null) parts.push(`same class on ${percent(quality.agreement)} of the photos`);
  if (quality.r2 !== null)
    parts.push(`R² of the logit ${quality.r2 < 0 ? "below 0, worse than its mean" : quality.r2.toFixed(2)}`);
  if (!complete) parts.unshift("A sketch, still converging");
  return parts.join(DOT);
}

/** What one piece of the evidence is called. */
export function pieceLabel(piece: Piece): string {
  const value = `${signed(piece.value)} logits`;
  if (piece.kind === "residual") return `outside the concepts, ${value}`;
  if (piece.kind === "small") return `${counted(piece.count, "smaller concept")}, ${value} together`;
  return `${piece.concept?.letter} ${piece.concept?.title}, ${value}`;
}

/** The sum under the evidence bar. */
export function sumWords(image: PhotoInfo): string {
  const concepts = image.contributions.reduce((all, value) => all + value, 0);
  const parts = [`Logit ${signed(image.logit ?? Number.NaN)}: concepts ${signed(concepts)}`];
  const rest = signed(restOf(image));
  if (rest !== "0") parts.push(`hatched, outside the concepts ${rest}`);
  const base = signed(image.base ?? 0);
  if (base !== "0") parts.push(`without any feature ${base}`);
  return parts.join(", ");
}

/** What a factor does to a concept. */
export function factorWords(factor: number): string {
  if (factor === 0) return "muted";
  if (factor === 1) return "as it is";
  if (factor === 2) return "doubled";
  return `× ${factor.toFixed(2).replace(/0$/, "")}`;
}

export const APART_FIRST = "A split is of one direction: take the merged concept apart first.";
export const SPLITTING = "Looking at the crops again, at an earlier layer…";

/** What stands over the parts of a concept. */
export function partsWords(layer: string, caveats: readonly string[]): string {
  const [first, ...others] = caveats;
  const more = others.length
    ? ` And ${counted(others.length, "caution")} more: view.parts has the bank.`
    : "";
  return `Parts at ${layer}. ${first ?? ""}${more}`;
}

/** In how many photos a concept is; a merged one is counted in those that are kept here. */
export function presentWords(bank: BankInfo, concept: Concept, images: readonly PhotoInfo[]): string {
  if (concept.contribution === null) return "";
  const all = bank.quality.n_images;
  if (concept.parts.length === 1) return `In ${bank.present?.[concept.row] ?? 0} of ${counted(all, "photo")}`;
  const known = images.filter(({ contributions }) => contributions.length > 0);
  const there = known.filter((image) => shareOf(concept, image) >= PRESENT).length;
  return `In ${there} of ${known.length === all ? "" : "the "}${counted(known.length, "photo")}${known.length === all ? "" : " kept here"}`;
}

/** What sets a concept apart in a photo, in words. */
export const STANDINGS = {
  Strongest:
    "The largest share of this photo's evidence; in many sets it is the same concept in nearly all photos",
  Distinctive: "The concept whose share is most above its mean over these photos, in standard deviations",
};

/** What a concept has to say of a photo, beside all others: strongest, and most unlike the other photos. */
export function standingWords(concept: Concept, share: number, mean: number | null): string {
  const here = `${concept.title} ${percent(share)}`;
  return mean === null ? here : `${here}, ${percent(mean)} on average`;
}

/** How far prototypes have grown. */
export function growingWords(
  { state, steps = 0, wanted = 0, eta, missing = 0, resumes, gone, error }: Partial<Growing>,
  kernel: KernelState,
): { verb: string; words: string; spoken: string; hint: string } {
  const hint =
    "A picture for each concept, made to excite it most: some minutes, behind all that you ask for";
  const reached = `step ${count(steps)} of ${count(wanted)}`;
  if (state === "computing") {
    if (kernel === "saved" || kernel === "silent")
      return { verb: "Continue", words: `Prototypes at ${reached}`, spoken: "", hint: "" };
    const left = eta === null || eta === undefined ? "" : DOT + remaining(eta);
    const words = steps > 0 ? `Growing prototypes, ${reached}${left}` : "Growing prototypes";
    return { verb: "Stop", words, spoken: "Growing prototypes", hint: "What there is stays" };
  }
  if (state === "failed") {
    const words = `Prototypes could not be grown. ${error?.why ?? ""}`;
    return { verb: "Try again", words, spoken: words, hint };
  }
  if (resumes) {
    const words = steps > 0 ? `Prototypes stopped at ${reached}` : "Prototypes stopped";
    return { verb: "Continue", words, spoken: words, hint };
  }
  if (state === "partial") {
    const words = `${counted(missing, "concept")} without a finished prototype`;
    return { verb: missing === 1 ? "Grow it" : "Grow them", words, spoken: "", hint };
  }
  if (state === "done") return { verb: "", words: "", spoken: "", hint };
  const words = gone ? "The prototypes were of the directions before." : "";
  return { verb: missing > 0 ? "Grow prototypes" : "", words, spoken: words, hint };
}
