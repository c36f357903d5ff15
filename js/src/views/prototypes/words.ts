/** Sentences. All of them, so that they can be read, and changed, in one place. */
import { count, counted, amount as plainAmount, remaining } from "../../core/format";
import type { AnyModel } from "../../core/model";
import type { ExampleInfo, ExamplesInfo, ProtoTraits } from "../../core/proto_wire";
import { type Answering, silenceWords } from "../shared/answering";
import type { HeadWords } from "../shared/head";
import { type Proto, type Shown, worthOf } from "./state";

const DOT = " · ";
const SAVED = "Saved page: prototypes, photos and frames work; computing needs a notebook.";

export const KEYS: readonly [string[], string][] = [
  [["Tab"], "next control"],
  [["←", "→", "↑", "↓"], "walk prototypes; on the picture, the frames of its way"],
  [["Home", "End"], "on the picture, how it began and what it became"],
  [["Space"], "on the picture, transparency on or off"],
  [["drag"], "on an accentuated photo, wipe between before and after; arrows move the handle"],
  [["Enter"], "on a photo, select it in linked views"],
  [["Esc"], "close, stop, back to what it became"],
  [["?"], "this list"],
];

/** An amount of either sign. */
export function amount(value: number): string {
  return plainAmount(value).replace("-", "−");
}

/** The sides of an accentuated photo. */
export const [BEFORE, AFTER] = ["Before", "After"];
export const CHANGED = "What was changed, over the photo in grey";

/** What a prototype is, and is not; each with where that was shown. */
export const CAUTIONS: readonly [string, string][] = [
  [
    "A prototype is made to excite the target; nobody photographed it. Networks have been built whose prototypes show nothing of what they do on photos, and ordinary networks process prototypes unlike photos.",
    "2306.04719",
  ],
  [
    "People asked what excites a unit did about as well with photos that excite it as with feature visualisations.",
    "2106.12447",
  ],
];

/** What the kernel's silence means, or nothing. */
export const kernelWords = (kernel: Answering): string => silenceWords(kernel, SAVED);

function statusWords({ status, protos, growing, here }: Shown): string {
  const left = status.eta === null ? "" : DOT + remaining(status.eta);
  switch (status.state) {
    case "empty":
      return protos.length ? "" : "Not grown yet";
    case "computing":
      if (status.stage === "queued") return "Queued";
      if (!growing) return `Looking at photos, ${count(status.done)} of ${count(status.total)}${left}`;
      return here ? `Step ${count(here.steps)} of ${count(here.wanted)}${left}` : "Setting up";
    case "partial":
      return here ? `Stopped at step ${count(here.steps)} of ${count(here.wanted)}` : "Stopped";
    case "failed":
      return "Failed";
    case "done":
      return "";
  }
}

/** What the head says. */
export function headWords(model: AnyModel<ProtoTraits>, shown: Shown, kernel: Answering): HeadWords {
  const { status, protos, faces } = shown;
  const share = status.total > 0 ? Math.min(1, status.done / status.total) : 0;
  const verbs = {
    empty: protos.length ? "" : "Run",
    computing: "Stop",
    partial: "Continue",
    failed: "Try again",
    done: "",
  };
  const seeds = protos.length > faces.length ? `, ${counted(protos.length, "prototype")}` : "";
  const accentuated = protos.length > 0 && protos.every(({ seeded }) => seeded);
  const what = accentuated
    ? `Photos accentuated to excite it: ${counted(faces.length, "target")}${seeds}`
    : faces.length
      ? `What would excite it most: ${counted(faces.length, "target")}${seeds}`
      : "Prototypes";
  return {
    title: model.get("_title") || "Prototypes",
    subtitle: what,
    status: statusWords(shown),
    verb: verbs[status.state],
    silence: kernelWords(kernel),
    computing: status.state === "computing",
    done: status.state === "done" || (status.state === "empty" && protos.length > 0),
    progress: status.state === "done" ? 1 : share,
  };
}

/** What a target reads. */
export function readsWords({ layers }: Proto): string {
  return layers.length ? `in ${layers.join(", ")}` : "of the logits";
}

/** What a card says of how excited the target is. */
export function valueWords(proto: Proto): string {
  const value = worthOf(proto);
  return value === null ? "" : amount(value);
}

