/** The way up, as a small line: the objective on crops, step by step. */
import { h, on, setAttribute, setText, show } from "../../core/dom";
import { count } from "../../core/format";
import type { Context, Part } from "./context";
import type { Proto, Shown } from "./state";
import { svg } from "./svg";
import { amount, traceWords } from "./words";

const [WIDTH, HEIGHT, PAD] = [320, 56, 4];

/** Step at the right edge: the last, or while that is far away one that leaves as much room again. */
export function lastStep(wanted: number, done: number): number {
  return Math.max(1, Math.min(wanted, Math.max(16, 2 * done)) - 1);
}

/** Points of a trace in the drawing. */
export function tracePoints({ trace, trace_steps: steps, wanted, steps: done }: Proto): [number, number][] {
  const known = trace.flatMap((value, i) => (value === null ? [] : [[steps[i] ?? 0, value] as const]));
  const values = known.map(([, value]) => value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const span = high - low || 1;
  const last = lastStep(wanted, done);
  return known.map(([step, value]) => [
    PAD + ((WIDTH - 2 * PAD) * step) / last,
    HEIGHT - PAD - ((HEIGHT - 2 * PAD) * (value - low)) / span,
  ]);
}

/** Makes the trace. */
export function makeTrace({ signal }: Context): Part {
  const line = svg("polyline", { class: "line" });
  const dot = h("i", { class: "at" });
  const drawing = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", class: "spark" },
    line,
  );
  const words = h("span");
  const reading = h("span", { class: "mut" });
  const box = h("div", { class: "sparkbox" });
  box.append(drawing, dot);
  const node = h(
    "div",
    { class: "trace" },
    h("h3", {}, "The ascent"),
    box,
    h("p", { class: "sm mut two" }, words, reading),
  );
  let shown: Shown | null = null;
  let hover: number | null = null;

  on(
    box,
    "pointermove",
    (event) => {
      const edges = box.getBoundingClientRect();
      hover = Math.max(0, Math.min(1, (event.clientX - edges.left) / Math.max(1, edges.width)));
      read();
    },
    signal,
  );
  on(
    box,
    "pointerleave",
    () => {
      hover = null;
      read();
    },
    signal,
  );

  /** Says the value at the pointer, or at the frame that is drawn. */
  function read(): void {
    const here = shown?.here;
    if (!shown || !here) return;
    const points = tracePoints(here);
    const framed = shown.frame === null ? null : (shown.frames?.steps[shown.frame] ?? null);
    const step = hover !== null ? hover * lastStep(here.wanted, here.steps) : framed;
    const at = step === null ? points.length - 1 : nearest(here.trace_steps, step);
    const [x, y] = points[at] ?? [0, 0];
    dot.style.left = `${(100 * x) / WIDTH}%`;
    dot.style.top = `${y}px`;
    setText(
      reading,
      step === null
        ? ""
        : `step ${count((here.trace_steps[at] ?? 0) + 1)}: ${amount(here.trace[at] ?? Number.NaN)}`,
    );
  }

  return {
    node,
    update(now) {
      shown = now;
      const { here } = now;
      const points = here ? tracePoints(here) : [];
      show(node, points.length > 1);
      if (!here || points.length < 2) return;
      setAttribute(line, "points", points.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" "));
      setAttribute(drawing, "aria-label", `${traceWords(here)}.`);
      setText(words, traceWords(here));
      read();
    },
  };
}

/** Place of the step nearest to one. */
export function nearest(steps: readonly number[], wanted: number): number {
  let best = 0;
  steps.forEach((step, i) => {
    if (Math.abs(step - wanted) < Math.abs((steps[best] ?? 0) - wanted)) best = i;
  });
  return best;
}
