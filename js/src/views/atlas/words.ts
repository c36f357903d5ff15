/** What an AtlasView says. */
import type { PageInfo } from "../../core/atlas_wire";
import { count, counted, percent } from "../../core/format";
import type { KernelState } from "../../core/kernel";
import { type Answering, silenceWords } from "../shared/answering";
import type { ClassRow } from "./classes";

const DOT = " · ";
const SAVED = "Saved page: what is here still reacts; computing more needs a notebook.";

export const KEYS: readonly [string[], string][] = [
  [["/"], "to the search"],
  [["↑", "↓"], "walk the classes"],
  [["Home", "End"], "first and last class"],
  [["a … z"], "in the list: the next class that begins so"],
  [["Enter"], "opens a class, or what has the focus"],
  [["N", "P", "R"], "next, previous, random class"],
  [["B"], "back to where a similar concept was followed from"],
  [["Esc"], "clears the search, closes the list"],
  [["?"], "this list; in a part: its own keys"],
];

/** The line behind the title. */
export function subtitle(model: string, rows: readonly ClassRow[]): string {
  const without = rows.filter(({ why }) => why).length;
  const told = counted(rows.length - without, "class").replace(/classs$/, "classes");
  return [model, told, without ? `${count(without)} without a page` : ""].filter(Boolean).join(DOT);
}

/** What is said of a class under its name. */
export function factWords({ why, photos, important, accuracy }: ClassRow): string {
  if (why) return why;
  return [
    photos === null ? "" : counted(photos, "photo"),
    important === null ? "" : `${count(important)} important`,
    accuracy === null ? "" : `${percent(accuracy)} right`,
  ]
    .filter(Boolean)
    .join(DOT);
}

/** What a search has found. */
export function foundWords(found: number, all: number, text: string): string {
  if (!text.trim()) return "";
  if (found === 0) return `No class matches “${text.trim()}”.`;
  return `${count(found)} of ${count(all)} classes`;
}

/** Why a class cannot be opened now, though it has a page; empty if it can. */
export function farWords(state: KernelState): string {
  if (state === "saved") return "not on this page";
  return state === "silent" ? "needs the kernel" : "";
}

/** What is said when somebody wants a class that is not at hand. */
export function refusal(row: ClassRow, far: string): string {
  if (row.why) return `${row.label} has no page: ${row.why}`;
  if (far === "not on this page") return `${row.label} was left out of this saved page.`;
  return `No kernel: the page of ${row.label} cannot be opened. Run the cell again.`;
}

/** What the kernel's silence means; empty if it answers. */
export const silence = (kernel: Answering): string => silenceWords(kernel, SAVED);

/** What a screen reader hears once a page is there. */
export function shownWords({ name, concepts }: PageInfo): string {
  return `${name}, ${counted(concepts.length, "concept")}.`;
}
