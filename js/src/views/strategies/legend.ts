/** What stands above and below the photos: the rule of their colours, the filter, the lasso, concepts and shapes. */
import { h, icon, on, patchChildren, setAttribute, setText, show } from "../../core/dom";
import { count } from "../../core/format";
import { walkWithArrows } from "../../core/roving";
import { makeAbout, makePopover } from "../shared/popover";
import { makeChip, paintLetter } from "./chip";
import type { Context, Part } from "./context";
import { RIGHT, WRONG } from "./points";
import type { Concept, Shown } from "./state";
import { makeTabs } from "./tabs";
import { chosenWords, litWords, MARKS, nameOf, ruleWords } from "./words";

const TITLE = "How this was made";
const DISTINCTIVE = "Against the mean of all photos: tells photos apart where one concept is everywhere";
const STRONGEST = "The concept that adds most to the photo’s logit";

/** Makes the line above the photos. */
export function makeBar({ model, act, signal }: Context): Part {
  const tabs = makeTabs(
    "Colour",
    [
      ["distinctive", "Distinctive", DISTINCTIVE],
      ["strongest", "Strongest", STRONGEST],
    ],
    act.setRule,
    signal,
  );
  const info = h(
    "button",
    { class: "icon", type: "button", "aria-label": TITLE, "aria-haspopup": "dialog", title: TITLE },
    icon("info"),
  );
  const about = makeAbout(signal);
  const popover = makePopover(info, TITLE, about.node, signal);
  const told = h("p", { class: "mut sm" });
  const bar = h(
    "div",
    { class: "bar heading" },
    h("h2", {}, "Why these together"),
    tabs.node,
    info,
    popover.node,
  );
  return {
    node: h("div", {}, bar, told),
    update({ graph }) {
      tabs.update(model.get("by"));
      setText(told, `Near: read for the same reasons. ${ruleWords(model.get("by"))}`);
      setAttribute(told, "title", graph?.rules[model.get("by")] ?? null);
      show(info, graph !== null);
      if (graph) about.update(graph.about, graph.code);
    },
  };
}

/** Makes what stands below the photos. */
export function makeLegend(context: Context, saver: HTMLElement): Part {
  const { model, state, act, signal } = context;
  const group = h("div", { class: "legends", role: "group", "aria-label": "Concepts" });
  const shapes = h("p", { class: "shapes sm mut" });
  const mistakes = h("button", { class: "tog", type: "button", title: "M" }, "Only misread");
  const lasso = h(
    "button",
    {
      class: "tog",
      type: "button",
      title: "A drag chooses photos instead of moving; so does Shift with a drag",
    },
    "Lasso",
  );
  const why = h("p", { class: "sm mut" });
  const told = h("p", { class: "sm mut told" });
  const tools = h("div", { class: "row" }, h("div", { class: "toggles" }, mistakes, lasso), saver);
  const node = h("div", { class: "below" }, group, shapes, tools, why, told);
  const chips = new WeakMap<Element, { chip: HTMLElement; text: HTMLElement; number: HTMLElement }>();
  on(mistakes, "click", act.toggleMistakes, signal);
  on(lasso, "click", act.toggleLasso, signal);
  on(
    group,
    "click",
    (event) => {
      const button = (event.target as Element).closest<HTMLElement>("[data-key]");
      if (button) act.chooseConcept(Number(button.dataset.key), event.shiftKey);
    },
    signal,
  );
  walkWithArrows(group, () => undefined, signal);

  function make(): HTMLElement {
    const [chip, text, number] = [makeChip(), h("span"), h("span", { class: "mut" })];
    chip.removeAttribute("aria-hidden");
    const button = h("button", { type: "button", class: "key" }, chip, text, number);
    chips.set(button, { chip, text, number });
    return button;
  }
  function patch(button: HTMLElement, concept: Concept, shown: Shown, stop: boolean): void {
    const parts = chips.get(button);
    if (!parts) return;
    const some = shown.counts[concept.row] ?? 0;
    paintLetter(parts.chip, concept, state.dark);
    setText(parts.text, concept.name);
    setText(parts.number, count(some));
    setAttribute(button, "aria-pressed", shown.chosenConcepts.includes(concept.row) ? "true" : "false");
    setAttribute(button, "tabindex", stop ? 0 : -1);
    setAttribute(button, "title", `${nameOf(concept)}, ${count(some)} photos of its colour`);
    setAttribute(button, "data-none", some === 0 || null);
  }
  return {
    node,
    update(shown) {
      const { concepts, counts, points, graph } = shown;
      const sorted = [...concepts].sort((a, b) => b.importance - a.importance);
      const buttons = patchChildren(
        group,
        sorted.map(({ id }) => String(id)),
        make,
      );
      const focused = buttons.indexOf((group.getRootNode() as ShadowRoot).activeElement as HTMLElement);
      const stop = Math.max(0, focused);
      for (const [i, button] of buttons.entries()) patch(button, sorted[i] as Concept, shown, i === stop);
      const marks = points ? MARKS.filter(([mark]) => points.marks.includes(mark)) : [];
      const none = counts[concepts.length] ?? 0;
      setText(shapes, shapeWords(marks, none));
      mistakes.disabled = !graph?.labelled || (shown.mistakes === 0 && !model.get("only_mistakes"));
      setAttribute(mistakes, "aria-pressed", model.get("only_mistakes") ? "true" : "false");
      setText(mistakes, `Only misread${graph?.labelled ? ` (${count(shown.mistakes)})` : ""}`);
      setAttribute(lasso, "aria-pressed", state.lassoing ? "true" : "false");
      setText(why, graph?.no_labels ?? "");
      show(why, (graph?.no_labels ?? "") !== "");
      const words = [litWords(shown, graph?.presence ?? 0), chosenWords(shown)].filter(Boolean).join(" ");
      setText(told, words ? (words.endsWith(".") ? words : `${words}.`) : "");
      show(node, points !== null);
    },
  };
}

/** What the shapes, and grey, mean. */
function shapeWords(marks: readonly (readonly [number, string])[], none: number): string {
  const signs = { [RIGHT]: "●", [WRONG]: "◆" } as Record<number, string>;
  const told = marks.map(([mark, text]) => `${signs[mark] ?? "■"}\u00a0${text}`);
  if (none > 0) told.push(`grey\u00a0no concept speaks for it: ${count(none)}`);
  return told.join(" \u00a0 ");
}
