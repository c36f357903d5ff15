/** What is shown now, worked out from the traits. Nothing here touches the page. */
import type { AnyModel } from "../../core/model";
import { decodeLayer, decodePlane, errorsOf, type Plane } from "../../core/planes";
import {
  type ClassMap,
  type Found,
  type ImageInfo,
  type IndexName,
  keyOf,
  type LayerName,
  type MapInfo,
  type ScoreName,
  type Search,
  type Status,
} from "../../core/wire";
import type { LayerStore } from "./layers";

/** State of one view on one page; never synced, so that two views of a model can differ. */
export interface ViewState {
  map: boolean;
  /** Cells that say little are hatched. */
  unsure: boolean;
  cells: boolean;
  /** Cell that is read, as an index into the map, or "outside" of what the model sees. */
  reading: number | "outside" | null;
  /** Rows and columns of the map that it is an index into, of several side by side. */
  grid: readonly [number, number] | null;
  /** Share of the picture's width left of which the map is drawn. */
  wipe: number | null;
  /** Mark of the search for partners that the person has left. */
  left: string;
  /** What there is to say about the last click, until the pointer moves on. */
  note: string;
}

/** What is drawn of a class: an index of a score, in numbers. */
export interface Reading {
  index: LayerName;
  score: ScoreName;
  min: number;
  max: number;
  flat: boolean;
  agreement: number | null;
  unit: string;
  plane: Plane | null;
  /** Of standard errors: what they are errors of. */
  of?: { plane: Plane; max: number; unit: string };
}

/** The search for partners that is shown, and its map once there is one. */
export interface Partners {
  search: Search;
  /** The cell, as an index into the map. */
  cell: number;
  found: Found | null;
  plane: Plane | null;
}

export interface Shown {
  /** What the photo's map by the method is called on the wire. */
  key: string;
  /** What it is called beside others; empty where there are none. */
  label: string;
  image: ImageInfo | null;
  /** Place of the image in `_images`. */
  place: number;
  status: Status;
  map: MapInfo | null;
  /** Class to explain: the selected one, else the most probable one. */
  classId: number | null;
  className: string;
  /** Its stored map; null if there is no map yet, or none of this class. */
  stored: ClassMap | null;
  /** What is drawn of it; null until it is there. */
  reading: Reading | null;
  /** Its numbers; null where it is flat. */
  plane: Plane | null;
  /** Value, whatever its sign, that gets the full colour. */
  top: number;
  /** There is a map of this image, but not of the class, or not this reading of it. */
  missing: boolean;
  /** Why this reading cannot be had, or nothing. */
  refusal: string;
  partners: Partners | null;
}

/** What can be drawn of a class: name, label, and what it means. */
export const LAYERS: readonly [LayerName, string, string][] = [
  ["total", "Total", "Share of the variance that is left when all but the cell is known"],
  ["first", "First order", "Share of the variance that the cell explains on its own"],
  ["slope", "Sign", "By how much the score rises when the cell is shown"],
  ["error", "Uncertainty", "Standard error of the total index: how far chance moves it"],
];

const EMPTY: Status = {
  state: "empty",
  stage: null,
  done: 0,
  total: 0,
  rows: 0,
  rows_wanted: 0,
  eta: null,
  seconds: 0,
  error: null,
};

/** Decodes each map once; a class that was seen before is drawn from memory. */
export class PlaneStore {
  #known = new WeakMap<DataView, Map<string, Plane>>();

  /** Values of a class's map, or null if the bytes are not there. */
  get(bytes: DataView | undefined, map: MapInfo, place: number): Plane | null {
    const info = map.classes[place];
    if (!bytes || !info) return null;
    const key = `${map.grid}/${place}/${info.max}/${info.se_max}`;
    return this.#keep(bytes, key, () => decodePlane(bytes, map.grid, place, info.max, info.se_max));
  }

  /** Values of a cell's partners. */
  partners(found: Found, grid: readonly [number, number]): Plane | null {
    return this.#keep(found.plane, `${grid}`, () => decodeLayer(found.plane, grid, found));
  }

  #keep(bytes: DataView, key: string, decode: () => Plane | null): Plane | null {
    const planes = this.#known.get(bytes) ?? new Map<string, Plane>();
    this.#known.set(bytes, planes);
    const plane = planes.get(key) ?? decode();
    if (plane) planes.set(key, plane);
    return plane;
  }
}

