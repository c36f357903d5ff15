/** What is shown now, worked out from the traits. Nothing here touches the page. */
import type { AnyModel } from "../../core/model";
import { decodePlane, type Plane } from "../../core/planes";
import type { ClassMap, ImageInfo, MapInfo, Status } from "../../core/wire";

/** State of one view on one page; never synced, so that two views of a model can differ. */
export interface ViewState {
  map: boolean;
  uncertainty: boolean;
  cells: boolean;
  /** Cell that is read, as an index into the map, or "outside" of what the model sees. */
  reading: number | "outside" | null;
  /** Share of the picture's width left of which the map is drawn. */
  wipe: number | null;
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
  plane: Plane | null;
  /** There is a map of this image, but not of the class. */
  missing: boolean;
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
    const planes = this.#known.get(bytes) ?? new Map<string, Plane>();
    this.#known.set(bytes, planes);
    const plane = planes.get(key) ?? decodePlane(bytes, map.grid, place, info.max, info.se_max);
    if (plane) planes.set(key, plane);
    return plane;
  }
}

/**
 * Works out what is shown.
 *
 * @param model - the traits
 * @param planes - decoded maps
 */
export function deriveShown(model: AnyModel, planes: PlaneStore): Shown {
  const images = model.get("_images") ?? [];
  const wanted = model.get("selected_image");
  const found = images.findIndex(({ name }) => name === wanted);
  const place = Math.max(0, found);
  const image = images[place] ?? null;
  const name = image?.name ?? "";
  const maps = model.get("_maps") ?? {};
  const map = maps[name] ?? null;
  const selected = model.get("selected_class") ?? null;
  const classId = selected ?? map?.classes[0]?.id ?? null;
  const at = map ? map.classes.findIndex(({ id }) => id === classId) : -1;
  const stored = map?.classes[at] ?? null;
  return {
    image,
    place,
    status: model.get("_status")?.[name] ?? EMPTY,
    map,
    classId,
    className: stored?.name ?? nameOfClass(maps, classId),
    stored,
    plane: map && stored && !stored.flat ? planes.get(model.get("_planes")?.[name], map, at) : null,
    missing: map !== null && stored === null,
  };
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
