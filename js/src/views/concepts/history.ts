/** Taking back what a person did to names, notes, pins, hidden and merged concepts, and to their number. */
import type { ConceptPublic } from "../../core/concept_wire";

export type Edit = Partial<Pick<ConceptPublic, "names" | "notes" | "hidden" | "pinned" | "merged">> & {
  /** Number of concepts; Python keeps those of before. */
  rank?: number;
};

interface Step {
  before: Edit;
  after: Edit;
  /** What was done, in words. */
  words: string;
}

/** Edits that are remembered. */
const MOST = 100;

export class History {
  #done: Step[] = [];
  #undone: Step[] = [];

  /** Remembers an edit; what was taken back before it is forgotten. */
  add(before: Edit, after: Edit, words: string): void {
    this.#done = [...this.#done.slice(1 - MOST), { before, after, words }];
    this.#undone = [];
  }

  /** What `undo` would take back, in words; empty if there is nothing. */
  get next(): string {
    return this.#done.at(-1)?.words ?? "";
  }

  /** The values to go back to, or null. */
  undo(): Edit | null {
    const step = this.#done.pop();
    if (step) this.#undone.push(step);
    return step?.before ?? null;
  }

  /** The values to go forward to again, or null. */
  redo(): Edit | null {
    const step = this.#undone.pop();
    if (step) this.#done.push(step);
    return step?.after ?? null;
  }
}
