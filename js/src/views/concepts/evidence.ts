/** What the photo's logit is made of: bars for and against. */
import { h, on, patchChildren, setAttribute, setText, show } from "../../core/dom";
import { signed } from "../../core/format";
import { walkWithArrows } from "../../core/roving";
import { tint } from "./chip";
import type { Context, Part } from "./context";
import { evidenceScale, type Piece, type Standing, splitEvidence, standOut } from "./evidence_sums";
import { pieceLabel, STANDINGS, standingWords, sumWords } from "./words";

/** Share of the width from which a piece has room for its letter. */
const LETTER = 0.045;

const keyOf = (piece: Piece) => (piece.concept ? String(piece.concept.id) : piece.kind);

/** Makes the bars. */
export function makeEvidence({ model, state, act, signal }: Context): Part {
  const logit = h("span", { class: "mut" });
  const target = h("span", { class: "mut" });
  const plus = h("div", { class: "stack", "data-side": "plus" });
  const minus = h("div", { class: "stack", "data-side": "minus" });
  const bars = h(
    "div",
    { class: "stacks", role: "group", "aria-label": "Evidence in this photo" },
    plus,
    minus,
  );
  const note = h("p", { class: "sm mut" });
  const [strong, apart] = [makeStanding("Strongest"), makeStanding("Distinctive")];
  const standing = h("p", { class: "standing sm mut" }, strong.node, apart.node);
  const node = h(
    "section",
    { class: "evid" },
    h("div", { class: "bar" }, h("h2", {}, "Evidence ", target), logit),
    bars,
    note,
    standing,
  );
  let stop = "";

  const choose = (target: EventTarget | null) => {
    const id = (target as Element | null)?.closest<HTMLElement>("button")?.dataset.key;
    if (id !== undefined && /^\d+$/.test(id)) act.open(Number(id));
  };
  for (const each of [bars, standing]) on(each, "click", (event) => choose(event.target), signal);
  on(
    bars,
    "focusin",
    (event) => {
      stop = (event.target as HTMLElement).dataset.key ?? "";
      setStops();
    },
    signal,
  );
  walkWithArrows(bars, () => undefined, signal, "button");

  function setStops(): void {
    const buttons = [...bars.querySelectorAll<HTMLElement>("button")];
    const here = buttons.find(({ dataset }) => dataset.key === stop) ?? buttons[0];
    for (const button of buttons) setAttribute(button, "tabindex", button === here ? 0 : -1);
  }

  function fill(stack: HTMLElement, pieces: readonly Piece[], scale: number): void {
    const nodes = patchChildren(stack, pieces.map(keyOf), makePiece);
    let start = 0;
    nodes.forEach((piece, i) => {
      const told = pieces[i];
      if (!told) return;
      const share = Math.abs(told.value) / scale;
      piece.style.left = `${100 * start}%`;
      piece.style.width = `max(2px, calc(${100 * share}% - 1px))`;
      start += share;
      if (told.concept) tint(piece, told.concept, state.dark);
      setAttribute(piece, "data-on", told.concept?.on || null);
      setAttribute(piece, told.concept ? "aria-label" : "title", pieceLabel(told));
      if (told.concept) setAttribute(piece, "title", pieceLabel(told));
      const mark = told.concept ? `${told.value < 0 ? "−" : ""}${told.concept.letter}` : "";
      setText(piece, share >= LETTER * (mark.length > 1 ? 1.3 : 1) ? mark : "");
    });
    show(stack, pieces.length > 0);
  }

  return {
    node,
    update(shown) {
      const { image, rows } = shown;
      const known = image !== null && image.contributions.length > 0 && image.logit !== null;
      show(node, known);
      if (!known) return;
      const scale = evidenceScale(
        (model.get("_images") ?? []).filter(({ contributions }) => contributions.length),
      );
      const sums = splitEvidence(image, rows, scale);
      setText(target, evidenceTarget(model.get("_target"), image.predicted));
      setText(logit, `logit ${signed(image.logit ?? 0)}`);
      fill(plus, sums.plus, scale);
      fill(minus, sums.minus, scale);
      setAttribute(bars, "data-some", shown.layers.length > 0 || null);
      setStops();
      setText(note, sumWords(image));
      const { strongest, distinctive } = standOut(image, rows, model.get("_images") ?? []);
      strong.update(strongest, null);
      apart.update(distinctive, distinctive?.mean ?? null);
    },
  };
}

/** What a kind of concept is called, and a button that opens it. */
function makeStanding(kind: keyof typeof STANDINGS) {
  const button = h("button", { class: "link sm", type: "button" });
  const node = h("span", { title: STANDINGS[kind] }, `${kind}: `, button);
  return {
    node,
    update(told: Standing | null, mean: number | null) {
      show(node, told !== null);
      if (!told) return;
      button.dataset.key = String(told.concept.id);
      setText(button, standingWords(told.concept, told.share, mean));
    },
  };
}

function evidenceTarget(target: string, predicted: string): string {
  return `for ${target.startsWith("each photo") ? predicted : target} in this photo`;
}

function makePiece(key: string): HTMLElement {
  if (key === "residual" || key === "small") return h("span", { class: key });
  return h("button", { type: "button" });
}
