/** What the parts of the view share. */
import type { Kernel } from "../../core/kernel";
import type { AnyModel } from "../../core/model";
import type { Counting, Rule, StrategyReply, StrategySent, StrategyTraits } from "../../core/strategy_wire";
import type { Shown, ViewState } from "./state";

export type StrategyKernel = Kernel<StrategySent, StrategyReply>;

export interface Actions {
  /** Chooses photos by their rows, in all views that share the selection; with `add` beside those chosen before. */
  choose(rows: readonly number[], add: boolean): void;
  /** Puts a photo, chosen or not, first among the chosen: it is then looked at. */
  lookAt(row: number): void;
  /** Chooses a concept, or with `add` changes whether it is chosen; one that is chosen alone is left. */
  chooseConcept(id: number, add: boolean): void;
  clear(): void;
  setRule(rule: Rule): void;
  setCounting(counting: Counting): void;
  toggleMistakes(): void;
  toggleLasso(): void;
  /** Shows where a concept is on the photo. */
  showMap(row: number): void;
  /** Says something to screen readers. */
  say(text: string): void;
  start(): void;
  stop(): void;
  /** Draws before the next frame. */
  redraw(): void;
}

export interface Context {
  model: AnyModel<StrategyTraits>;
  kernel: StrategyKernel;
  state: ViewState;
  act: Actions;
  /** Ends everything that the view began. */
  signal: AbortSignal;
}

/** A part of the view: made once, then patched. */
export interface Part {
  node: HTMLElement;
  update(shown: Shown): void;
}
