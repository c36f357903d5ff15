/** What travels between Python and an Explorer: traits and messages. */
import * as wire from "../../../src/whatwhere/widgets/wire.json";

export type Scope = "class" | "all";
export type PartName = "where" | "what" | "why";

/** In the order in which they are read. */
export const PARTS: readonly PartName[] = ["where", "what", "why"];

export interface Found {
  /** Number of photos. */
  photos: number;
  /** How many of them are in the strip. */
  strip: number;
  /** Names of files that could not be read. */
  unreadable: string[];
  /** Classes with enough photos for concepts of their own, the most frequent first; empty before all were looked at. */
  classes: { id: number; name: string; photos: number }[];
  /** Class whose concepts are shown; null for all photos. */
  explained: number | null;
  /** Whether it is known what `explained` will be. */
  settled: boolean;
  /** Why something that was asked for is not shown. */
  note: string;
}

/** The traits of an Explorer. Public ones are written by both sides, the others by Python only. */
export interface ExplorerTraits extends Record<string, unknown> {
  selected_class: number | null;
  selected_image: string;
  concepts_of: Scope;
  _title: string;
  /** References to the views. */
  _parts: Partial<Record<PartName, string>>;
  _found: Partial<Found>;
  /** Reference to the selection's model. */
  _selection: string;
  _kernel: boolean;
}

export type ExplorerPublic = Pick<ExplorerTraits, "selected_class" | "selected_image" | "concepts_of">;

/** Messages to the kernel, by kind. */
export interface ExplorerSent {
  hello: object;
  set: { traits: object };
  alone: object;
  find: { query: string };
}

export type ExplorerReply =
  | { kind: "welcome" | "applied"; rid: string }
  | { kind: "refused"; rid: string; message: string; suggestions: string[] };

export const EXPLORER_PUBLIC: readonly string[] = wire.explorer.public_traits;
export const EXPLORER_HEARING = {
  traits: wire.explorer.python_traits as readonly string[],
  kinds: new Set(["welcome", "applied", "refused"]),
};
