/** What is shown now, worked out from the traits. Nothing here touches the page. */
import type { AnyModel } from "../../core/model";
import type { ConceptInfo, GraphInfo, StrategyStatus, StrategyTraits } from "../../core/strategy_wire";
import { type Texture, textureOf } from "../concepts/palette";
import { Grid, middles, type Spot, type Viewport } from "./geometry";
import { countBy, decodePoints, litBy, type Points, WRONG } from "./points";
import { type Compared, findSums } from "./sums";

/** State of one view on one page; never synced, so that two views of a model can differ. */
export interface ViewState {
  /** What of the plane is seen; null for all of it. */
  viewport: Viewport | null;
  /** Photo under the pointer, and the one that the keys have walked to; -1 for none. */
  hovered: number;
  focused: number;
  /** Whether a drag draws a lasso. */
  lassoing: boolean;
  /** The lasso that is being drawn, in the plane. */
  lasso: Spot[];
  /** Row of the concept whose places are shown on the photo; null for the one that parts the classes most. */
  mapped: number | null;
  dark: boolean;
}

/** A concept with its row and texture. */
export interface Concept extends ConceptInfo {
  row: number;
  texture: Texture;
}

export interface Shown {
  graph: GraphInfo | null;
  concepts: Concept[];
  points: Points | null;
  grid: Grid | null;
  /** Whether a photo passes the filter. */
  isShown(row: number): boolean;
  /** 1 for photos that are not dimmed. */
  lit: Uint8Array;
  litCount: number;
  /** Photos that pass the filter, and the misread ones. */
  shownCount: number;
  mistakes: number;
  /** Photos of each concept, by the rule of colours; those without at the end. */
  counts: number[];
  middles: Map<number, number>;
  /** Rows of the concepts that are chosen. */
  chosenConcepts: number[];
  /** Rows of the photos that are chosen, and the one that is looked at. */
  chosen: number[];
  here: number | null;
  compared: Compared | null;
  status: StrategyStatus;
}

const EMPTY: StrategyStatus = {
  state: "empty",
  stage: null,
  done: 0,
  total: 0,
  eta: null,
  seconds: 0,
  error: null,
};

type Model = AnyModel<StrategyTraits>;

/** Keeps what a function made for as long as it is given the same. */
export function remember<A extends unknown[], R>(make: (...given: A) => R): (...given: A) => R {
  let [last, made]: [A | null, R | null] = [null, null];
  return (...given) => {
    if (!last?.every((each, i) => Object.is(each, given[i]))) {
      made = make(...given);
      last = given;
    }
    return made as R;
  };
}

/** Makes what works out what is shown; each part anew only where something that it is made of has changed. */
export function makeDeriver(model: Model): () => Shown {
  const concepts = remember((list: ConceptInfo[] | undefined): Concept[] =>
    (list ?? []).map((each, row) => ({ ...each, row, texture: textureOf(each.id) })),
  );
  const points = remember(decodePoints);
  const grid = remember((of: Points | null) => (of ? new Grid(of) : null));
  const filter = remember((of: Points | null, mistakes: boolean) =>
    mistakes && of ? (row: number) => of.marks[row] === WRONG : () => true,
  );
  const chosenConcepts = remember((all: Concept[], ids: number[] | undefined) =>
    (ids ?? []).map((id) => all.findIndex((each) => each.id === id)).filter((row) => row >= 0),
  );
  const light = remember((of: Points | null, rows: number[], isShown: (row: number) => boolean) => {
    const lit = of ? litBy(of, rows) : new Uint8Array(0);
    let [litCount, shownCount, mistakes] = [0, 0, 0];
    for (let i = 0; i < lit.length; i++) {
      if (of?.marks[i] === WRONG) mistakes += 1;
      if (!isShown(i)) continue;
      shownCount += 1;
      litCount += lit[i] as number;
    }
    return { lit, litCount, shownCount, mistakes };
  });
  const groups = remember(
    (
      of: Points | null,
      rule: "distinctive" | "strongest",
      count: number,
      isShown: (row: number) => boolean,
    ) => ({
      counts: of ? countBy(of, rule, count, isShown) : [],
      middles: of ? middles(of, of.rows[rule], isShown) : new Map<number, number>(),
    }),
  );
  const chosen = remember((of: Points | null, names: string[] | undefined) =>
    (names ?? []).map((name) => of?.rowOf(name)).filter((row): row is number => row !== undefined),
  );
  return () => {
    const all = concepts(model.get("_concepts"));
    const info = model.get("_graph");
    const of = points(model.get("_points"), all.length);
    const isShown = filter(of, model.get("only_mistakes"));
    const rows = chosenConcepts(all, model.get("selected_concepts"));
    const list = chosen(of, model.get("selected_images"));
    const here = list[0] ?? null;
    return {
      graph: info?.rules ? (info as GraphInfo) : null,
      concepts: all,
      points: of,
      grid: grid(of),
      isShown,
      ...light(of, rows, isShown),
      ...groups(of, model.get("by"), all.length, isShown),
      chosenConcepts: rows,
      chosen: list,
      here,
      compared: here === null ? null : findSums(model.get("_sums"), here, all.length),
      status: { ...EMPTY, ...model.get("_status") },
    };
  };
}
