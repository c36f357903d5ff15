/** What travels between Python and a PrototypeView: traits and messages. */
import * as wire from "../../../src/whatwhere/widgets/wire.json";
import type { Failure, State } from "./wire";

export interface ProtoInfo {
  label: string;
  /** Number of its target: prototypes of one target are of several seeds, or made in several ways. */
  group: number;
  /** What tells it from the others of its target. */
  variant: string;
  /** Layers that its target reads; none where it reads the logits. */
  layers: string[];
  /** Height and width in pixels. */
  size: [number, number];
  steps: number;
  wanted: number;
  /** The objective of the whole picture, of the noise it began with and of what it became. */
  before: number | null;
  after: number | null;
  /** Mean and standard deviation of the objective over the crops of the last step. */
  crops: [number, number] | null;
  /** The objective on crops, thinned out, and the steps that its points are of. */
  trace: (number | null)[];
  trace_steps: number[];
  /** Id of its concept, with letter and hue; null and empty where it is of none. */
  concept: number | null;
  letter: string;
  hue: string;
  class_id: number | null;
  unit: string;
  /** It is a photo that was accentuated. */
  seeded: boolean;
  complete: boolean;
  caveats: string[];
  about: [string, string][];
  code: string;
}

/** Files: alpha is 255 times the square root of a share of its largest value. */
export interface LargeInfo {
  image: DataView;
  alpha: DataView;
  /** The photo that an accentuation began with. */
  seed?: DataView;
}

export interface FramesInfo {
  /** A JPEG with all frames. */
  data: DataView;
  side: number;
  columns: number;
  /** How many steps had been done at each. */
  steps: number[];
}

export interface ExampleInfo {
  image: string;
  value: number | null;
  /** The target's value at the strongest place; null where it has no places. */
  peak: number | null;
  /** The part round it, as shares of the photo: left, top, right, bottom. */
  window: [number, number, number, number];
  /** Places in the sprite. */
  photo: number;
  crop: number | null;
}

/** Photos that excite one target. */
export interface ExamplesInfo {
  /** Why there are none. */
  reason: string;
  /** Photos that were looked at. */
  count: number;
  complete: boolean;
  /** Of all photos, or of some where they are many; rising. */
  values: (number | null)[];
  top: ExampleInfo[];
  caveats: string[];
}

export interface ProtoStatus {
  state: State;
  stage: string | null;
  done: number;
  total: number;
  /** Seconds left. */
  eta: number | null;
  seconds: number;
  error: Failure | null;
}

/** The traits of a PrototypeView. Public ones are written by both sides, the others by Python only. */
export interface ProtoTraits extends Record<string, unknown> {
  selected: number;
  percentile: number;
  transparency: boolean;
  _title: string;
  _protos: ProtoInfo[];
  /** All prototypes in one JPEG, each in the upper left corner of its square; and their alpha, half as large. */
  _mosaic: DataView;
  _mosaic_alpha: DataView;
  _side: number;
  _columns: number;
  /** By the prototype's number: of those that are looked at, in a page of all. */
  _large: Record<string, LargeInfo>;
  _frames: Record<string, FramesInfo>;
  _examples: ExamplesInfo[];
  _tiles: DataView;
  _tile_side: number;
  _tile_columns: number;
  _status: Partial<ProtoStatus>;
  _seq: number;
  /** Reference to the selection's model. */
  _selection: string;
  _kernel: boolean;
}

export type ProtoPublic = Pick<ProtoTraits, "selected" | "percentile" | "transparency">;

export const PROTO_PUBLIC: readonly string[] = wire.prototypes.public_traits;
export const PROTO_HEARING = { traits: wire.prototypes.python_traits, kinds: new Set(wire.to_view) };

/** Bodies of the messages to Python, by kind. */
export interface ProtoSent {
  hello: Record<never, never>;
  ack: { seq: number };
  start: Record<never, never>;
  stop: Record<never, never>;
  alone: Record<never, never>;
  set: { traits: Partial<ProtoPublic> };
}

export interface ProtoReply {
  kind: "welcome" | "applied";
  rid: string;
}
