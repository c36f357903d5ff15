/** The page of a class: what it is, its concepts and photos as views of their own, and what resembles them elsewhere. */
import type { Likeness, PageInfo, PageParts, Similar } from "../../core/atlas_wire";
import { h, icon, on, setAttribute, setText, show } from "../../core/dom";
import { Sprite } from "../concepts/sprite";
import { type Host, type Manager, makePart } from "../shared/parts";
import { listTerms, makePopover } from "../shared/popover";
import { makeClosest } from "./closest";
import { makeSimilar } from "./similar";

export interface PageNow {
  /** Class that was asked for, by name. */
  wanted: string;
  number: number | null;
  /** The page that stands there: another one than what was asked for, while that is on its way. */
  page: PageInfo | null;
  parts: PageParts | null;
  similar: Similar | null;
  concept: number | null;
  /** Class from which a similar concept was followed; empty if none was. */
  back: string;
  /** What is said while the page is on its way; empty if it is there. */
  pending: string;
  far(id: number): string;
  dark: boolean;
  waiting: string;
}

export interface ClassPage {
  node: HTMLElement;
  update(now: PageNow): void;
  /** Puts the focus on the heading, in sight. */
  enter(): void;
}

/** What leads from a page to others. */
export interface Ways {
  /** To a similar concept. */
  follow(row: Likeness): void;
  goTo(id: number): void;
  goBack(): void;
}

/**
 * Makes it.
 *
 * @param hosts - who renders views
 * @param ways - lead to other pages
 * @param redraw - called when crops can be drawn
 * @param signal - takes it away
 */
export function makePage(
  hosts: { host: Host | undefined; manager: Manager | undefined },
  ways: Ways,
  redraw: () => void,
  signal: AbortSignal,
): ClassPage {
  const title = h("h2", { class: "title", tabindex: -1 });
  const number = h("span", { class: "mut" });
  const pending = h("span", { class: "mut", role: "status" });
  const button = h("button", { class: "link back", type: "button", hidden: true });
  const words = h("p");
  const rule = h(
    "button",
    {
      class: "icon",
      type: "button",
      "aria-label": "Which concepts are important",
      "aria-haspopup": "dialog",
      title: "Which concepts are important",
    },
    icon("info"),
  );
  const terms = h("dl");
  const popover = makePopover(rule, "Which concepts are important", terms, signal);
  const line = h("div", { class: "words" }, words, rule, popover.node);
  const what = makePart("what", "view.what", hosts.host, hosts.manager, signal);
  const why = makePart("why", "view.why", hosts.host, hosts.manager, signal);
  const similar = makeSimilar(ways.follow, new Sprite(signal, redraw), signal);
  const closest = makeClosest((id) => ways.goTo(id), signal);
  const body = h("div", { class: "body" }, what.node, closest.node, similar.node, why.node);
  const node = h(
    "section",
    { class: "page" },
    h("header", { class: "pagehead" }, title, number, pending, h("span", { class: "sp" }), button),
    line,
    body,
  );
  let shown: string | null = null;
  on(button, "click", () => ways.goBack(), signal);

  /** Puts the views of a class in the place of others; the page keeps its height until they stand there. */
  function place(parts: PageParts): void {
    const key = JSON.stringify(parts);
    if (key === shown) return;
    shown = key;
    body.style.minHeight = `${body.offsetHeight}px`;
    show(why.node, parts.why !== undefined);
    void Promise.all([what.update(parts.what), why.update(parts.why)]).then(() => {
      if (signal.aborted || key !== shown) return;
      requestAnimationFrame(() => requestAnimationFrame(() => body.style.removeProperty("min-height")));
    });
  }

  return {
    node,
    update(now) {
      const { page, parts } = now;
      setText(title, now.wanted);
      setText(number, now.number === null ? "" : `class ${now.number}`);
      setText(pending, now.pending);
      setText(button, now.back ? `Back to ${now.back}` : "");
      show(button, now.back !== "");
      setAttribute(node, "aria-label", now.wanted || "No class");
      setAttribute(node, "aria-busy", now.pending ? "true" : "false");
      body.inert = now.pending !== "";
      show(body, page !== null);
      setText(words, page && !now.pending ? page.words : "");
      show(line, page !== null);
      show(rule, !now.pending);
      if (page) listTerms(terms, page.about);
      if (!page || !parts) return;
      place(parts);
      const { similar: rows, concept, far, dark, waiting } = now;
      closest.update({ page, concept, far, dark });
      similar.update({ page, similar: rows, concept, far, dark, waiting });
    },
    enter() {
      title.focus({ preventScroll: true });
      title.scrollIntoView({ block: "nearest" });
    },
  };
}
