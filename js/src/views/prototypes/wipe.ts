/** The edge between a photo and what it became: dragged anywhere on the picture, or moved with keys by its handle. */
import { h, on, setAttribute, setText, show } from "../../core/dom";
import type { Context } from "./context";
import type { Proto, Shown, ViewState } from "./state";
import { svg } from "./svg";
import { AFTER, BEFORE, frameWords, wipeWords } from "./words";

/** Where the edge is at first, as a share of the width. */
const MIDDLE = 0.5;
/** What an arrow key moves it by, and a page key. */
const [STEP, LEAP] = [0.02, 0.1];
/** A side narrower than this, as a share of the width, has no name. */
const NARROW = 0.16;

/** How much of the width shows the photo before. */
export function shareOf(state: ViewState): number {
  return state.wipe ?? MIDDLE;
}

/** Where a key moves the edge, or null if it does not. */
export function movedBy(key: string, share: number): number | null {
  const steps: Record<string, number> = {
    ArrowLeft: share - STEP,
    ArrowDown: share - STEP,
    ArrowRight: share + STEP,
    ArrowUp: share + STEP,
    PageDown: share - LEAP,
    PageUp: share + LEAP,
    Home: 0,
    End: 1,
  };
  const to = steps[key];
  return to === undefined ? null : Math.round(100 * Math.max(0, Math.min(1, to))) / 100;
}

export interface Wipe {
  nodes: HTMLElement[];
  /** Puts the handle in its place; takes it away where there is nothing to compare. */
  update(proto: Proto, now: Shown, state: ViewState): void;
}

/** Makes the handle, and the names of both sides. */
export function makeWipe(): Wipe {
  const arrows = svg("path", { d: "M7 5 3 10l4 5M13 5l4 5-4 5" });
  const knob = h("span", { class: "knob", "aria-hidden": "true" });
  knob.append(svg("svg", { viewBox: "0 0 20 20", width: 20, height: 20 }, arrows));
  const grip = h(
    "div",
    { class: "grip", role: "slider", tabindex: 0, "aria-label": BEFORE, "aria-valuemin": 0, hidden: true },
    knob,
  );
  setAttribute(grip, "aria-valuemax", 100);
  const before = h("div", { class: "tag", "aria-hidden": "true", hidden: true }, BEFORE);
  const after = h("div", { class: "tag after", "aria-hidden": "true", hidden: true });
  return {
    nodes: [before, after, grip],
    update(proto, now, state) {
      const possible = proto.seeded && !state.difference;
      const share = shareOf(state);
      show(grip, possible);
      show(before, possible && share >= NARROW);
      show(after, possible && share <= 1 - NARROW);
      if (!possible) return;
      grip.style.left = `clamp(18px, ${100 * share}%, 100% - 18px)`;
      setAttribute(grip, "aria-valuenow", Math.round(100 * share));
      setAttribute(grip, "aria-valuetext", wipeWords(share));
      setText(after, now.frame === null ? AFTER : frameWords(now));
    },
  };
}

/** Moves the edge with the pointer and with keys. */
export function followWipe(
  { act, state, signal }: Context,
  pictures: HTMLElement,
  possible: () => boolean,
): void {
  let dragging: HTMLElement | null = null;
  const move = (event: PointerEvent) => {
    if (!dragging) return;
    const edges = dragging.getBoundingClientRect();
    act.setWipe(Math.max(0, Math.min(1, (event.clientX - edges.left) / edges.width)));
  };
  on(
    pictures,
    "pointerdown",
    (event) => {
      const frame = (event.target as Element).closest<HTMLElement>(".pic");
      if (!frame || !possible() || event.button !== 0) return;
      dragging = frame;
      frame.setPointerCapture(event.pointerId);
      frame.querySelector<HTMLElement>(".grip")?.focus({ preventScroll: true });
      event.preventDefault(); // the focus stays where it was put
      move(event);
    },
    signal,
  );
  on(pictures, "pointermove", move, signal);
  for (const type of ["pointerup", "pointercancel"] as const)
    on(pictures, type, () => (dragging = null), signal);
  on(
    pictures,
    "keydown",
    (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (!(event.target as Element).closest(".grip")) return;
      const to = movedBy(event.key, shareOf(state));
      if (to === null) return;
      act.setWipe(to);
      event.preventDefault();
    },
    signal,
  );
}
