/** The classes that the concept which is looked at points towards, and the way to those that have a page. */
import type { ClosestClass, ConceptMark, PageInfo } from "../../core/atlas_wire";
import { h, icon, on, patchChildren, setAttribute, setText, show } from "../../core/dom";
import { signed } from "../../core/format";
import { walkWithArrows } from "../../core/roving";
import { makeAbout, makePopover } from "../shared/popover";
import { markConcept } from "./mark";

export interface ClosestNow {
  page: PageInfo;
  /** Concept that is looked at. */
  concept: number | null;
  /** Why a class cannot be opened now; empty if it can. */
  far(id: number): string;
  dark: boolean;
}

export interface ClosestPanel {
  node: HTMLElement;
  update(now: ClosestNow): void;
}

/** A class that one of the concepts, which are shown as one, points towards. */
interface Row extends ClosestClass {
  of: ConceptMark;
}

/**
 * Makes the panel.
 *
 * @param go - called with the class that a person wants to see
 * @param signal - ends the listening
 */
export function makeClosest(go: (id: number) => void, signal: AbortSignal): ClosestPanel {
  const button = h(
    "button",
    {
      class: "icon",
      type: "button",
      "aria-label": "How it is measured",
      "aria-haspopup": "dialog",
      title: "How it is measured",
    },
    icon("info"),
  );
  const about = makeAbout(signal);
  const popover = makePopover(button, "How it is measured", about.node, signal);
  const of = h("span", { class: "mut" });
  const note = h("p", { class: "sm mut said" });
  const body = h("tbody");
  const head = ["Class", "Cosine", "Adds to logit"].map((text) => h("th", { scope: "col" }, text));
  const table = h("table", {}, h("thead", { class: "sm mut" }, h("tr", {}, ...head, h("td"))), body);
  const node = h(
    "section",
    { class: "closest", "aria-label": "Closest classes" },
    h("div", { class: "bar" }, h("h2", {}, "Closest classes ", of), button, popover.node),
    note,
    table,
  );

  const rowOf = (target: EventTarget | null) => (target as Element | null)?.closest<HTMLElement>("tr");
  on(
    body,
    "click",
    (event) => {
      const link = (event.target as Element).closest("button");
      if (link) go(Number(rowOf(link)?.dataset.class));
    },
    signal,
  );
  walkWithArrows(body, () => undefined, signal, "button:not([hidden])");
  on(body, "focusin", (event) => stopAt(rowOf(event.target) ?? null), signal);

  /** Has Tab come back to the link that was left. */
  function stopAt(row: Element | null): void {
    for (const link of body.querySelectorAll("button"))
      setAttribute(link, "tabindex", link.closest("tr") === row ? 0 : -1);
  }

  return {
    node,
    update({ page, concept, far, dark }) {
      const { closest } = page;
      const group = page.groups.find((ids) => concept !== null && ids.includes(concept));
      const parts = page.concepts.filter(({ id }) => (group ?? [concept]).includes(id));
      const rows = parts.flatMap((part) =>
        (closest.rows[part.id] ?? []).map((row): Row => ({ ...row, of: part })),
      );
      setText(of, ofWords(parts));
      setText(note, noteWords(page, parts, rows));
      show(note, rows.length === 0);
      show(table, rows.length > 0);
      show(button, rows.length > 0);
      about.update(closest.about, closest.code);
      const nodes = patchChildren(body, rows.map(keyOf), makeRow);
      nodes.forEach((line, place) => {
        const row = rows[place] as Row;
        paintRow(line, row, row.class === page.id ? "this class" : far(row.class), dark, parts.length > 1);
      });
      const links = [...body.querySelectorAll<HTMLElement>("button:not([hidden])")];
      if (!links.some((link) => link.tabIndex === 0)) stopAt(rowOf(links[0] ?? null) ?? null);
    },
  };
}

const keyOf = (row: Row): string => `${row.of.id}>${row.class}`;

function ofWords(parts: readonly ConceptMark[]): string {
  if (parts.length === 0) return "";
  return `of concept${parts.length > 1 ? "s" : ""} ${parts.map(({ letter }) => letter).join(" and ")}`;
}

function noteWords({ closest }: PageInfo, parts: readonly ConceptMark[], rows: readonly Row[]): string {
  if (rows.length > 0) return "";
  if (closest.note) return closest.note;
  return parts.length
    ? "No photo uses this concept."
    : "Select a concept to see which classes it points towards.";
}

function makeRow(): HTMLElement {
  return h(
    "tr",
    {},
    h(
      "th",
      { scope: "row" },
      h("span", { class: "dot", hidden: true }),
      h("button", { class: "link", type: "button", tabindex: -1 }),
      h("span", { class: "n" }),
    ),
    h("td", {}, h("span", { class: "meter", "aria-hidden": "true" }, h("i")), h("span", { class: "v" })),
    h("td", { class: "v" }),
    h("td", { class: "a sm mut" }),
  );
}

/** Fills a row in: a link where the class can be opened, else its name and why not. */
function paintRow(line: HTMLElement, row: Row, away: string, dark: boolean, several: boolean): void {
  const find = (selector: string) => line.querySelector(selector) as HTMLElement;
  const [link, name, reason, dot] = [find("button"), find(".n"), find(".a"), find(".dot")];
  markConcept(dot, row.of, dark);
  show(dot, several);
  setAttribute(line, "data-class", row.class);
  line.style.setProperty("--c", dot.style.getPropertyValue("--c"));
  line.style.setProperty("--v", `${Math.max(0, Math.min(1, row.cosine)) * 100}%`);
  setText(link, row.name);
  setText(name, row.name);
  show(link, away === "");
  show(name, away !== "");
  setText(reason, away);
  setAttribute(link, "title", `Go to ${row.name}`);
  setText(find("td .v"), row.cosine.toFixed(2).replace("-", "−"));
  setText(find("td.v"), signed(row.effect, 2));
}
