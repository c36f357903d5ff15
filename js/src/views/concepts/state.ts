/** What is shown now, worked out from the traits. Nothing here touches the page. */
import type {
  BankInfo,
  ConceptStatus,
  ConceptTraits,
  CropInfo,
  CropKind,
  MapKind,
  PhotoInfo,
} from "../../core/concept_wire";
import type { AnyModel } from "../../core/model";
import { type CellPlane, type CellStore, decodeCells, decodeOverlay } from "./codec";
import { type Texture, textureOf } from "./palette";

/** State of one view on one page; never synced, so that two views of a model can differ. */
export interface ViewState {
  /** Id of the concept that is told of below. */
  opened: number | null;
  tab: CropKind;
  map: boolean;
  cells: boolean;
  reading: number | "outside" | null;
  wipe: number | null;
  /** Where the name of which concept is being written. */
  renaming: { id: number; where: "card" | "detail" } | null;
  showHidden: boolean;
  /** The photo that was shown last: it stays until one that was chosen arrives. */
  last: string;
  dark: boolean;
}

export interface Concept {
  id: number;
  /** Place in the bank: in order of importance. */
  row: number;
  letter: string;
  hue: string;
  texture: Texture;
  /** What a person called it; empty if nobody did. */
  name: string;
  /** The name, or the letter in words. */
  title: string;
  note: string;
  importance: number;
  error: number | null;
  contribution: number | null;
  dead: boolean;
  hidden: boolean;
  pinned: boolean;
  /** It lies over the photo. */
  on: boolean;
}

/** One concept over the photo. */
export interface Layer {
  concept: Concept;
  plane: CellPlane | null;
  /** Value that is drawn in full colour. */
  top: number;
  /** Whether the photo has it at all; null if nobody knows. */
  present: boolean | null;
}

export interface Shown {
  bank: BankInfo | null;
  /** In the order of the cards: pinned ones first, hidden ones last or not at all. */
  concepts: Concept[];
  /** By place in the bank. */
  rows: Concept[];
  hidden: number;
  opened: Concept | null;
  image: PhotoInfo | null;
  /** Place of the photo in `_images`; -1 without one. */
  place: number;
  layers: Layer[];
  /** For reading cells: size of the layers' grid. */
  plane: CellPlane | null;
  kind: MapKind;
  /** There are no photos yet, but they will come. */
  awaited: boolean;
  /** The kind of map is not there for this photo; what is drawn meanwhile are codes. */
  missing: boolean;
  status: ConceptStatus;
}

const EMPTY: ConceptStatus = { state: "empty", stage: null, done: 0, total: 0, eta: null, error: null };

type Model = AnyModel<ConceptTraits>;

/** Works out what is shown. */
export function deriveShown(model: Model, state: ViewState, cells: CellStore): Shown {
  const info = model.get("_bank");
  const bank = info?.ids?.length ? (info as BankInfo) : null;
  const rows = bank ? readConcepts(model, bank) : [];
  const selected = (model.get("selected_concepts") ?? []).flatMap(
    (id) => rows.find((each) => each.id === id) ?? [],
  );
  const images = model.get("_images") ?? [];
  const wanted = model.get("selected_image");
  const place = placeOf(images, wanted, state.last);
  const image = images[place] ?? null;
  const kind = model.get("map_kind") ?? "codes";
  const stored = kind === "codes" || model.get("_overlays")?.[`${kind}/${image?.name}`] !== undefined;
  const drawn = stored ? kind : "codes";
  const layers = selected.map((concept) => readLayer(model, cells, concept, image?.name ?? "", drawn));
  const status = { ...EMPTY, ...model.get("_status") };
  return {
    bank,
    rows,
    concepts: orderCards(rows, state.showHidden),
    hidden: rows.filter(({ hidden }) => hidden).length,
    opened: chooseOpened(rows, selected, state.opened),
    image,
    place,
    layers,
    plane: layers.find(({ plane }) => plane)?.plane ?? null,
    kind,
    missing: !stored && image !== null,
    awaited: image === null && status.state !== "failed" && (!bank?.complete || status.state === "computing"),
    status,
  };
}

