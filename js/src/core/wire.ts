/**
 * What travels between Python and the browser: traits and messages.
 *
 * The constants are read from the same file as Python reads, so that the two halves cannot drift apart.
 */
import wire from "../../../src/whatwhere/widgets/wire.json";

export const VERSION: number = wire.version;
export const PLANE_LEVELS: number = wire.plane_levels;
export const COLORMAPS = wire.colormaps as readonly ColormapName[];
export const TO_VIEW = new Set<string>(wire.to_view);

export type ColormapName = "magma" | "viridis" | "cividis";
export type State = "empty" | "computing" | "partial" | "done" | "failed";
export type Stage = "queued" | "preview" | "tuning" | "rows";

export interface ImageInfo {
  name: string;
  /** Pixels of the original photo. */
  width: number;
  height: number;
  /** Box that the model's centre crop covers, in pixels of the photo: x0, y0, x1, y1. */
  seen: [number, number, number, number];
}

export interface Failure {
  what: string;
  why: string;
  todo: string;
}

export interface Status {
  state: State;
  stage: Stage | null;
  /** Forwards made, of those wanted. */
  done: number;
  total: number;
  rows: number;
  rows_wanted: number;
  /** Seconds left. */
  eta: number | null;
  seconds: number;
  error: Failure | null;
}

export interface ClassMap {
  id: number;
  name: string;
  /** Probability. */
  p: number;
  max: number;
  se_max: number;
  /** The score does not move when the image is masked. */
  flat: boolean;
  /** Rank correlation between the maps of two halves of the rows. */
  agreement: number | null;
  /** Among the ten most probable, else asked for. */
  top: boolean;
}

export interface MapInfo {
  /** Rows and columns of cells. */
  grid: [number, number];
  rows: number;
  preview: boolean;
  unit: string;
  classes: ClassMap[];
  about: [string, string][];
  code: string;
}

/** The traits of an AttributionView. Public ones are written by both sides, the others by Python only. */
export interface Traits extends Record<string, unknown> {
  selected_image: string;
  selected_class: number | null;
  opacity: number;
  threshold: number;
  colormap: ColormapName;
  /** Reference to the model of what is selected. */
  _selection: string;
  _class_count: number;
  _title: string;
  _images: ImageInfo[];
  _photos: DataView[];
  _status: Record<string, Status>;
  _maps: Record<string, MapInfo>;
  _planes: Record<string, DataView>;
  _seq: number;
  _kernel: boolean;
}

export type PublicTraits = Pick<
  Traits,
  "selected_image" | "selected_class" | "opacity" | "threshold" | "colormap"
>;

export const PUBLIC_TRAITS = [
  "selected_image",
  "selected_class",
  "opacity",
  "threshold",
  "colormap",
] as const;
export const PYTHON_TRAITS = ["_title", "_images", "_photos", "_status", "_maps", "_planes", "_seq"] as const;

/** Bodies of the messages to Python, by kind; `kind`, `rid` and `v` are added on the way. */
export interface ToKernel {
  hello: Record<never, never>;
  ack: { seq: number };
  start: { image: string };
  stop: { image: string };
  /** `select`: whether the class is also selected, or only read. */
  explain: { image: string; query: string | number; select: boolean };
  /** This host finds no other models: Python sends what mirrors the selection. */
  alone: Record<never, never>;
  set: { traits: Partial<PublicTraits> };
}

export type Reply =
  | { kind: "welcome"; rid: string }
  | { kind: "explained"; rid: string; id: number }
  | { kind: "applied"; rid: string }
  | { kind: "refused"; rid: string; message: string; suggestions: { id: number; name: string }[] };
