/** Why the photo that is looked at was read as one class and not as another: two sums side by side. */
import { h, on, patchChildren, setAttribute, setText, show } from "../../core/dom";
import { counted } from "../../core/format";
import { walkWithArrows } from "../../core/roving";
import { makeChip, paintLetter } from "./chip";
import type { Context, Part } from "./context";
import type { Thumbs } from "./hover";
import { Looked, makeLook } from "./look";
import { makeParting } from "./parting";
import type { Concept } from "./state";
import { type Compared, type Line, linesOf, orderOf } from "./sums";
import { comparisonWords, lineWords, logits, nameOf, readingWords } from "./words";

/** Concepts with a line of their own, and photos in the strip. */
const [MOST, STRIP] = [7, 12];

interface Cells {
  chip: HTMLElement;
  name: HTMLElement;
  bars: HTMLElement[];
  numbers: HTMLElement[];
}

/** Makes the panel. */
export function makeCompare(context: Context, thumbs: Thumbs): Part {
  const { model } = context;
  const heading = h("h2");
  const told = h("p", { class: "mut sm" });
  const strip = makeStrip(context, thumbs);
  const looked = new Looked(context);
  const look = makeLook(context, looked, thumbs);
  const table = makeTable(context);
  const parting = makeParting(context, looked);
  const why = h("p", { class: "mut blank" });
  const node = h(
    "section",
    { class: "compare" },
    h("div", { class: "bar" }, heading),
    told,
    strip.node,
    h("div", { class: "both" }, look.node, table.node),
    parting.node,
    why,
  );
  return {
    node,
    update(shown) {
      const { points, here, compared, graph } = shown;
      show(node, points !== null);
      if (!points) return;
      const classes = model.get("_classes") ?? [];
      setText(heading, here === null ? "Why this one" : `Why this one: ${points.names[here] ?? ""}`);
      const reading = here === null ? "" : readingWords(points, here, classes);
      setText(told, reading && `${reading.charAt(0).toUpperCase()}${reading.slice(1)}.`);
      show(told, here !== null);
      strip.update(shown);
      look.update(shown);
      table.update(shown);
      parting.update(shown);
      const reason = graph?.no_other
        ? graph.no_other
        : here === null
          ? "Choose a photo to see what speaks for the class that it was read as, and for the other."
          : "The sums of this photo are not here; a kernel has them.";
      show(why, compared === null);
      setText(why, reason);
    },
  };
}

/** Photos that are chosen: the first is looked at. */
function makeStrip({ act, signal }: Context, thumbs: Thumbs): Part {
  const group = h("div", { class: "chosen", role: "radiogroup", "aria-label": "Chosen photos" });
  const more = h("span", { class: "sm mut" });
  const none = h("button", { class: "link", type: "button" }, "Choose none");
  const node = h("div", { class: "chosens" }, group, more, none);
  let order: number[] = [];
  const pick = (target: EventTarget | null) => {
    const button = (target as Element | null)?.closest<HTMLElement>("[data-key]");
    if (button) act.lookAt(Number(button.dataset.key));
  };
  on(group, "click", (event) => pick(event.target), signal);
  walkWithArrows(group, pick, signal);
  on(none, "click", () => act.choose([], false), signal);
  return {
    node,
    update({ chosen, points, here }) {
      show(node, chosen.length > 1);
      if (!points || chosen.length < 2) {
        order = [];
        return;
      }
      // looking at another of them moves none of them
      const known = new Set(chosen);
      if (order.length !== chosen.length || order.some((row) => !known.has(row))) order = [...chosen];
      const at = here === null ? 0 : order.indexOf(here);
      const first = at < STRIP ? 0 : at - STRIP + 1;
      const list = order.slice(first, first + STRIP);
      const buttons = patchChildren(group, list.map(String), () =>
        h("button", { type: "button", role: "radio" }, h("canvas", { "aria-hidden": "true" })),
      );
      buttons.forEach((button, i) => {
        const row = list[i] as number;
        setAttribute(button, "aria-checked", row === here ? "true" : "false");
        setAttribute(button, "tabindex", row === here ? 0 : -1);
        setAttribute(button, "aria-label", points.names[row] ?? "");
        setAttribute(button, "title", points.names[row] ?? "");
        setAttribute(button, "data-wrong", points.marks[row] === 1 || null);
        const painted = thumbs.paint(button.firstElementChild as HTMLCanvasElement, row, 96);
        setAttribute(button, "data-blank", !painted || null);
      });
      setText(more, chosen.length > list.length ? `of ${counted(chosen.length, "photo")}` : "");
    },
  };
}

