/** What the parts of the view share. */
import type { Kernel } from "../../core/kernel";
import type { AnyModel } from "../../core/model";
import type { LayerName, PublicTraits } from "../../core/wire";
import type { Shown, ViewState } from "./state";

export interface Actions {
  selectImage(name: string): void;
  /** `null` follows the predicted class of each image. */
  selectClass(id: number | null): void;
  /** Sets a public trait and draws at once; saved once the person rests. */
  adjust(name: "opacity" | "threshold", value: number): void;
  /** Sets a public trait, draws and saves. */
  choose<K extends "colormap" | "score" | "scale" | "selected_method">(name: K, value: PublicTraits[K]): void;
  /** Shows layers side by side; one of them, alone; none, the one that was shown before. */
  layOut(layers: readonly LayerName[]): void;
  /** Looks for the cells that a cell acts together with; for the one that is shown already, goes back. */
  findPartners(cell: number): void;
  /** Goes back from the partners to the map. */
  leavePartners(): void;
  toggle(name: "map" | "unsure" | "cells"): void;
  start(): void;
  stop(): void;
  /** Draws before the next frame. */
  redraw(): void;
}

export interface Context {
  model: AnyModel;
  kernel: Kernel;
  state: ViewState;
  act: Actions;
  /** Ends everything that the view began. */
  signal: AbortSignal;
}

/** A part of the view: made once, then patched. */
export interface Part {
  node: HTMLElement;
  /** `panels`: what stands side by side, if more than one map is shown. */
  update(shown: Shown, panels: readonly Shown[]): void;
}
