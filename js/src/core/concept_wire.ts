/** What travels between Python and a ConceptExplorer: traits and messages. */
import * as wire from "../../../src/whatwhere/widgets/wire.json";
import type { LargeInfo } from "./proto_wire";
import type { Failure, ImageInfo, State, StripInfo, ThumbnailsReply, ThumbnailsWanted } from "./wire";

export type MapKind = "codes" | "implicit" | "occlusion";
export type CropKind = "active" | "relevant" | "random" | "lowest";

/** Concepts in order of importance; each list has an entry a concept unless it says otherwise. */
export interface BankInfo {
  ids: number[];
  letters: string[];
  hues: string[];
  /** Shares of the evidence; they sum to 1. */
  importance: number[];
  importance_error: (number | null)[];
  /** What a concept adds to the explained logit on average, in logits. */
  contribution: (number | null)[];
  /** Ids of concepts that no photo uses. */
  dead: number[];
  /** What `importance` is, in words. */
  method: string;
  affine: boolean;
  /** Means over the photos. */
  residual: number | null;
  base: number | null;
  logit: number | null;
  /** Mean of its codes, over all places of all photos. */
  mean_code: (number | null)[];
  /** Number of photos in which a concept is at least 8 % of the evidence. */
  present: number[];
  classes: { name: string; value: number }[][];
  quality: Quality;
  caveats: string[];
  about: [string, string][];
  code: string;
  complete: boolean;
}

export interface Quality {
  error: number;
  error_crops: number | null;
  error_locations: number | null;
  sparsity: number | null;
  /** Share of the photos whose likeliest class stays when the concepts stand in for the layer. */
  agreement: number | null;
  r2: number | null;
  n_images: number;
  n_left_out: number;
}

export interface CropInfo {
  image: string;
  /** In pixels of the photo: x0, y0, x1, y1. */
  box: [number, number, number, number];
  activation: number;
  kind: CropKind;
}

export interface PhotoInfo extends ImageInfo {
  /** In the strip of all photos. */
  place: number;
  predicted: string;
  /** Its probability; null without a network. */
  p: number | null;
  /** The explained logit: base + contributions + residual + gap. */
  logit: number | null;
  /** Null, and `contributions` empty, until the parts of the logit are known. */
  base: number | null;
  residual: number | null;
  gap: number | null;
  contributions: number[];
  /** Whether it is read as the class that is explained; null if each is explained by its own. */
  right: boolean | null;
}

export interface ConceptStatus {
  state: State;
  stage: string | null;
  done: number;
  total: number;
  /** Seconds left. */
  eta: number | null;
  /** What `done` and `total` count, where it is not forwards. */
  pace?: Pace | null;
  error: Failure | null;
}

/** How far a computation of several stages is. */
export interface Pace {
  unit: string;
  /** What the total of the stage is. */
  bound: "" | "about" | "at most";
  /** The seconds left are those of all stages. */
  whole: boolean;
  /** Of all stages, from 0 to 1. */
  share: number;
}

/** What can be asked of the network; each reason is empty where nothing stands in the way. */
export interface ModelInfo {
  given: boolean;
  /** Why there are no maps, and no what-if through the network. */
  reason: string;
  /** Why there is no strip. */
  photos: string;
  /** Why a concept cannot be split. */
  split: string;
  /** Why there can be no other number of concepts, and the most that can be asked for. */
  rank: string;
  most: number;
}

export type CardKind = "prototypes" | "crops";

/** Prototypes of concepts, in the order of the mosaics. */
export interface ConceptProtos {
  ids: number[];
  /** Height and width of each, in pixels. */
  sizes: [number, number][];
  /** One JPEG with all of them, and one with their alpha, half as large. */
  mosaic: DataView;
  alpha: DataView;
  side: number;
  columns: number;
}

/** A prototype that is looked at: larger, and how it was made. */
export interface OpenedProto extends LargeInfo {
  about: [string, string][];
  code: string;
}

/** How far prototypes have grown. */
export interface Growing {
  state: State;
  steps: number;
  wanted: number;
  /** Seconds left. */
  eta: number | null;
  /** How many concepts have none that is finished. */
  missing: number;
  /** Whether what was stopped can go on. */
  resumes: boolean;
  /** Those that there were are of other directions than the concepts have now. */
  gone: boolean;
  /** Why none can be grown; empty if they can. */
  reason: string;
  error: Failure | null;
}

