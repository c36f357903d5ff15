/** Sentences. All of them, so that they can be read, and changed, in one place. */
import { count, counted, percent, remaining, signed } from "../../core/format";
import type { AnyModel } from "../../core/model";
import type { Counting, Rate, Rule, StrategyTraits } from "../../core/strategy_wire";
import { type Answering, silenceWords } from "../shared/answering";
import type { HeadWords } from "../shared/head";
import { OPEN, type Points, RIGHT, WRONG } from "./points";
import type { Concept, Shown } from "./state";
import { type Compared, differenceOf, LEAST, type Line } from "./sums";

const DOT = " · ";
const SAVED = "Saved page: photos, concepts and sums work; computing needs a notebook.";

export const KEYS: readonly [string[], string][] = [
  [["Tab"], "next control"],
  [["←", "→", "↑", "↓"], "on the photos, the nearest in that direction; on concepts, the next"],
  [["Enter"], "choose it alone; with Shift, beside the others"],
  [["L"], "choose all photos of its concept that are shown"],
  [["+", "−", "0"], "closer, further away, all; 0 is also a double click"],
  [["M"], "only the misread photos, or all"],
  [["S"], "save the picture"],
  [["Esc"], "close, stop, leave what is chosen"],
  [["?"], "this list"],
];

/** Marks in words, with how they look. */
export const MARKS: readonly [number, string][] = [
  [RIGHT, "right"],
  [WRONG, "misread"],
  [OPEN, "not known"],
];

/** What the kernel's silence means, or nothing. */
export const kernelWords = (kernel: Answering): string => silenceWords(kernel, SAVED);

/** A number of logits with a real minus sign. */
export function logits(value: number): string {
  return signed(value);
}

/** A signed share: `76 %`, `−9 %`. */
export function share(value: number): string {
  return value < 0 ? `−${percent(-value)}` : percent(value);
}

export function nameOf({ letter, name }: Pick<Concept, "letter" | "name">): string {
  return name ? `${letter} ${name}` : `concept ${letter}`;
}

function statusWords({ status, points }: Shown): string {
  const left = status.eta === null ? "" : DOT + remaining(status.eta);
  const told = `${count(status.done)} of ${count(status.total)}`;
  switch (status.state) {
    case "empty":
      return points ? "" : "Not looked at yet";
    case "computing":
      if (status.stage === "queued") return "Queued";
      if (status.stage === "layout") return "Placing the photos";
      return status.total ? `Photo ${told}${left}` : "Setting up";
    case "partial":
      return status.total ? `Stopped at photo ${told}` : "Stopped";
    case "failed":
      return "Failed";
    case "done":
      return "";
  }
}

/** What the head says. */
export function headWords(model: AnyModel<StrategyTraits>, shown: Shown, kernel: Answering): HeadWords {
  const { status, graph, points, concepts } = shown;
  const verbs = {
    empty: points ? "" : "Run",
    computing: "Stop",
    partial: "Continue",
    failed: "Try again",
    done: "",
  };
  const what = points && graph ? `${counted(points.count, "photo")} ${graph.population}` : "Strategies";
  return {
    title: model.get("_title") || "Strategies",
    subtitle: concepts.length ? `${what}, ${counted(concepts.length, "concept")}` : what,
    status: statusWords(shown),
    verb: verbs[status.state],
    silence: kernelWords(kernel),
    computing: status.state === "computing",
    done: status.state === "done",
    progress: status.state === "done" ? 1 : status.total > 0 ? Math.min(1, status.done / status.total) : 0,
  };
}

/** What the photos' colours are. */
export function ruleWords(rule: Rule): string {
  return rule === "distinctive"
    ? "Colour and letter: the concept that sets the photo apart from the mean of all."
    : "Colour and letter: the concept that adds most to the photo’s logit.";
}

/** What is lit, where concepts are chosen. */
export function litWords(shown: Shown, presence: number): string {
  const { chosenConcepts, concepts, litCount, shownCount, points } = shown;
  if (!points) return "";
  const all = counted(shownCount, shownCount === points.count ? "photo" : "misread photo");
  if (chosenConcepts.length === 0)
    return shownCount === points.count ? "" : `${all} of ${count(points.count)}.`;
  const names = chosenConcepts.map((row) => nameOf(concepts[row] as Concept));
  const what = names.length > 1 ? `one of ${names.join(", ")}` : names[0];
  return `${count(litCount)} of ${all} ${litCount === 1 ? "has" : "have"} ${what} (at least ${percent(presence)} of the evidence); the others are dimmed.`;
}