export interface Stores {
  planes: PlaneStore;
  layers: LayerStore;
}

/** A class of an image's map. */
interface Explained {
  name: string;
  map: MapInfo;
  id: number;
  /** Its place among the stored maps, or -1. */
  at: number;
}

/** Place of the method that is shown; of several side by side the first. */
export function methodOf(model: AnyModel): number {
  return Math.max(0, (model.get("_methods") ?? []).indexOf(model.get("selected_method") ?? ""));
}

/** Whether maps are of one method, and not of several side by side. */
export const isOneMethod = (model: AnyModel): boolean =>
  (model.get("_methods") ?? []).length < 2 || Boolean(model.get("selected_method"));

/** What stands side by side of one method; nothing where one layer is shown alone. */
export const layersOf = (model: AnyModel): readonly LayerName[] =>
  isOneMethod(model) ? (model.get("layers") ?? []) : [];

/** How far several computations are, as one. */
export function joinStatus(all: readonly Status[]): Status {
  const [first] = all;
  if (!first || all.length === 1) return first ?? EMPTY;
  const states = new Set(all.map(({ state }) => state));
  const state =
    states.size > 1 ? (["computing", "failed", "partial"] as const).find((s) => states.has(s)) : first.state;
  const total = (name: "done" | "total" | "rows" | "rows_wanted" | "seconds") =>
    all.reduce((sum, each) => sum + each[name], 0);
  const active = all.filter((each) => each.state === "computing");
  return {
    state: state ?? "partial",
    stage: active.find(({ stage }) => stage !== "queued")?.stage ?? active[0]?.stage ?? null,
    done: total("done"),
    total: total("total"),
    rows: total("rows"),
    rows_wanted: total("rows_wanted"),
    eta: active.some(({ eta }) => eta === null) ? null : active.reduce((sum, { eta }) => sum + (eta ?? 0), 0),
    seconds: total("seconds"),
    error: all.find(({ error }) => error)?.error ?? null,
  };
}

/** How far a photo is: by all methods, or by the one that is shown alone. */
export function statusOf(model: AnyModel, name: string): Status | undefined {
  const all = model.get("_status") ?? {};
  const one = model.get("selected_method");
  if (one) return all[keyOf(name, methodOf(model))];
  const found = (model.get("_methods") ?? [""]).flatMap((_, place) => all[keyOf(name, place)] ?? []);
  return found.length ? joinStatus(found) : undefined;
}

/**
 * What stands side by side: maps of all methods, or layers of one; nothing where a map is shown alone.
 *
 * @param left - mark of the search for partners that the person has left
 */
export function derivePanels(model: AnyModel, stores: Stores, left = ""): Shown[] {
  const methods = model.get("_methods") ?? [];
  const alone = isOneMethod(model);
  const layers = layersOf(model);
  if (alone && layers.length === 0) return [];
  const method = methodOf(model);
  const missing = model.get("_maps")?.[keyOf(model.get("selected_image"), method)]?.missing ?? {};
  const panels = alone
    ? LAYERS.filter(([name]) => layers.includes(name) && !missing[name]).map(([name, label]) => ({
        ...deriveShown(model, stores, left, method, name),
        label,
      }))
    : methods.map((label, place) => ({ ...deriveShown(model, stores, left, place), label }));
  if (model.get("scale") !== "shared") return panels;
  const unit = ({ reading }: Shown) => reading?.unit;
  return panels.map((panel) => ({
    ...panel,
    top: Math.max(...panels.filter((other) => unit(other) === unit(panel)).map(({ top }) => top)),
  }));
}

/**
 * Works out what is shown.
 *
 * @param model - the traits
 * @param stores - decoded maps
 * @param left - mark of the search for partners that the person has left
 * @param method - place of the method
 * @param wanted - the layer, where it is not the one that was chosen
 */
