/**
 * What travels between Python and the browser: traits and messages.
 *
 * The constants are read from the same file as Python reads, so that the two halves cannot drift apart.
 */
import * as wire from "../../../src/whatwhere/widgets/wire.json";

export const VERSION: number = wire.version;
/** Thumbnails that one message brings, at most. */
export const THUMBNAILS: number = wire.thumbnails;
export const PLANE_LEVELS: number = wire.plane_levels;
export const COLORMAPS = wire.colormaps as readonly ColormapName[];
export const TO_VIEW = new Set<string>(wire.to_view);

export const LAYER_NAMES = wire.layers as readonly LayerName[];
export const SCORES = wire.scores as readonly ScoreName[];

export type IndexName = "total" | "first" | "slope";
/** What can be drawn of a class: an index, or the standard error of the total one. */
export type LayerName = IndexName | "error";
export type ScoreName = "logit" | "softmax" | "log_softmax" | "margin" | "own";
export type ScaleName = "image" | "shared";
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

/** All photos of a view. */
export interface StripInfo {
  total: number;
  /** Another one whenever they are others, or in another order; not where photos come behind them. */
  mark: number;
}

/** Asks for thumbnails of photos that are not saved, by their places in the strip. */
export interface ThumbnailsWanted {
  mark: number;
  places: number[];
}

/** They are in `buffers`; of one that cannot be read the reason is told. */
export interface ThumbnailsReply {
  kind: "thumbnails";
  rid: string;
  mark: number;
  images: { place: number; name?: string; error?: string }[];
  buffers?: DataView[];
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
  /** The Python line that computes the map. */
  code: string;
  /** Score of the stored maps, the method's own. */
  score: ScoreName;
  /** Why an index cannot be had, by its name. */
  missing: Partial<Record<LayerName, string>>;
}

/** One reading of a class: an index of a score. */
export interface LayerInfo {
  id: number;
  index: IndexName;
  score: ScoreName;
  min: number;
  max: number;
  se_max: number;
  flat: boolean;
  agreement: number | null;
  unit: string;
}

/** What a search for the partners of a cell has found so far. */
export interface Found {
  id: number;
  min: number;
  max: number;
  se_max: number;
  rows: number;
  forwards: number;
  /** Cells that were looked at. */
  looked: number[];
  /** Cells that clearly act together with it, the strongest first. */
  partners: number[];
  plane: DataView;
}

export interface Search {
  /** Mark of the request. */
  rid: string;
  image: string;
  cell: [number, number];
  state: "computing" | "done" | "failed";
  /** Forwards made, of those wanted. */
  done: number;
  total: number;
  why: string;
  found: Found | null;
}

/** The traits of an AttributionView. Public ones are written by both sides, the others by Python only. */
export interface Traits extends Record<string, unknown> {
  selected_image: string;
  selected_class: number | null;
  /** Name of the method that is shown alone; empty: all side by side. */
  selected_method: string;
  opacity: number;
  threshold: number;
  colormap: ColormapName;
  index: LayerName;
  /** What stands side by side; none: `index` alone. */
  layers: LayerName[];
  score: ScoreName;
  scale: ScaleName;
  /** Reference to the model of what is selected. */
  _selection: string;
  _class_count: number;
  /** Why a layer can be had by none of the methods, by its name. */
  _missing: Partial<Record<LayerName, string>>;
  _title: string;
  /** Names of the methods. */
  _methods: string[];
  _images: ImageInfo[];
  /** JPEG files, those of the first photos; of the others nothing. */
  _photos: DataView[];
  /** The photo that is shown, where it is none of the first, by name. */
  _large: Record<string, DataView>;
  _strip: StripInfo;
  /** These are by the photo's name for the first method; see `keyOf`. */
  _status: Record<string, Status>;
  _maps: Record<string, MapInfo>;
  _planes: Record<string, DataView>;
  /** The search for partners; empty without one. */
  _pairs: Search | Record<never, never>;
  /** Layers that an exported page holds. */
  _layers?: Record<string, (LayerInfo & { plane: DataView })[]>;
  _seq: number;
  /** How it is a part of another view: beside other parts, or on a page of its own. */
  _embedded?: "" | "beside" | "page";
  _kernel: boolean;
}

export type PublicTraits = Pick<
  Traits,
  | "selected_image"
  | "selected_class"
  | "selected_method"
  | "opacity"
  | "threshold"
  | "colormap"
  | "index"
  | "layers"
  | "score"
  | "scale"
>;

export const PUBLIC_TRAITS = [
  "selected_image",
  "selected_class",
  "selected_method",
  "opacity",
  "threshold",
  "colormap",
  "index",
  "layers",
  "score",
  "scale",
] as const;
export const PYTHON_TRAITS = [
  "_title",
  "_methods",
  "_images",
  "_photos",
  "_large",
  "_strip",
  "_status",
  "_maps",
  "_planes",
  "_pairs",
  "_seq",
] as const;

/** What a photo's job by a method is called, by the method's place. */
export const keyOf = (name: string, place: number): string => (place ? `${name}\0${place}` : name);

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
  layer: { image: string; class: number; index: IndexName; score: ScoreName };
  /** Without a cell: leaves the search. */
  pairs: { image: string; cell: [number, number] | null };
  /** A photo that was dropped, pasted or chosen; its bytes travel beside. */
  photo: { name: string };
  /** The photo at its own size. */
  full: { image: string };
  thumbnails: ThumbnailsWanted;
}

export type Reply =
  | { kind: "welcome"; rid: string }
  | { kind: "explained"; rid: string; id: number }
  | { kind: "applied"; rid: string }
  | { kind: "full"; rid: string; buffers: DataView[] }
  | {
      kind: "layer";
      rid: string;
      image: string;
      grid: [number, number];
      rows: number;
      layer: LayerInfo;
      buffers?: DataView[];
    }
  | { kind: "pairing"; rid: string }
  /** `missed`: why linked views that show the same photos cannot take it in. */
  | { kind: "added"; rid: string; name: string; missed: string[] }
  | ThumbnailsReply
  | { kind: "refused"; rid: string; message: string; suggestions: { id: number; name: string }[] };
