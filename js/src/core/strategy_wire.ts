/** What travels between Python and a StrategyView: traits and messages. */
import * as wire from "../../../src/whatwhere/widgets/wire.json";
import type { Failure, State, StripInfo, ThumbnailsReply, ThumbnailsWanted } from "./wire";

export type Rule = "distinctive" | "strongest";
export type Counting = "presence" | "strongest";

/** A share with Wilson's interval; its value is null where nothing is known. */
export interface Rate {
  value: number | null;
  low: number;
  high: number;
  count: number;
  total: number;
}

export interface ConceptInfo {
  id: number;
  letter: string;
  hue: string;
  /** What a person called it; empty if nobody did. */
  name: string;
  /** Share of all that the concepts add and take. */
  importance: number;
  /** Mean over the photos, in logits. */
  adds: number;
  /** Prevalence and reliability, by either counting. */
  presence: [Rate, Rate];
  strongest: [Rate, Rate];
  verdict: "possible shortcut" | "look at it" | "nothing";
  /** The numbers behind the verdict, with what muting does. */
  words: string;
}

/** The graph, but for its photos. */
export interface GraphInfo {
  population: string;
  labelled: boolean;
  /** Share of the evidence from which a concept is present. */
  presence: number;
  level: number;
  accuracy: Rate;
  /** What reliability is a share of. */
  reliability: string;
  rules: Record<"presence" | Rule, string>;
  shortcut: string;
  caveats: string[];
  /** Why there are no labels, no other class, no photos, no maps; empty where there are. */
  no_labels: string;
  no_other: string;
  no_photos: string;
  no_maps: string;
  about: [string, string][];
  code: string;
  complete: boolean;
}

/** Photos in their rows. Numbers of concepts take one byte, or two where there are many; the largest stands for none. */
export interface PointsInfo {
  count: number;
  /** Left, lower, right and upper edge of the places. */
  box: [number, number, number, number];
  /** uint16 (n, 2), as shares of the box. */
  xy: DataView;
  strongest: DataView;
  distinctive: DataView;
  /** uint8: right, wrong, not known. */
  marks: DataView;
  /** Bits (n, r), the lowest first, each photo from a byte of its own. */
  present: DataView;
  /** Concepts that give most, and their signed shares in percent, int8. */
  top: DataView;
  shares: DataView;
  /** Predicted and true class as uint16, in `_classes`; 65535: not known. */
  said: DataView;
  truth: DataView;
  /** Probability of the explained class in percent. */
  p: DataView;
  /** UTF-8, with NUL between names. */
  names: DataView;
}

/** What adds up to two logits: rows of photo, both classes, kind (0 what it is, 1 next likeliest). */
export interface SumsInfo {
  rows: [number, number, number, number][];
  /** float32 (rows, 2, r + 4): contributions, residual, base, gap, logit. */
  values: DataView;
}

export interface SpriteInfo {
  data: DataView;
  side: number;
  columns: number;
  /** Photos of its tiles. */
  rows: number[];
}

/** Crops that show concepts: the bank's own, in one picture. Empty without a bank. */
export interface CropsInfo {
  data: DataView;
  side: number;
  columns: number;
  /** For each concept the photos that its crops are from, in the order of the tiles. */
  images: string[][];
}

/** The photo that is looked at, with where the concepts are on it. */
export interface LookInfo {
  image: string;
  photo: DataView;
  grid: [number, number];
  /** uint8 (r, rows, columns), each as a share of what the concept has at most. */
  maps: DataView;
  /** Why there are no maps. */
  reason: string;
}

export interface StrategyStatus {
  state: State;
  stage: string | null;
  done: number;
  total: number;
  /** Seconds left. */
  eta: number | null;
  seconds: number;
  error: Failure | null;
}

/** The traits of a StrategyView. Public ones are written by both sides, the others by Python only. */
export interface StrategyTraits extends Record<string, unknown> {
  selected_images: string[];
  selected_concepts: number[];
  by: Rule;
  counting: Counting;
  only_mistakes: boolean;
  _title: string;
  _graph: Partial<GraphInfo>;
  _concepts: ConceptInfo[];
  _points: Partial<PointsInfo>;
  _classes: string[];
  _sums: Partial<SumsInfo>;
  _sprite: Partial<SpriteInfo>;
  _crops: Partial<CropsInfo>;
  _strip: StripInfo;
  _look: Partial<LookInfo>;
  _status: Partial<StrategyStatus>;
  _seq: number;
  /** Reference to the selection's model. */
  _selection: string;
  /** How it is a part of another view: beside other parts, or on a page of its own. */
  _embedded?: "" | "beside" | "page";
  _kernel: boolean;
}

export type StrategyPublic = Pick<
  StrategyTraits,
  "selected_images" | "selected_concepts" | "by" | "counting" | "only_mistakes"
>;

export const STRATEGY_PUBLIC: readonly string[] = wire.strategies.public_traits;
export const STRATEGY_HEARING = { traits: wire.strategies.python_traits, kinds: new Set(wire.to_view) };
/** Concepts that are told of each photo. */
export const TOP: number = wire.strategies.top;

/** Bodies of the messages to Python, by kind. */
export interface StrategySent {
  hello: Record<never, never>;
  ack: { seq: number };
  start: Record<never, never>;
  stop: Record<never, never>;
  alone: Record<never, never>;
  set: { traits: Partial<StrategyPublic> };
  full: { image: string };
  thumbnails: ThumbnailsWanted;
}

export type StrategyReply =
  | { kind: "welcome" | "applied"; rid: string }
  | { kind: "full"; rid: string; buffers: DataView[] }
  | ThumbnailsReply
  | { kind: "refused"; rid: string; message: string };