/** Place of the chosen photo; while it is on its way, of the one before. */
function placeOf(images: readonly PhotoInfo[], wanted: string, last: string): number {
  const find = (wanted: string) => images.findIndex(({ name }) => name === wanted);
  const place = find(wanted);
  return place >= 0 || images.length === 0 ? place : Math.max(0, find(last));
}

function readConcepts(model: Model, bank: BankInfo): Concept[] {
  const names = model.get("names") ?? {};
  const notes = model.get("notes") ?? {};
  const lists = [model.get("selected_concepts"), model.get("hidden"), model.get("pinned"), bank.dead];
  const [on, hidden, pinned, dead] = lists.map((list) => new Set(list ?? [])) as [
    Set<number>,
    Set<number>,
    Set<number>,
    Set<number>,
  ];
  return bank.ids.map((id, row) => ({
    id,
    row,
    letter: bank.letters[row] ?? "?",
    hue: bank.hues[row] ?? "#8A8984",
    texture: textureOf(id),
    name: names[id] ?? "",
    title: names[id] || `concept ${bank.letters[row]}`,
    note: notes[id] ?? "",
    importance: bank.importance[row] ?? 0,
    error: bank.importance_error?.[row] ?? null,
    contribution: bank.contribution?.[row] ?? null,
    dead: dead.has(id),
    hidden: hidden.has(id),
    pinned: pinned.has(id),
    on: on.has(id),
  }));
}

function orderCards(rows: Concept[], showHidden: boolean): Concept[] {
  const seen = rows.filter(({ hidden }) => !hidden);
  const rest = showHidden ? rows.filter(({ hidden }) => hidden) : [];
  return [...seen.filter(({ pinned }) => pinned), ...seen.filter(({ pinned }) => !pinned), ...rest];
}

/** The one that was opened, as long as it lies over the photo or nothing does; else the one that was added last. */
function chooseOpened(rows: Concept[], selected: Concept[], opened: number | null): Concept | null {
  const here = rows.find(({ id }) => id === opened);
  if (here && (here.on || selected.length === 0)) return here;
  return selected.at(-1) ?? rows[0] ?? null;
}

function readLayer(model: Model, cells: CellStore, concept: Concept, name: string, kind: MapKind): Layer {
  const present = model.get("_present")?.[name]?.[concept.row];
  const base = { concept, present: present === undefined ? null : present > 0 };
  if (kind === "codes") {
    const top = model.get("_code_scales")?.[concept.row] ?? 0;
    const grid = model.get("_grid");
    const key = `${concept.row}/${top}/${grid}`;
    const plane = cells.get(model.get("_codes")?.[name], key, (bytes) =>
      decodeCells(bytes, grid, concept.row, top),
    );
    return { ...base, plane, top };
  }
  const top = model.get("_overlay_scales")?.[kind]?.[concept.row] ?? 0;
  const bytes = model.get("_overlays")?.[`${kind}/${name}`];
  const plane = cells.get(bytes, `${concept.row}/${top}`, (each) => decodeOverlay(each, concept.row, top));
  return { ...base, plane, top };
}

/** Factors of all concepts, in the order of the bank. */
export function readFactors(rows: readonly Concept[], scales: Record<string, number>): number[] {
  return rows.map(({ id }) => scales[id] ?? 1);
}

/** Crops of a concept of a kind, with their places in the sprite. */
export function cropsOf(
  crops: readonly CropInfo[][],
  row: number,
  kind: CropKind,
): { crop: CropInfo; at: number }[] {
  let start = 0;
  for (let k = 0; k < row; k++) start += crops[k]?.length ?? 0;
  return (crops[row] ?? [])
    .map((crop, i) => ({ crop, at: start + i }))
    .filter(({ crop }) => crop.kind === kind);
}