/** The traits of a ConceptExplorer. Public ones are written by both sides, the others by Python only. */
export interface ConceptTraits extends Record<string, unknown> {
  selected_concepts: number[];
  selected_image: string;
  map_kind: MapKind;
  opacity: number;
  threshold: number;
  /** What-if factors by concept id, 0 to 2; absent is 1. */
  scales: Record<string, number>;
  names: Record<string, string>;
  notes: Record<string, string>;
  hidden: number[];
  pinned: number[];
  /** Ids of concepts that are shown as one, by the first of them. */
  merged: number[][];
  /** What the cards show in large. */
  card_kind: CardKind;
  /** Of a prototype's alpha, from which a pixel is opaque, 0 to 100. */
  percentile: number;
  _title: string;
  _target: string;
  _bank: Partial<BankInfo>;
  _crops: CropInfo[][];
  /** One JPEG with all crops, row by row, in the order of `_crops`. */
  _sprite: DataView;
  _sprite_side: number;
  _sprite_columns: number;
  _images: PhotoInfo[];
  _photos: DataView[];
  /** The photo that is looked at, larger, by name. */
  _large: Record<string, DataView>;
  _strip: StripInfo;
  /** uint8 planes (r, h, w) of each photo. */
  _codes: Record<string, DataView>;
  /** Code that the highest level stands for, a concept. */
  _code_scales: number[];
  _grid: [number, number];
  /** By `kind/name`: rows and columns as uint32, then uint8 planes (r, rows, columns). */
  _overlays: Record<string, DataView>;
  _overlay_scales: Partial<Record<string, number[]>>;
  /** Whether a concept is in a photo at all. */
  _present: Record<string, number[]>;
  /** float16 (r, K): what a concept's mean code adds to every class; empty unless the head is affine. */
  _effects: DataView;
  _mean_codes: Record<string, number[]>;
  /** float16 (photos, K). */
  _logits: DataView;
  _classes: string[];
  _status: Partial<ConceptStatus>;
  _seq: number;
  _model: ModelInfo;
  _prototypes: Partial<ConceptProtos>;
  /** By the concept's id: of the one that is opened, in a page of all. */
  _prototype: Record<string, OpenedProto>;
  _growing: Partial<Growing>;
  /** Reference to the selection's model. */
  _selection: string;
  /** How it is a part of another view: beside other parts, or on a page of its own. */
  _embedded?: "" | "beside" | "page";
  _kernel: boolean;
}

export type ConceptPublic = Pick<
  ConceptTraits,
  | "selected_concepts"
  | "selected_image"
  | "map_kind"
  | "opacity"
  | "threshold"
  | "scales"
  | "names"
  | "notes"
  | "hidden"
  | "pinned"
  | "merged"
  | "card_kind"
  | "percentile"
>;

export const CONCEPT_PUBLIC: readonly string[] = wire.concepts.public_traits;
export const CONCEPT_HEARING = { traits: wire.concepts.python_traits, kinds: new Set(wire.to_view) };
export const CODE_LEVELS: number = wire.concepts.code_levels;
export const LARGEST_SCALE: number = wire.concepts.largest_scale;
export const LONGEST_NAME: number = wire.concepts.longest_name;
export const LONGEST_NOTE: number = wire.concepts.longest_note;

/** Bodies of the messages to Python, by kind. */
export interface ConceptSent {
  hello: Record<never, never>;
  ack: { seq: number };
  start: Record<never, never>;
  stop: Record<never, never>;
  /** The host finds no other models: the view's own traits are to be sent. */
  alone: Record<never, never>;
  set: { traits: Partial<ConceptPublic> };
  /** `kind` is the message's own. */
  map: { image: string; map_kind: MapKind };
  whatif: { image: string; scales: Record<string, number> };
  split: { concept: number };
  /** A photo that was dropped, pasted or chosen; its bytes travel beside. */
  photo: { name: string };
  /** Another number of concepts. */
  rank: { concepts: number };
  /** Prototypes begin to grow, or go on; or stop. */
  grow: { on: boolean };
  /** The photo at its own size. */
  full: { image: string };
  thumbnails: ThumbnailsWanted;
}

export interface ClassChange {
  name: string;
  /** Probability as scaled, and as it is. */
  p: number;
  before: number;
}

/** A part of a concept that was split at an earlier layer. */
export interface Part {
  letter: string;
  importance: number;
  contribution: number | null;
  crops: CropInfo[];
  /** A JPEG in base64, its crops side by side. */
  sprite: string;
  sprite_side: number;
}

export type ConceptReply =
  | { kind: "welcome" | "applied"; rid: string }
  /** `missed`: why linked views that show the same photos cannot take it in. */
  | { kind: "added"; rid: string; name: string; missed: string[] }
  | ThumbnailsReply
  | { kind: "whatif"; rid: string; classes: ClassChange[]; logit: number }
  | { kind: "full"; rid: string; buffers: DataView[] }
  | { kind: "split"; rid: string; parent: number; layer: string; concepts: Part[]; caveats: string[] }
  | { kind: "refused"; rid: string; message: string; superseded?: boolean };
