/** What travels between Python and an AtlasView: traits and messages. */
import * as wire from "../../../src/whatwhere/widgets/wire.json";

/** The classes, column by column: there may be a thousand. */
export interface ClassList {
  /** Those with a page and those without, in the order in which they stand. */
  ids: number[];
  names: string[];
  /** Photos that each was explained from; null of a class without a page. */
  photos: (number | null)[];
  /** Concepts that count. */
  important: (number | null)[];
  /** Share of its photos that are right, where that is known. */
  accuracy: (number | null)[];
  /** Why a class has no page, by id. */
  why: Record<string, string>;
}

/** A concept, as it is marked everywhere. */
export interface ConceptMark {
  id: number;
  letter: string;
  hue: string;
  /** What a person called it; empty if nobody did. */
  name: string;
  /** Share of the importance. */
  importance: number;
  /** Whether it is among those that count. */
  counts: boolean;
}

/** A class that a concept points towards. */
export interface ClosestClass {
  class: number;
  name: string;
  /** Of the concept's direction and the class's weights, -1 to 1. */
  cosine: number;
  /** What the concept adds to the class's logit on average, in logits. */
  effect: number;
}

export interface Closest {
  /** By the concept's id; of a concept that is not listed they are not known. */
  rows: Record<string, ClosestClass[]>;
  /** Why they are not known; empty if they are. */
  note: string;
  about: [string, string][];
  code: string;
}

/** What stands above the views of a class. */
export interface PageInfo {
  id: number;
  name: string;
  /** What its concepts were found in, how well, and which of them count. */
  words: string;
  /** How they were weighed, and by which rule they count. */
  about: [string, string][];
  concepts: ConceptMark[];
  /** Ids of concepts that are shown as one, by the first of them. */
  groups: number[][];
  closest: Closest;
}

/** The views of a class. */
export interface PageParts {
  what: string;
  why?: string;
  selection: string;
}

export interface Likeness {
  /** Id of the concept of this class. */
  here: number;
  /** Class, and the concept there. */
  there: { class: number; name: string; concept: ConceptMark };
  cosine: number;
  /** How unusual it is, in words. */
  words: string;
  /** Whether each is the other's closest in the other's class. */
  mutual: boolean;
  /** Places of its crops in the picture. */
  tiles: number[];
}

export interface Similar {
  rows: Likeness[];
  /** Places of the crops of this class's concepts, by concept. */
  tiles: Record<string, number[]>;
  /** Crops in a grid, as a JPEG file. */
  sprite: DataView;
  side: number;
  columns: number;
  /** What the scores mean, in a sentence. */
  note: string;
  about: [string, string][];
  code: string;
}

/** The traits of an AtlasView. Public ones are written by both sides, the others by Python only. */
export interface AtlasTraits extends Record<string, unknown> {
  selected: number | null;
  concept: number | null;
  _title: string;
  _list: Partial<ClassList>;
  /** Pages that are there, by class. */
  _pages: Record<string, PageInfo>;
  _parts: Record<string, PageParts>;
  /** Looked up after the page is there. */
  _similar: Record<string, Similar>;
  /** Why something that was asked for is not shown. */
  _note: string;
  _kernel: boolean;
}

export type AtlasPublic = Pick<AtlasTraits, "selected" | "concept">;

/** Messages to the kernel, by kind. */
export interface AtlasSent {
  hello: object;
  set: { traits: object };
}

export interface AtlasReply {
  kind: "welcome" | "applied";
  rid: string;
}

export const ATLAS_PUBLIC: readonly string[] = wire.atlas.public_traits;
export const ATLAS_HEARING = {
  traits: wire.atlas.python_traits as readonly string[],
  kinds: new Set(["welcome", "applied"]),
};
