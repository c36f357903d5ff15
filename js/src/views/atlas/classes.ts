/** The list of classes as numbers and texts: which of them a search finds, and where one gets from a class. */
import type { ClassList } from "../../core/atlas_wire";

export interface ClassRow {
  id: number;
  name: string;
  /** With the id, where another class has the same name. */
  label: string;
  photos: number | null;
  important: number | null;
  accuracy: number | null;
  /** Why it has no page; empty if it has one. */
  why: string;
}

/** Which row a search has found, and where the text stands in its name. */
export interface Hit {
  row: ClassRow;
  /** Where the text begins in the name; -1 where it is not there as it was typed. */
  at: number;
}

const ACCENTS = /\p{M}/gu;

/** Takes case, accents and underlines out of a text. */
export function fold(text: string): string {
  return text.replaceAll("_", " ").normalize("NFKD").replace(ACCENTS, "").toLowerCase();
}

/** What was typed, as it is looked for. */
export function foldQuery(text: string): string {
  return fold(text).trim().replace(/\s+/g, " ");
}

/** Reads the columns into rows. */
export function readRows(list: Partial<ClassList>): ClassRow[] {
  const { ids = [], names = [], photos = [], important = [], accuracy = [], why = {} } = list;
  const shared = new Map<string, number>();
  for (const name of names) shared.set(fold(name), (shared.get(fold(name)) ?? 0) + 1);
  return ids.map((id, place) => {
    const name = names[place] ?? String(id);
    return {
      id,
      name,
      label: (shared.get(fold(name)) ?? 0) > 1 ? `${name} (${id})` : name,
      photos: photos[place] ?? null,
      important: important[place] ?? null,
      accuracy: accuracy[place] ?? null,
      why: why[id] ?? "",
    };
  });
}

/**
 * Finds classes whose name has the text in it, or words that begin with its words, or whose id begins with it; all where
 * nothing was typed.
 *
 * @param rows - the classes
 * @param text - what was typed
 */
export function search(rows: readonly ClassRow[], text: string): Hit[] {
  const wanted = foldQuery(text);
  if (!wanted) return rows.map((row) => ({ row, at: -1 }));
  const parts = wanted.split(" ");
  const number = /^\d+$/.test(wanted);
  return rows.flatMap((row) => {
    const name = fold(row.name);
    const at = name.indexOf(wanted);
    const plain = name.length === row.name.length;
    if (at >= 0) return [{ row, at: plain ? at : -1 }];
    const words = name.split(/[\s-]+/);
    const begun = parts.every((part) => words.some((word) => word.startsWith(part)));
    return begun || (number && String(row.id).startsWith(wanted)) ? [{ row, at: -1 }] : [];
  });
}

/** The classes before and behind one, of those that can be opened, and round the ends; null where there are none. */
export function neighbours(
  rows: readonly ClassRow[],
  here: number | null,
  order: readonly number[],
): { before: ClassRow | null; after: ClassRow | null } {
  const places = new Map(order.map((id, place) => [id, place]));
  const at = here === null ? -1 : (places.get(here) ?? -1);
  const placed = rows.filter(({ id }) => id !== here);
  const before = placed.filter(({ id }) => (places.get(id) ?? 0) < at);
  const after = placed.filter(({ id }) => (places.get(id) ?? 0) > at);
  return { before: before.at(-1) ?? placed.at(-1) ?? null, after: after[0] ?? placed[0] ?? null };
}

/**
 * Draws a class by lot, another than the one that is shown.
 *
 * @param rows - the classes that can be opened
 * @param here - the one that is shown
 * @param lot - from 0, below 1
 */
export function draw(rows: readonly ClassRow[], here: number | null, lot: number): ClassRow | null {
  const others = rows.filter(({ id }) => id !== here);
  return others[Math.floor(lot * others.length)] ?? null;
}

/** The place of the next row whose name begins with the text, from a place on and round the end; -1 without one. */
export function findByPrefix(rows: readonly ClassRow[], from: number, text: string): number {
  const wanted = fold(text);
  for (let step = 0; step < rows.length; step++) {
    const place = (from + step) % rows.length;
    if (fold(rows[place]?.name ?? "").startsWith(wanted)) return place;
  }
  return -1;
}
