/** How common and how reliable each concept is, and which may be shortcuts. */
import { h, on, patchChildren, setAttribute, setText, show } from "../../core/dom";
import { percent } from "../../core/format";
import { walkWithArrows } from "../../core/roving";
import type { Counting, Rate } from "../../core/strategy_wire";
import { hueOn } from "../concepts/palette";
import { svg } from "../prototypes/svg";
import { makeChip, paintLetter, tint } from "./chip";
import type { Context, Part } from "./context";
import { moveApart, type Spot } from "./geometry";
import type { Concept, Shown } from "./state";
import { makeTabs } from "./tabs";
import { COUNTINGS, countingWords, discLabel, nameOf, rateWords } from "./words";

/** Diameter of a disc, in pixels of the page: of a concept that adds nothing, and of one that adds all. */
const [SMALLEST, LARGEST] = [16, 36];
/** Room between a disc's edge and the middle, where the letter is, of one that it lies on. */
const BESIDE = 7;
const LEVELS = [0, 0.25, 0.5, 0.75, 1];

/** Diameter of a concept's disc: its area goes with its importance. */
export function diameterOf(importance: number, top: number): number {
  const area = top > 0 ? importance / top : 0;
  return Math.sqrt(SMALLEST ** 2 + (LARGEST ** 2 - SMALLEST ** 2) * area);
}

/** Concepts as they are drawn: the largest first, so that none hides another. */
export function stacked(concepts: readonly Concept[]): Concept[] {
  return [...concepts].sort((a, b) => b.importance - a.importance || a.row - b.row);
}

/** Where the axis of prevalence ends so that all intervals are on it. */
export function axisOf(concepts: readonly Concept[], counting: Counting): [number, number[]] {
  const top = Math.max(0, ...concepts.map((each) => each[counting][0].high));
  const end = [0.25, 0.5, 1].find((each) => top <= each) ?? 1;
  const steps = end === 1 ? 4 : 5;
  return [end, Array.from({ length: steps + 1 }, (_, i) => (i * end) / steps)];
}

