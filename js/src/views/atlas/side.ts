/** What is beside the page: search, ways to another class, and the list. */

import type { ClassList } from "../../core/atlas_wire";
import { h, on, setAttribute, setText, show } from "../../core/dom";
import { announcer } from "../../core/timing";
import { type ClassRow, draw, foldQuery, type Hit, neighbours, readRows, search } from "./classes";
import { makeList } from "./list";
import { foundWords } from "./words";

/** A screen reader hears of what was found once it rests this long, in milliseconds. */
const ANNOUNCE = 500;

export interface SideNow {
  list: Partial<ClassList>;
  here: number | null;
  /** Why a class cannot be opened now; empty if it can. */
  far(row: ClassRow): string;
  reach: string;
}

export interface Side {
  node: HTMLElement;
  readonly rows: readonly ClassRow[];
  update(now: SideNow): void;
  /** Puts the focus into the search. */
  search(): void;
  /** Opens the next class, the one before, or any. */
  go(way: Way): void;
}

export type Way = "random" | "before" | "after";

const WAYS: readonly [Way, string][] = [
  ["random", "Random"],
  ["before", "Previous"],
  ["after", "Next"],
];

/**
 * Makes it.
 *
 * @param choose - called with the class that a person wants
 * @param lot - draws by lot, from 0, below 1
 * @param signal - ends the listening
 */
export function makeSide(choose: (row: ClassRow) => void, lot: () => number, signal: AbortSignal): Side {
  const field = h("input", {
    type: "search",
    class: "find",
    "aria-label": "Find a class",
    placeholder: "Find a class or id",
    autocomplete: "off",
    spellcheck: "false",
  });
  const ways = WAYS.map(([way, text]) => ({
    way,
    text,
    node: h("button", { class: "link", type: "button" }, text),
  }));
  const opener = h("button", { class: "opener", type: "button", "aria-expanded": "false" }, h("span"));
  const found = h("p", { class: "found sm mut" });
  const spoken = h("span", { class: "vh", role: "status", "aria-live": "polite" });
  const announce = announcer(spoken, ANNOUNCE, signal);
  const list = makeList(open, () => field.focus(), signal);
  const node = h(
    "nav",
    { class: "side", "aria-label": "Classes", "data-open": 0 },
    h("div", { class: "finder" }, field, opener),
    h("div", { class: "ways" }, ...ways.map(({ node: button }) => button)),
    found,
    spoken,
    list.node,
  );
  let rows: ClassRow[] = [];
  let given: Partial<ClassList> | null = null;
  let now: SideNow | null = null;
  let hits: Hit[] = [];
  let searched = "\0";
  let drawn: { key: string; row: ClassRow | null } = { key: "", row: null };
  const targets: Record<Way, ClassRow | null> = { random: null, before: null, after: null };

  function open(row: ClassRow): void {
    if (now?.far(row) === "") unfold(false);
    choose(row);
  }

  function unfold(open: boolean): void {
    setAttribute(node, "data-open", open ? 1 : 0);
    setAttribute(opener, "aria-expanded", open ? "true" : "false");
  }

  function look(): void {
    if (searched !== field.value) {
      searched = field.value;
      hits = search(rows, searched);
    }
    if (!now) return;
    const wanted = foldQuery(searched);
    list.update({ hits, wanted, here: now.here, far: now.far, reach: now.reach });
    const text = foundWords(hits.length, rows.length, searched);
    setText(found, text);
    show(found, text !== "");
    announce(text);
    aim(now);
  }

  /** Finds where the three buttons lead, among the classes that are listed. */
  function aim({ here, far, reach }: SideNow): void {
    const listed = hits.map(({ row }) => row).filter((row) => far(row) === "");
    const { before, after } = neighbours(
      listed,
      here,
      rows.map(({ id }) => id),
    );
    const key = `${here} ${reach} ${searched}`;
    if (drawn.key !== key) drawn = { key, row: draw(listed, here, lot()) };
    Object.assign(targets, { before, after, random: drawn.row });
    for (const { way, text, node: button } of ways) {
      const target = targets[way];
      button.disabled = target === null;
      setAttribute(button, "title", target ? `${text}: ${target.label}` : "No other class to go to");
      setAttribute(button, "aria-label", target ? `${text} class: ${target.label}` : `${text} class`);
    }
  }

  function go(way: Way): void {
    const target = targets[way];
    if (target) open(target);
  }

  for (const { way, node: button } of ways) on(button, "click", () => go(way), signal);
  on(opener, "click", () => unfold(node.dataset.open !== "1"), signal);
  on(
    field,
    "input",
    () => {
      unfold(field.value !== "");
      look();
    },
    signal,
  );
  on(
    field,
    "keydown",
    (event) => {
      if (event.key === "Escape") {
        if (field.value === "" && node.dataset.open !== "1") return;
        field.value = "";
        unfold(false);
        look();
      } else if (event.key === "ArrowDown") {
        unfold(true);
        list.enter();
      } else if (event.key === "Enter") {
        const first = hits.find(({ row }) => now?.far(row) === "") ?? hits[0];
        if (first && searched.trim()) open(first.row);
      } else return;
      event.preventDefault();
      event.stopPropagation();
    },
    signal,
  );
  on(
    opener,
    "keydown",
    (event) => {
      if (event.key !== "Escape" || node.dataset.open !== "1") return;
      event.stopPropagation();
      unfold(false);
    },
    signal,
  );

  return {
    node,
    get rows() {
      return rows;
    },
    update(next) {
      now = next;
      if (next.list !== given) {
        given = next.list;
        rows = readRows(next.list);
        list.fill(rows);
        searched = "\0";
      }
      const current = rows.find(({ id }) => id === next.here);
      const text = opener.firstElementChild;
      if (text) setText(text, current ? current.label : "All classes");
      setAttribute(opener, "aria-label", `All classes${current ? `, ${current.label} is shown` : ""}`);
      look();
    },
    search: () => field.focus(),
    go,
  };
}