/** What a card says to a screen reader. */
export function cardLabel(proto: Proto): string {
  const value = valueWords(proto);
  return `${proto.letter ? `${proto.letter}, ` : ""}${proto.label}${value ? `, ${proto.unit} ${value}` : ""}`;
}

/** What a prototype begins with. */
export function startWords({ seeded }: Proto): string {
  return seeded ? "photo" : "noise";
}

/** Where the edge between before and after is. */
export function wipeWords(share: number): string {
  const percent = Math.round(100 * share);
  if (percent === 0) return "all after";
  return percent === 100 ? "all before" : `${percent}\u00a0% before on the left, after on the right`;
}

/** What is said of the step that is drawn. */
export function frameWords({ here, frames, frame }: Shown): string {
  if (!here) return "";
  if (frame === null || !frames) return `step ${count(here.steps)}`;
  const step = frames.steps[frame] ?? 0;
  return step === 0 ? startWords(here) : `step ${count(step)}`;
}

/** What stands beside the slider of steps. */
export function stepWords({ here, frames, frame }: Shown): string {
  const step = frame === null || !frames ? (here?.steps ?? 0) : (frames.steps[frame] ?? 0);
  return step === 0 && here ? startWords(here) : count(step);
}

/** What the picture is called by a screen reader. */
export function pictureLabel(proto: Proto, shown: Shown): string {
  const many = shown.members.length > 1 ? `, ${proto.variant}` : "";
  if (proto.seeded) return `Photo accentuated for ${proto.label}${many}, ${frameWords(shown)}.`;
  const keys = shown.frames ? " Arrow keys walk the frames of its way." : "";
  return `Prototype of ${proto.label}${many}, ${frameWords(shown)}.${keys} Space shows or hides what did not matter.`;
}

/** What stands under a picture among several. */
export function variantWords(proto: Proto): string {
  const value = valueWords(proto);
  return proto.variant + (value ? `${DOT}${value}` : "");
}

/** How the photos compare. */
export function comparisonWords(
  { values, count: photos, top, complete }: ExamplesInfo,
  proto: Proto,
): string {
  const sound = values.filter((value): value is number => value !== null);
  const best = top[0]?.value;
  if (sound.length === 0 || best === null || best === undefined) return "";
  const all = `${complete ? "" : "the first "}${counted(photos, "photo")}`;
  const strongest = `the strongest photo gives ${amount(best)}`;
  if (proto.after === null) return `Of ${all}, ${strongest}.`;
  const below = sound.filter((value) => value < (proto.after as number)).length / sound.length;
  const share = Math.round(100 * below);
  const than =
    below === 1 ? `above all ${all}` : below === 0 ? `below all ${all}` : `above ${share}\u00a0% of ${all}`;
  const crops = proto.crops
    ? `; its crops, which were climbed, ${amount(proto.crops[0])} ± ${amount(proto.crops[1])}`
    : "";
  const whole = proto.seeded ? "The accentuated photo" : "The whole prototype";
  const begun = proto.seeded && proto.before !== null ? ` (${amount(proto.before)} before)` : "";
  return `${whole} gives ${amount(proto.after)}${begun}, ${than}${crops}. ${strongest.replace("the", "The")}.`;
}

/** What an example is called by a screen reader. */
export function exampleLabel(example: ExampleInfo, place: number): string {
  const value = example.value === null ? "" : `, ${amount(example.value)}`;
  const peak = example.peak === null ? "" : `, ${amount(example.peak)} at its strongest place`;
  return `Photo ${place + 1}, ${example.image}${value}${peak}`;
}

/** What the trace shows. */
export function traceWords({ trace, wanted, steps }: Proto): string {
  const known = trace.filter((value): value is number => value !== null);
  const [first, last] = [known[0], known.at(-1)];
  if (first === undefined || last === undefined) return "";
  const of = steps < wanted ? ` of ${count(wanted)}` : "";
  return `On its crops from ${amount(first)} to ${amount(last)} in ${counted(steps, "step")}${of}`;
}

/** What is announced when another prototype is looked at. */
export function selectionWords({ here, members }: Shown): string {
  if (!here) return "";
  return `Prototype of ${here.label}${members.length > 1 ? `, ${here.variant}` : ""}`;
}
