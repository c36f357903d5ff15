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
import { largeValue, sum, sumPlanes } from "./groups";
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
  /** The number of concepts that was asked for, until it is there. */
  rank: number | null;
  /** What there is to say about the last thing that was tried, until the next. */
  hint: string;
  /** The photo that was shown last: it stays until one that was chosen arrives. */
  last: string;
  dark: boolean;
}

/** A concept of the bank. */
export interface Mark {
  id: number;
  /** Place in the bank: in order of importance. */
  row: number;
  letter: string;
  hue: string;
  texture: Texture;
  /** What a person called it; empty if nobody did. */
  name: string;
}

/** A concept as it is shown: one of the bank, or several that were merged, whose numbers are sums. */
export interface Concept extends Mark {
  /** What it is made of, itself first. */
  parts: Mark[];
  /** The name, or the letters in words. */
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
  /** All of them, in order of importance. */
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
  const has = (id: number) => rows.find(({ parts }) => parts.some((part) => part.id === id)) ?? [];
  const selected = [...new Set((model.get("selected_concepts") ?? []).flatMap(has))];
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
  const marks = bank.ids.map((id, row) => ({
    id,
    row,
    letter: bank.letters[row] ?? "?",
    hue: bank.hues[row] ?? "#8A8984",
    texture: textureOf(id),
    name: names[id] ?? "",
  }));
  const groups = model.get("merged") ?? [];
  return marks
    .flatMap((mark): Concept[] => {
      const ids = groups.find((ids) => ids.includes(mark.id)) ?? [mark.id];
      const parts = ids.flatMap((id) => marks.find((each) => each.id === id) ?? []);
      if (parts[0] !== mark) return [];
      const add = (values: readonly (number | null)[] | undefined) => {
        const known = parts.map(({ row }) => values?.[row] ?? null);
        return known.includes(null) ? null : sum(known as number[]);
      };
      const told = parts.map(({ letter, name }) => name || letter).join(" + ");
      return [
        {
          ...mark,
          parts,
          title: mark.name || (parts.length > 1 ? told : `concept ${mark.letter}`),
          note: notes[mark.id] ?? "",
          importance: add(bank.importance) ?? 0,
          error: add(bank.importance_error),
          contribution: add(bank.contribution),
          dead: parts.every(({ id }) => dead.has(id)),
          hidden: hidden.has(mark.id),
          pinned: pinned.has(mark.id),
          on: parts.some(({ id }) => on.has(id)),
        },
      ];
    })
    .sort((a, b) => b.importance - a.importance);
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

/**
 * What is drawn in full of a merged concept: the level of its codes on all photos, times what other maps make of a code.
 *
 * Not the level of the maps themselves: they come one photo at a time, and would change each other's colours.
 */
function topOfSum(model: Model, cells: CellStore, { row, parts }: Concept, own: number): number {
  const codes = model.get("_codes") ?? {};
  const [grid, scales] = [model.get("_grid"), model.get("_code_scales") ?? []];
  const plane = (bytes: DataView | undefined, place: number) =>
    cells.get(bytes, `${place}/${scales[place] ?? 0}/${grid}`, (read) =>
      decodeCells(read, grid, place, scales[place] ?? 0),
    );
  const level = largeValue(codes, parts.map(({ id }) => id).join(), () =>
    Object.values(codes).map((bytes) =>
      sumPlanes(
        parts.map((part) => plane(bytes, part.row)),
        parts.map((part) => part.row).join(),
      ),
    ),
  );
  const code = scales[row] ?? 0;
  return code > 0 ? (level * own) / code : level;
}

function readLayer(model: Model, cells: CellStore, concept: Concept, name: string, kind: MapKind): Layer {
  const { parts } = concept;
  const known = model.get("_present")?.[name];
  const present = known ? parts.some(({ row }) => (known[row] ?? 0) > 0) : null;
  const stored = kind === "codes" ? model.get("_codes") : model.get("_overlays");
  const scales = kind === "codes" ? model.get("_code_scales") : model.get("_overlay_scales")?.[kind];
  const grid = model.get("_grid");
  /** A photo's plane, by the name of its bytes. */
  const read = (key: string) =>
    sumPlanes(
      parts.map(({ row }) => {
        const top = scales?.[row] ?? 0;
        return cells.get(stored?.[key], `${row}/${top}/${grid}`, (bytes) =>
          kind === "codes" ? decodeCells(bytes, grid, row, top) : decodeOverlay(bytes, row, top),
        );
      }),
      parts.map(({ row }) => row).join(),
    );
  const own = scales?.[concept.row] ?? 0;
  const top = parts.length > 1 ? topOfSum(model, cells, concept, own) : own;
  return { concept, present, plane: read(kind === "codes" ? name : `${kind}/${name}`), top };
}

/** Factors of the bank's concepts, in its order. */
export function readFactors(bank: BankInfo, scales: Record<string, number>): number[] {
  return bank.ids.map((id) => scales[id] ?? 1);
}

/** What a concept, or a merged one, adds to a photo's logit. */
export function addedBy({ parts }: Concept, { contributions }: PhotoInfo): number {
  return sum(parts.map(({ row }) => contributions[row] ?? 0));
}

/** Crops of a concept of a kind, with their places in the sprite; of a merged one those of its parts, in one order. */
export function cropsOf(
  crops: readonly CropInfo[][],
  { parts }: Concept,
  kind: CropKind,
): { crop: CropInfo; at: number; part: Mark }[] {
  const found = parts.map((part) => {
    let start = 0;
    for (let k = 0; k < part.row; k++) start += crops[k]?.length ?? 0;
    return (crops[part.row] ?? [])
      .map((crop, i) => ({ crop, at: start + i, part }))
      .filter(({ crop }) => crop.kind === kind);
  });
  if (found.length === 1) return found[0] ?? [];
  const most = Math.max(...found.map(({ length }) => length));
  const turns = Array.from({ length: most }, (_, i) => found.flatMap((row) => row[i] ?? [])).flat();
  const seen = new Set<string>();
  return turns.filter(({ crop }) => {
    const key = `${crop.image}/${crop.box}`;
    return !seen.has(key) && seen.add(key);
  });
}
