/** What is shown now, worked out from the traits. Nothing here touches the page. */
import type { AnyModel } from "../../core/model";
import { decodeLayer, decodePlane, type Plane } from "../../core/planes";
import type {
  ClassMap,
  Found,
  ImageInfo,
  IndexName,
  MapInfo,
  ScoreName,
  Search,
  Status,
} from "../../core/wire";
import type { LayerStore } from "./layers";

/** State of one view on one page; never synced, so that two views of a model can differ. */
export interface ViewState {
  map: boolean;
  uncertainty: boolean;
  cells: boolean;
  /** Cell that is read, as an index into the map, or "outside" of what the model sees. */
  reading: number | "outside" | null;
  /** Share of the picture's width left of which the map is drawn. */
  wipe: number | null;
  /** Mark of the search for partners that the person has left. */
  left: string;
  /** What there is to say about the last click, until the pointer moves on. */
  note: string;
}

/** What is drawn of a class: an index of a score, in numbers. */
export interface Reading {
  index: IndexName;
  score: ScoreName;
  min: number;
  max: number;
  flat: boolean;
  agreement: number | null;
  unit: string;
  plane: Plane | null;
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

/**
 * Works out what is shown.
 *
 * @param model - the traits
 * @param stores - decoded maps
 * @param left - mark of the search for partners that the person has left
 */
export function deriveShown(model: AnyModel, stores: Stores, left = ""): Shown {
  const images = model.get("_images") ?? [];
  const wanted = model.get("selected_image");
  const found = images.findIndex(({ name }) => name === wanted);
  const place = Math.max(0, found);
  const image = images[place] ?? null;
  const name = image?.name ?? "";
  const maps = model.get("_maps") ?? {};
  const map = maps[name] ?? null;
  const explained = map && explainedClass(model, name, map);
  const classId = explained?.id ?? model.get("selected_class") ?? null;
  const stored = map?.classes[explained?.at ?? -1] ?? null;
  const reading = explained && stored && readClass(model, stores, explained);
  const { index, score } = askedReading(model, map);
  return {
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
    refusal: map && classId !== null ? stores.layers.refusal(name, map, classId, index, score) : "",
    partners: map && partnersOf(model, stores.planes, name, map, left),
  };
}

function explainedClass(model: AnyModel, name: string, map: MapInfo): Explained | null {
  const id = model.get("selected_class") ?? map.classes[0]?.id;
  if (id === undefined) return null;
  return { name, map, id, at: map.classes.findIndex((each) => each.id === id) };
}

/** The index and the score that the person wants of a map. */
function askedReading(model: AnyModel, map: MapInfo | null): { index: IndexName; score: ScoreName } {
  return { index: model.get("index") ?? "total", score: model.get("score") ?? map?.score ?? "logit" };
}

/** What is drawn of a class: the stored map where that is it, else a layer that is asked for. */
function readClass(model: AnyModel, { planes, layers }: Stores, explained: Explained): Reading | null {
  const { name, map, id, at } = explained;
  const { index, score } = askedReading(model, map);
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
      const other = explained && explained.at >= 0 && readClass(model, stores, explained);
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