export function deriveShown(
  model: AnyModel,
  stores: Stores,
  left = "",
  method = methodOf(model),
  wanted = model.get("index") ?? "total",
): Shown {
  const images = model.get("_images") ?? [];
  const found = images.findIndex(({ name }) => name === model.get("selected_image"));
  const place = Math.max(0, found);
  const image = images[place] ?? null;
  const name = keyOf(image?.name ?? "", method);
  const maps = model.get("_maps") ?? {};
  const map = maps[name] ?? null;
  const explained = map && explainedClass(model, name, map);
  const classId = explained?.id ?? model.get("selected_class") ?? null;
  const stored = map?.classes[explained?.at ?? -1] ?? null;
  const reading = explained && stored && readClass(model, stores, explained, wanted);
  const score = askedScore(model, map);
  return {
    key: name,
    label: "",
    image,
    place,
    status: model.get("_status")?.[name] ?? EMPTY,
    map,
    classId,
    className: stored?.name ?? nameOfClass(maps, classId),
    stored,
    reading,
    plane: reading && !reading.flat ? reading.plane : null,
    top: reading ? topOf(model, stores, reading) : 0,
    missing: map !== null && reading === null,
    refusal: map && classId !== null ? stores.layers.refusal(name, map, classId, indexOf(wanted), score) : "",
    partners: map && partnersOf(model, stores.planes, name, map, left),
  };
}

function explainedClass(model: AnyModel, name: string, map: MapInfo): Explained | null {
  const id = model.get("selected_class") ?? map.classes[0]?.id;
  if (id === undefined) return null;
  return { name, map, id, at: map.classes.findIndex((each) => each.id === id) };
}

/** The score that the person wants of a map: "own" is the method's, whatever that is. */
function askedScore(model: AnyModel, map: MapInfo | null): ScoreName {
  const score = model.get("score") ?? "own";
  return score === "own" ? (map?.score ?? score) : score;
}

/** The index that a layer is read from: standard errors travel with the total one. */
const indexOf = (layer: LayerName): IndexName => (layer === "error" ? "total" : layer);

/** What is drawn of a class. */
function readClass(model: AnyModel, stores: Stores, explained: Explained, layer: LayerName): Reading | null {
  const read = readIndex(model, stores, explained, indexOf(layer));
  if (layer !== "error" || !read) return read;
  const { plane, max, unit } = read;
  const errors = plane && errorsOf(plane);
  return {
    ...read,
    index: layer,
    min: 0,
    max: Math.max(0, ...(errors?.values ?? [])),
    unit: `${unit}, standard error`,
    plane: errors,
    ...(plane && { of: { plane, max, unit } }),
  };
}

/** An index of a class: the stored map where that is it, else a layer that is asked for. */
function readIndex(
  model: AnyModel,
  { planes, layers }: Stores,
  { name, map, id, at }: Explained,
  index: IndexName,
): Reading | null {
  const score = askedScore(model, map);
  if (index === "total" && score === map.score) {
    const info = map.classes[at];
    if (!info) return null;
    const { max, flat, agreement } = info;
    const plane = planes.get(model.get("_planes")?.[name], map, at);
    return { index, score, min: 0, max, flat, agreement, unit: map.unit, plane };
  }
  const layer = layers.get(name, map, id, index, score);
  return layer && { ...layer.info, plane: layer.plane };
}

/** Size of the value of full colour: of this map, or of the strongest of all photos. */
function topOf(model: AnyModel, stores: Stores, reading: Reading): number {
  const readings = [reading];
  if (model.get("scale") === "shared") {
    for (const [name, map] of Object.entries(model.get("_maps") ?? {})) {
      const explained = explainedClass(model, name, map);
      const other = explained && explained.at >= 0 && readClass(model, stores, explained, reading.index);
      if (other) readings.push(other);
    }
  }
  return Math.max(...readings.map(({ index, min, max }) => (index === "slope" ? Math.max(max, -min) : max)));
}

function partnersOf(
  model: AnyModel,
  planes: PlaneStore,
  name: string,
  map: MapInfo,
  left: string,
): Partners | null {
  const search = model.get("_pairs");
  if (!search || !("rid" in search) || search.image !== name || search.rid === left) return null;
  const cell = search.cell[0] * map.grid[1] + search.cell[1];
  const plane = search.found ? planes.partners(search.found, map.grid) : null;
  return { search, cell, found: search.found, plane };
}

/** A class's name as any image's map has it. */
function nameOfClass(maps: Record<string, MapInfo>, id: number | null): string {
  if (id === null) return "";
  for (const { classes } of Object.values(maps)) {
    const found = classes.find((each) => each.id === id);
    if (found) return found.name;
  }
  return `class ${id}`;
}