/** Makes the panel. */
export function makePanel({ model, state, act, signal }: Context): Part {
  const tabs = makeTabs<Counting>(
    "Counted",
    [
      [
        "presence",
        COUNTINGS.presence,
        "Photos in which it gives a share of the evidence: a photo may have several",
      ],
      ["strongest", COUNTINGS.strongest, "Photos whose strongest concept it is: each photo counts once"],
    ],
    act.setCounting,
    signal,
  );
  const about = h("p", { class: "mut sm" });
  const lines = svg("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", "aria-hidden": "true" });
  const ups = h("div", { class: "ups", "aria-hidden": "true" });
  const acrosses = h("div", { class: "acrosses", "aria-hidden": "true" });
  const mean = h("span", { class: "mean sm mut", "aria-hidden": "true" });
  const discs = h("div", {
    class: "discs",
    role: "group",
    "aria-label": "Concepts by prevalence and reliability",
  });
  const area = h("div", { class: "area" }, mean, discs);
  area.prepend(lines);
  const why = h("p", { class: "sm mut why" });
  const across = h(
    "p",
    { class: "sm mut end", "aria-hidden": "true" },
    "Prevalence: photos with the concept",
  );
  const chart = h("div", { class: "chart" }, ups, area, acrosses);
  const told = h("p", { class: "sm mut" });
  const flags = h("ul", { class: "flags" });
  const rule = h("p", { class: "sm mut" });
  const details = h("details", { class: "rule sm" }, h("summary", {}, "By which rule"), rule);
  const heading = h("div", { class: "bar" }, h("h2", {}, "Can it be relied on"), tabs.node);
  const node = h("section", { class: "panel" }, heading, about, chart, across, why, flags, details, told);
  on(
    discs,
    "click",
    (event) => {
      const disc = (event.target as Element).closest<HTMLElement>("[data-key]");
      if (disc) act.chooseConcept(Number(disc.dataset.key), event.shiftKey);
    },
    signal,
  );
  walkWithArrows(discs, () => undefined, signal);

  function placeDiscs(shown: Shown, counting: Counting, end: number): void {
    const known = stacked(shown.concepts).filter(
      (each) => each[counting][1].value !== null || !shown.graph?.labelled,
    );
    const top = Math.max(0, ...known.map(({ importance }) => importance));
    const buttons = patchChildren(
      discs,
      known.map(({ id }) => String(id)),
      () => h("button", { type: "button", class: "disc" }),
    );
    const spots = known.map((concept, i) => {
      const [prevalence, reliability] = concept[counting];
      return {
        x: (prevalence.value ?? 0) / end,
        y: 1 - (reliability.value ?? laneOf(i, known.length)),
      };
    });
    const sizes = known.map(({ importance }) => diameterOf(importance, top));
    const [wide, high] = [area.clientWidth, area.clientHeight];
    const moves = moveApart(
      spots.map(({ x, y }) => ({ x: x * wide, y: y * high })),
      sizes.map((size) => (wide > 0 ? size / 2 + BESIDE : 0)),
      { x: wide, y: high },
    );
    placeMean(
      spots.map(({ x, y }, i) => ({ x: x * wide + (moves[i]?.x ?? 0), y: y * high + (moves[i]?.y ?? 0) })),
      sizes,
    );
    const focused = buttons.indexOf((discs.getRootNode() as ShadowRoot).activeElement as HTMLElement);
    buttons.forEach((button, i) => {
      const concept = known[i] as Concept;
      const [spot, move] = [spots[i] as Spot, moves[i] as Spot];
      tint(button, concept, state.dark);
      setText(button, concept.letter);
      button.style.left = `${100 * spot.x}%`;
      button.style.top = `${100 * spot.y}%`;
      button.style.translate = `${move.x.toFixed(1)}px ${move.y.toFixed(1)}px`;
      button.style.setProperty("--d", `${(sizes[i] as number).toFixed(1)}px`);
      setAttribute(button, "data-flag", concept.verdict === "nothing" ? null : concept.verdict);
      setAttribute(button, "aria-pressed", shown.chosenConcepts.includes(concept.row) ? "true" : "false");
      setAttribute(button, "tabindex", i === Math.max(0, focused) ? 0 : -1);
      setAttribute(button, "aria-label", discLabel(concept, counting));
      setAttribute(button, "title", `${discLabel(concept, counting)}`);
    });
    lines.replaceChildren(
      ...grid(shown, end),
      ...known.flatMap((concept, i) =>
        whiskers(concept, counting, end, laneOf(i, known.length), state.dark, shown.chosenConcepts),
      ),
    );
  }

  /** What all photos give stands at the right, or at the left where discs lie on it only there. */
  function placeMean(spots: readonly Spot[], sizes: readonly number[]): void {
    setAttribute(mean, "data-left", null);
    const [frame, box] = [area.getBoundingClientRect(), mean.getBoundingClientRect()];
    const covers = (left: number) =>
      spots.some(({ x, y }, i) => {
        const reach = (sizes[i] as number) / 2;
        const below = y + reach > box.top - frame.top && y - reach < box.bottom - frame.top;
        return below && x + reach > left && x - reach < left + box.width;
      });
    setAttribute(mean, "data-left", (covers(frame.width - box.width) && !covers(0)) || null);
  }

  const observer = new ResizeObserver(() => act.redraw());
  observer.observe(area);
  signal.addEventListener("abort", () => observer.disconnect(), { once: true });

  return {
    node,
    update(shown) {
      const { graph, concepts } = shown;
      show(node, graph !== null);
      if (!graph) return;
      const counting = model.get("counting");
      tabs.update(counting);
      setText(
        about,
        graph.labelled
          ? `${graph.reliability}, against how common the concept is`
          : "How common each concept is",
      );
      const [end, ticks] = axisOf(concepts, counting);
      ups.replaceChildren(...(graph.labelled ? LEVELS.map((level) => tick(level, "bottom", level)) : []));
      acrosses.replaceChildren(...ticks.map((level) => tick(level, "left", level / end)));
      const { value } = graph.accuracy;
      show(mean, graph.labelled && value !== null);
      setText(mean, `all photos, ${percent(value ?? 0)}`);
      setAttribute(mean, "data-below", (value ?? 0) > 0.9 || null);
      mean.style.bottom = `${100 * (value ?? 0)}%`;
      placeDiscs(shown, counting, end);
      const words = unknownWords(shown, counting);
      setText(why, words);
      show(why, words !== "");
      setText(told, toldWords(shown, counting));
      updateFlags(flags, shown, state.dark);
      setText(rule, graph.shortcut);
    },
  };
}

