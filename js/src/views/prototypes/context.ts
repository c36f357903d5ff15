/** What the parts of the view share. */
import type { Kernel } from "../../core/kernel";
import type { AnyModel } from "../../core/model";
import type { ProtoReply, ProtoSent, ProtoTraits } from "../../core/proto_wire";
import type { Shown, ViewState } from "./state";

export type ProtoKernel = Kernel<ProtoSent, ProtoReply>;

export interface Actions {
  /** Looks at a prototype, in all views that share the selection where it is of a concept or a class. */
  choose(number: number): void;
  /** Selects a photo, for the other views. */
  choosePhoto(name: string): void;
  setPercentile(value: number): void;
  toggleTransparency(): void;
  /** Looks at a frame of the way; null at what it has become. */
  setFrame(frame: number | null): void;
  toggle(name: "together" | "photos" | "difference"): void;
  setWipe(share: number | null): void;
  start(): void;
  stop(): void;
  /** Draws before the next frame. */
  redraw(): void;
}

export interface Context {
  model: AnyModel<ProtoTraits>;
  kernel: ProtoKernel;
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
