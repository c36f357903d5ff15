/** The list of classes: found by typing, walked by arrows; all rows stand in the page, and those out of sight cost nothing. */
import { h, on, setAttribute, setText, show } from "../../core/dom";
import { type ClassRow, findByPrefix, type Hit } from "./classes";
import { factWords } from "./words";

/** How long typed letters belong together, in milliseconds. */
const TYPING = 800;

export interface ListNow {
  hits: readonly Hit[];
  /** What was typed, folded. */
  wanted: string;
  /** Class that is shown. */
  here: number | null;
  /** Why a class cannot be opened now; empty if it can. */
  far(row: ClassRow): string;
  /** Another one whenever `far` says something else. */
  reach: string;
}

export interface ClassListBox {
  node: HTMLElement;
  /** Other classes. */
  fill(rows: readonly ClassRow[]): void;
  update(now: ListNow): void;
  /** Puts the focus on the class that is shown, or the first. */
  enter(): void;
}

interface Entry {
  node: HTMLElement;
  name: HTMLElement;
  facts: HTMLElement;
}

/**
 * Makes the list.
 *
 * @param open - called with the class that a person wants
 * @param leave - called when a person goes back to the search
 * @param signal - ends the listening
 */
export function makeList(
  open: (row: ClassRow) => void,
  leave: () => void,
  signal: AbortSignal,
): ClassListBox {
  const node = h("div", { class: "list", role: "listbox", "aria-label": "Classes" });
  const entries = new Map<number, Entry>();
  let rows: readonly ClassRow[] = [];
  let listed: readonly ClassRow[] = [];
  let last: Partial<ListNow> = {};
  /** Row that Tab reaches. */
  let stop: number | null = null;
  let typed = "";
  let typedAt = 0;

  function make(row: ClassRow): Entry {
    const name = h("span", { class: "n" }, row.name);
    const facts = h("span", { class: "f" }, factWords(row));
    const number = row.label === row.name ? [] : [h("span", { class: "no" }, `class ${row.id}`)];
    const node = h(
      "div",
      {
        class: "class",
        role: "option",
        tabindex: -1,
        "data-key": row.id,
        "aria-selected": "false",
        title: row.label,
      },
      name,
      ...number,
      facts,
    );
    return { node, name, facts };
  }

  function settle(id: number | null): void {
    if (id === stop) return;
    if (stop !== null) setAttribute(entries.get(stop)?.node ?? node, "tabindex", -1);
    stop = id;
    if (id !== null) setAttribute(entries.get(id)?.node ?? node, "tabindex", 0);
  }

  function focus(row: ClassRow | undefined): void {
    if (!row) return;
    settle(row.id);
    const target = entries.get(row.id)?.node;
    target?.focus({ preventScroll: true });
    if (target) reveal(node, target);
  }

  const rowOf = (target: EventTarget | null) => {
    const key = (target as Element | null)?.closest<HTMLElement>(".class")?.dataset.key;
    return rows.find(({ id }) => String(id) === key);
  };
  on(
    node,
    "click",
    (event) => {
      const row = rowOf(event.target);
      if (!row) return;
      focus(row);
      open(row);
    },
    signal,
  );
  on(
    node,
    "keydown",
    (event) => {
      const row = rowOf(event.target);
      if (!row || event.ctrlKey || event.metaKey || event.altKey) return;
      const at = listed.indexOf(row);
      if (event.key === "Enter" || event.key === " ") open(row);
      else if (event.key === "Escape" || (event.key === "ArrowUp" && at === 0)) leave();
      else if (event.key.length === 1 && event.key !== "?" && event.key !== "/") typeAhead(event.key, at);
      else {
        const step = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: listed.length - 1 }[event.key];
        const paged = { PageDown: at + 10, PageUp: at - 10 }[event.key];
        const to =
          step ?? (paged === undefined ? undefined : Math.max(0, Math.min(listed.length - 1, paged)));
        if (to === undefined) return;
        focus(listed[to]);
      }
      event.preventDefault();
      event.stopPropagation();
    },
    signal,
  );

  function typeAhead(key: string, at: number): void {
    const now = performance.now();
    typed = now - typedAt > TYPING ? key : typed + key;
    typedAt = now;
    const place = findByPrefix(listed, typed.length > 1 ? at : at + 1, typed);
    focus(listed[place]);
  }

  return {
    node,
    fill(given) {
      if (given === rows) return;
      rows = given;
      entries.clear();
      for (const row of rows) entries.set(row.id, make(row));
      node.replaceChildren(...[...entries.values()].map((entry) => entry.node));
      [stop, last, listed] = [null, {}, []];
    },
    update(now) {
      const { hits, wanted, here } = now;
      if (hits !== last.hits || wanted !== last.wanted) {
        const found = new Map(hits.map((hit) => [hit.row.id, hit.at]));
        for (const [id, entry] of entries) {
          show(entry.node, found.has(id));
          underline(entry.name, found.get(id) ?? -1, wanted.length);
        }
        listed = hits.map(({ row }) => row);
        show(node, listed.length > 0);
        if (wanted !== last.wanted) node.scrollTop = 0;
      }
      if (now.reach !== last.reach)
        for (const row of rows) {
          const far = now.far(row);
          const entry = entries.get(row.id);
          if (!entry) continue;
          setAttribute(entry.node, "aria-disabled", far !== "" && "true");
          setText(entry.facts, [far === row.why ? "" : far, factWords(row)].filter(Boolean).join(" · "));
          setAttribute(entry.node, "title", far ? `${row.label}: ${far}` : row.label);
        }
      if (here !== last.here || last.hits === undefined) {
        for (const id of [last.here, here]) {
          const entry = id === null || id === undefined ? undefined : entries.get(id);
          if (entry) setAttribute(entry.node, "aria-selected", id === here ? "true" : "false");
        }
        const entry = here === null ? undefined : entries.get(here);
        if (entry && !entry.node.hidden) reveal(node, entry.node);
      }
      if (!listed.some(({ id }) => id === stop) || (here !== last.here && !node.matches(":focus-within")))
        settle((listed.find(({ id }) => id === here) ?? listed[0])?.id ?? null);
      last = now;
    },
    enter: () => focus(listed.find(({ id }) => id === stop) ?? listed[0]),
  };
}

/** Underlines what was typed. */
function underline(node: HTMLElement, at: number, length: number): void {
  const text = node.textContent ?? "";
  if (at < 0) {
    if (node.firstElementChild) node.replaceChildren(text);
    return;
  }
  node.replaceChildren(
    text.slice(0, at),
    h("mark", {}, text.slice(at, at + length)),
    text.slice(at + length),
  );
}

/** Scrolls the list, and nothing else, until a row is in sight. */
function reveal(list: HTMLElement, row: HTMLElement): void {
  const [frame, box] = [list.getBoundingClientRect(), row.getBoundingClientRect()];
  if (box.top < frame.top) list.scrollTop -= frame.top - box.top;
  else if (box.bottom > frame.bottom) list.scrollTop += box.bottom - frame.bottom;
}