/** Why concepts are not drawn, or without their reliability. */
function unknownWords({ graph, concepts }: Shown, counting: Counting): string {
  if (!graph?.labelled) return `Reliability is not known. ${graph?.no_labels ?? ""}`;
  const unknown = concepts.filter((each) => each[counting][1].value === null);
  if (unknown.length === 0) return "";
  const letters = unknown.map(({ letter }) => letter).join(", ");
  return `Not drawn: ${letters}. Of no photo with ${unknown.length > 1 ? "them" : "it"} is it known what it is.`;
}

/** Height of a concept's disc where reliability is not known: each in a line of its own. */
function laneOf(place: number, count: number): number {
  return 1 - (place + 0.5) / count;
}

function tick(level: number, side: "left" | "bottom", at: number): HTMLElement {
  const node = h("span", {}, percent(level));
  node.style[side] = `${100 * at}%`;
  return node;
}

function line(kind: string, x1: number, y1: number, x2: number, y2: number): SVGElement {
  return svg("line", { class: kind, x1, y1, x2, y2 });
}

function grid({ graph }: Shown, end: number): SVGElement[] {
  if (!graph?.labelled) return [line("axis", 0, 100, 100, 100)];
  const levels = LEVELS.map((level) => line("axis", 0, 100 * (1 - level), 100, 100 * (1 - level)));
  const { value } = graph.accuracy;
  const mean = value === null ? [] : [line("all", 0, 100 * (1 - value), 100, 100 * (1 - value))];
  const corner = end === 1 ? [svg("rect", { class: "corner", x: 50, y: 50, width: 50, height: 50 })] : [];
  return [...corner, ...levels, ...mean];
}

function whiskers(
  concept: Concept,
  counting: Counting,
  end: number,
  lane: number,
  dark: boolean,
  chosen: readonly number[],
): SVGElement[] {
  const [prevalence, reliability] = concept[counting];
  const at = (rate: Rate) => (100 * (rate.value ?? 0)) / end;
  const y = 100 * (1 - (reliability.value ?? lane));
  const drawn = [line("whisker", (100 * prevalence.low) / end, y, (100 * prevalence.high) / end, y)];
  if (reliability.value !== null)
    drawn.push(
      line(
        "whisker",
        at(prevalence),
        100 * (1 - reliability.low),
        at(prevalence),
        100 * (1 - reliability.high),
      ),
    );
  for (const each of drawn) {
    each.style.stroke = hueOn(concept.hue, dark);
    setAttribute(each, "data-dim", (chosen.length > 0 && !chosen.includes(concept.row)) || null);
  }
  return drawn;
}

/** What is told of the concept that is chosen; else what the panel counts. */
function toldWords(shown: Shown, counting: Counting): string {
  const chosen = shown.chosenConcepts.map((row) => shown.concepts[row] as Concept);
  const last = chosen.at(-1);
  if (!last) return countingWords(counting, shown);
  if (counting === "presence") return last.words;
  const [prevalence, reliability] = last[counting];
  return `${nameOf(last)} is the strongest in ${rateWords(prevalence)}; of these right: ${rateWords(reliability)}.`;
}

/** Says which concepts may be shortcuts, with the numbers; or that none is. */
function updateFlags(list: HTMLElement, { concepts }: Shown, dark: boolean): void {
  const flagged = stacked(concepts).filter(({ verdict }) => verdict !== "nothing");
  const items = patchChildren(list, flagged.length ? flagged.map(({ id }) => String(id)) : ["none"], () =>
    h("li", {}, makeChip(), h("p", { class: "sm" }, h("b"), " ", h("span"))),
  );
  items.forEach((item, i) => {
    const concept = flagged[i];
    const [chip, words] = item.children as unknown as [HTMLElement, HTMLElement];
    show(chip, concept !== undefined);
    const [verdict, told] = words.children as unknown as [HTMLElement, HTMLElement];
    if (concept) paintLetter(chip, concept, dark);
    setText(
      verdict,
      concept ? `${concept.verdict === "look at it" ? "To be looked at" : "Possible shortcut"}.` : "",
    );
    setText(told, concept?.words ?? "No concept is flagged as a possible shortcut.");
  });
}
