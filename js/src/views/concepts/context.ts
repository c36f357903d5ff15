/** What the parts of the view share. */
import type {
  CardKind,
  ConceptReply,
  ConceptSent,
  ConceptTraits,
  CropKind,
  MapKind,
} from "../../core/concept_wire";
import type { Kernel } from "../../core/kernel";
import type { AnyModel } from "../../core/model";
import type { History } from "./history";
import type { Concept, Shown, ViewState } from "./state";

export type ConceptKernel = Kernel<ConceptSent, ConceptReply>;

export interface Actions {
  /** Lays this concept alone over the photo, and opens it. */
  open(id: number): void;
  /** Lays a concept over the photo, or takes it away. */
  toggleConcept(id: number): void;
  /** Takes all concepts off the photo. */
  clear(): void;
  selectImage(name: string): void;
  setKind(kind: MapKind): void;
  setTab(tab: CropKind): void;
  /** Sets a public trait and draws at once; saved once the person rests. */
  adjust(name: "opacity" | "threshold" | "percentile", value: number): void;
  toggle(name: "map" | "cells" | "showHidden"): void;
  /** What the cards show in large. */
  setCards(kind: CardKind): void;
  /** What-if: multiplies a concept's code, of a merged one those of all parts. */
  scale(concept: Concept, factor: number): void;
  resetScales(): void;
  /** Begins to write a name. */
  startRenaming(id: number, where: "card" | "detail"): void;
  /** Ends it; `null` keeps the name as it was. */
  rename(id: number, name: string | null): void;
  note(id: number, text: string): void;
  toggleHidden(id: number): void;
  togglePinned(id: number): void;
  /** Shows concepts as one. */
  merge(concepts: readonly Concept[]): void;
  /** Shows the parts of a merged concept again. */
  takeApart(concept: Concept): void;
  /** Grows prototypes, or stops. */
  grow(on: boolean): void;
  /** Asks for another number of concepts. */
  setRank(count: number): void;
  undo(): void;
  redo(): void;
  start(): void;
  stop(): void;
  /** Draws before the next frame. */
  redraw(): void;
}

export interface Context {
  model: AnyModel<ConceptTraits>;
  kernel: ConceptKernel;
  state: ViewState;
  history: History;
  act: Actions;
  /** Ends everything that the view began. */
  signal: AbortSignal;
}

/** A part of the view: made once, then patched. */
export interface Part {
  node: HTMLElement;
  update(shown: Shown): void;
}