/** What a photo was read as, and is. */
export function readingWords(points: Points, row: number, classes: readonly string[]): string {
  const said = classes[points.said(row)] ?? "";
  const truth = points.truth(row);
  const mark = points.marks[row];
  if (mark === RIGHT) return `read as ${said}, right`;
  if (mark === WRONG) return `read as ${said}, is ${truth === null ? "unknown" : (classes[truth] ?? "")}`;
  return `read as ${said}`;
}

/** The strongest concepts of a photo. */
export function topWords(points: Points, row: number, concepts: readonly Concept[]): string {
  return points
    .top(row)
    .filter(({ share: of }) => of !== 0)
    .map(({ concept, share: of }) => `${concepts[concept]?.letter} ${share(of)}`)
    .join(", ");
}

/** A photo to a screen reader. */
export function photoLabel(shown: Shown, row: number, classes: readonly string[]): string {
  const { points, concepts, chosen } = shown;
  if (!points) return "";
  const told = topWords(points, row, concepts);
  const state = chosen.includes(row) ? ", chosen" : "";
  return `${points.names[row]}: ${readingWords(points, row, classes)}${told ? `; ${told}` : ""}${state}`;
}

/** How many photos are chosen. */
export function chosenWords({ chosen, points }: Shown): string {
  if (!points || chosen.length === 0) return "";
  return chosen.length === 1
    ? `${points.names[chosen[0] as number]} is chosen`
    : `${counted(chosen.length, "photo")} chosen`;
}

/** A share with its interval and counts: `35 of 60, 58 % (46 to 70 %)`. */
export function rateWords({ value, low, high, count: some, total }: Rate): string {
  if (value === null || total === 0) return "not known";
  return `${percent(value)} (${Math.round(100 * low)} to ${percent(high)}), ${count(some)} of ${count(total)}`;
}

export const COUNTINGS: Record<Counting, string> = { presence: "Present", strongest: "Strongest" };

/** What the second panel counts. */
export function countingWords(counting: Counting, { graph }: Shown): string {
  const what =
    counting === "presence"
      ? `photos in which the concept gives at least ${percent(graph?.presence ?? 0)} of the evidence`
      : "photos whose strongest concept it is";
  return `Counted: ${what}. Area: share of all that the concepts add and take. Bars: ${Math.round(100 * (graph?.level ?? 0))}\u00a0% intervals; they cross at the value, discs move apart.`;
}

/** A concept's disc to a screen reader. */
export function discLabel(concept: Concept, counting: Counting): string {
  const [prevalence, reliability] = concept[counting];
  const flag = concept.verdict === "nothing" ? "" : `; ${concept.verdict}`;
  return `${nameOf(concept)}: in ${rateWords(prevalence)}; right ${rateWords(reliability)}; ${percent(concept.importance)} of the importance${flag}`;
}

/** What a line of the sum is. */
export function lineWords({ what, count: some }: Line, concepts: readonly Concept[]): string {
  if (typeof what === "number") return concepts[what]?.name || `concept ${concepts[what]?.letter}`;
  const rest = {
    others: `${some} other concepts`,
    residual: "outside the concepts",
    base: "bias",
    gap: "missed by the integral",
  };
  return rest[what];
}

/** For which of two classes a concept speaks, and by how much more. */
export function partingWords(compared: Compared, row: number, classes: readonly string[]): string {
  const by = differenceOf(compared, row);
  return `${logits(Math.abs(by))} for ${classes[compared.classes[by < 0 ? 1 : 0]] ?? ""}`;
}

/** What crops are, and of which photos. */
export function cropsWords(concept: Concept, images: readonly string[]): string {
  return `Crops that show ${nameOf(concept)} most, of ${[...new Set(images)].join(", ")}`;
}

/** What parts the two classes, in a sentence. */
export function comparisonWords(
  compared: Compared,
  order: readonly number[],
  concepts: readonly Concept[],
): string {
  const apart = compared.logits[0] - compared.logits[1];
  const most = LEAST * Math.abs(differenceOf(compared, order[0] ?? 0));
  const parts = order.slice(0, 2).flatMap((k) => {
    const [concept, by] = [concepts[k], differenceOf(compared, k)];
    return concept && Math.abs(by) >= most ? [{ concept, by }] : [];
  });
  const held = compared.concepts.reduce((sum, { first, second }) => sum + first - second, 0);
  const rest = apart - held;
  const strongest = Math.max(0, ...parts.map(({ by }) => Math.abs(by)));
  const told = parts.map(({ concept, by }) => `${nameOf(concept)} ${logits(by)}`).join(" and ");
  if (Math.abs(rest) > strongest)
    return `What parts them is not among these concepts: what they miss, and the bias, give ${logits(rest)} of the ${logits(apart)} between them.`;
  return `Of the ${logits(apart)} between them most is in ${told}; what no concept explains, and the bias, give ${logits(rest)}.`;
}