/** Makes the table of the two sums. */
function makeTable({ model, state, act, signal }: Context): Part {
  const cells = new WeakMap<Element, Cells>();
  const words = h("p", { class: "said" });
  const heads = [
    h("th", { scope: "col" }),
    h("th", { scope: "col" }),
    h("th", { scope: "col" }, "difference"),
  ];
  const body = h("tbody");
  const totals = [h("td"), h("td"), h("td")];
  const table = h(
    "table",
    {},
    h("caption", { class: "vh" }, "What adds up to either logit"),
    h("thead", {}, h("tr", {}, h("td"), ...heads)),
    body,
    h("tfoot", {}, h("tr", {}, h("th", { scope: "row" }, "logit"), ...totals)),
  );
  const node = h("div", { class: "sums" }, words, table);
  on(
    body,
    "click",
    (event) => {
      const button = (event.target as Element).closest<HTMLElement>("button[data-row]");
      if (button) act.showMap(Number(button.dataset.row));
    },
    signal,
  );

  function make(): HTMLElement {
    const chip = makeChip();
    const name = h("button", { type: "button", class: "link" });
    const bars = [h("i"), h("i"), h("i")];
    const numbers = [h("span"), h("span"), h("span")];
    const row = h(
      "tr",
      {},
      h("th", { scope: "row" }, chip, name),
      ...bars.map((bar, i) =>
        h("td", {}, h("span", { class: "sum", "aria-hidden": "true" }, bar), numbers[i] as Node),
      ),
    );
    cells.set(row, { chip, name, bars, numbers });
    return row;
  }
  function patch(
    row: HTMLElement,
    line: Line,
    most: number,
    concepts: readonly Concept[],
    mapped: number,
  ): void {
    const of = cells.get(row);
    if (!of) return;
    const concept = typeof line.what === "number" ? concepts[line.what] : undefined;
    show(of.chip, concept !== undefined);
    if (concept) paintLetter(of.chip, concept, state.dark);
    row.style.setProperty("--c", concept ? of.chip.style.getPropertyValue("--c") : "var(--rule2)");
    setText(of.name, lineWords(line, concepts));
    setAttribute(of.name, "data-row", concept ? concept.row : null);
    (of.name as HTMLButtonElement).disabled = concept === undefined;
    setAttribute(of.name, "aria-pressed", concept ? (concept.row === mapped ? "true" : "false") : null);
    setAttribute(of.name, "title", concept ? `Show where ${nameOf(concept)} is` : null);
    [line.first, line.second, line.first - line.second].forEach((value, i) => {
      const bar = of.bars[i] as HTMLElement;
      const size = most > 0 ? (50 * Math.abs(value)) / most : 0;
      bar.style.width = `${size.toFixed(2)}%`;
      bar.style.left = `${(value < 0 ? 50 - size : 50).toFixed(2)}%`;
      setText(of.numbers[i] as HTMLElement, logits(value));
    });
  }
  return {
    node,
    update({ compared, concepts }) {
      show(node, compared !== null);
      if (!compared) return;
      const classes = model.get("_classes") ?? [];
      const order = orderOf(compared);
      const [first, second] = compared.classes;
      setText(words, comparisonWords(compared, order, concepts));
      setText(heads[0] as HTMLElement, `read as ${classes[first] ?? ""}`);
      setText(
        heads[1] as HTMLElement,
        `${compared.kind === "true" ? "is" : "next likeliest"} ${classes[second] ?? ""}`,
      );
      const lines = linesOf(compared, MOST);
      const most = Math.max(
        ...lines.flatMap((line) => [line.first, line.second, line.first - line.second].map(Math.abs)),
      );
      const rows = patchChildren(
        body,
        lines.map(({ what }) => String(what)),
        make,
      );
      const mapped = state.mapped ?? order[0] ?? 0;
      for (const [i, row] of rows.entries()) patch(row, lines[i] as Line, most, concepts, mapped);
      writeTotals(totals, compared);
    },
  };
}

function writeTotals(totals: readonly HTMLElement[], { logits: [first, second] }: Compared): void {
  for (const [i, value] of [first, second, first - second].entries())
    setText(totals[i] as HTMLElement, logits(value));
}
