/** The pointer on the photos: hover, choose, move, look closer, and draw a lasso. */
import { on, setText, show } from "../../core/dom";
import type { Context } from "./context";
import { insideOf, panBy, type Spot, toPlane, toScreen, type Viewport, zoomAt } from "./geometry";
import type { Plot } from "./plot";

/** How near the pointer has to be, and how far a press may move and still be a click, in pixels of the page. */
const [NEAR, STILL] = [12, 4];
/** Room between two corners of a lasso. */
const STEP = 4;
const PER_NOTCH = 0.0016;
const FOCUS_HINT = "Click, or hold Ctrl, to look closer with the wheel";
const HINT_FOR = 1_600;

interface Press {
  start: Spot;
  last: Spot;
  moved: boolean;
  lasso: boolean;
  add: boolean;
}

/** Follows the pointer until the view ends. */
export function followPointer({ state, act, signal }: Context, plot: Plot, hint: HTMLElement): void {
  const { frame } = plot;
  const down = new Map<number, Spot>();
  let press: Press | null = null;
  /** Distance of two fingers, and what was seen when they came down. */
  let pinch: { distance: number; middle: Spot; view: Viewport } | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });

  const spot = (event: MouseEvent): Spot => {
    const edges = frame.getBoundingClientRect();
    return { x: event.clientX - edges.left, y: event.clientY - edges.top };
  };
  const plane = (at: Spot): Spot => toPlane(plot.view(), at, plot.size().width, plot.size().height);
  const under = (at: Spot): number => {
    const { grid, isShown } = plot.shown();
    const place = plane(at);
    return grid?.nearest(place.x, place.y, NEAR / plot.view().scale, isShown) ?? -1;
  };
  const hover = (row: number) => {
    if (row === state.hovered) return;
    state.hovered = row;
    frame.style.cursor = row >= 0 && !state.lassoing ? "pointer" : "";
    plot.redraw();
  };
  const zoom = (by: number, at: Spot) => {
    const { width, height } = plot.size();
    plot.look(zoomAt(plot.view(), by, at, width, height, plot.whole().scale));
  };

  function drag(at: Spot): void {
    if (!press) return;
    if (!press.moved && Math.hypot(at.x - press.start.x, at.y - press.start.y) < STILL) return;
    press.moved = true;
    hover(-1);
    if (press.lasso) {
      const last = state.lasso.at(-1);
      const { width, height } = plot.size();
      const before = last && toScreen(plot.view(), last.x, last.y, width, height);
      if (!before) state.lasso = [plane(press.start)];
      if (!before || Math.hypot(at.x - before.x, at.y - before.y) >= STEP) state.lasso.push(plane(at));
      plot.redraw();
      return;
    }
    plot.look(panBy(plot.view(), at.x - press.last.x, at.y - press.last.y));
    press.last = at;
  }

  function finish(at: Spot): void {
    const ended = press;
    press = null;
    if (!ended) return;
    const { points, grid, isShown } = plot.shown();
    if (ended.lasso && ended.moved && points && grid) {
      const line = state.lasso;
      state.lasso = [];
      act.choose(insideOf(points, grid, line, isShown), ended.add);
    } else if (!ended.moved) {
      const row = under(at);
      if (row >= 0) {
        state.focused = row;
        act.choose([row], ended.add);
      }
    }
    plot.redraw();
  }

  on(
    frame,
    "pointerdown",
    (event) => {
      if (event.button !== 0 || !plot.shown()?.points) return;
      const at = spot(event);
      down.set(event.pointerId, at);
      frame.setPointerCapture(event.pointerId);
      if (down.size === 2) {
        const [a, b] = [...down.values()] as [Spot, Spot];
        press = null;
        state.lasso = [];
        const middle = { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
        pinch = { distance: Math.hypot(a.x - b.x, a.y - b.y), middle, view: plot.view() };
        return;
      }
      const lasso = state.lassoing || event.shiftKey;
      press = { start: at, last: at, moved: false, lasso, add: event.shiftKey };
    },
    signal,
  );
  on(
    frame,
    "pointermove",
    (event) => {
      const at = spot(event);
      if (down.has(event.pointerId)) down.set(event.pointerId, at);
      if (pinch && down.size === 2) {
        const [a, b] = [...down.values()] as [Spot, Spot];
        const { width, height } = plot.size();
        const by = Math.hypot(a.x - b.x, a.y - b.y) / Math.max(1, pinch.distance);
        const closer = zoomAt(pinch.view, by, pinch.middle, width, height, plot.whole().scale);
        plot.look(panBy(closer, (a.x + b.x) / 2 - pinch.middle.x, (a.y + b.y) / 2 - pinch.middle.y));
      } else if (press) drag(at);
      else if (plot.shown()?.points) hover(under(at));
    },
    signal,
  );
  for (const type of ["pointerup", "pointercancel"] as const)
    on(
      frame,
      type,
      (event) => {
        down.delete(event.pointerId);
        if (down.size < 2) pinch = null;
        if (type === "pointerup") finish(spot(event));
        else {
          press = null;
          state.lasso = [];
          plot.redraw();
        }
      },
      signal,
    );
  on(frame, "pointerleave", () => press === null && hover(-1), signal);
  on(
    frame,
    "dblclick",
    (event) => {
      if (under(spot(event)) < 0) plot.look(null);
    },
    signal,
  );
  // The page scrolls under the wheel, unless the plot has the focus or Ctrl is held, as a pinch on a touchpad does.
  frame.addEventListener(
    "wheel",
    (event) => {
      const focused = (frame.getRootNode() as ShadowRoot).activeElement === frame;
      if (!event.ctrlKey && !event.metaKey && !focused) {
        setText(hint, FOCUS_HINT);
        show(hint, true);
        clearTimeout(timer);
        timer = setTimeout(() => show(hint, false), HINT_FOR);
        return;
      }
      event.preventDefault();
      const lines = event.deltaMode === 1 ? 30 : 1;
      const speed = event.ctrlKey ? 4 : 1;
      zoom(Math.exp(-event.deltaY * lines * speed * PER_NOTCH), spot(event));
    },
    { signal, passive: false },
  );
}
