/** Frames, delays and announcements that end with a signal. */

export interface Redraw {
  /** Draws before the next frame; many requests are one drawing. */
  request(): void;
  /** Draws now, and drops what was requested. */
  now(): void;
}

/** What the last drawing took can be read from outside under this name. */
const DRAWING = "ww-draw";

/** Coalesces drawings by animation frame. */
export function onFrame(draw: () => void, signal: AbortSignal): Redraw {
  const measured = () => {
    const start = performance.now();
    draw();
    performance.clearMeasures(DRAWING);
    performance.measure(DRAWING, { start, end: performance.now() });
  };
  let frame = 0;
  const cancel = () => {
    if (frame) cancelAnimationFrame(frame);
    frame = 0;
  };
  signal.addEventListener("abort", cancel, { once: true });
  return {
    request() {
      if (frame || signal.aborted) return;
      frame = requestAnimationFrame(() => {
        frame = 0;
        measured();
      });
    },
    now() {
      cancel();
      if (!signal.aborted) measured();
    },
  };
}

/** Calls once things are quiet for a while; on abort at once, so that nothing is lost. */
export function debounce(run: () => void, wait: number, signal: AbortSignal): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const fire = () => {
    timer = undefined;
    run();
  };
  signal.addEventListener(
    "abort",
    () => {
      if (timer === undefined) return;
      clearTimeout(timer);
      fire();
    },
    { once: true },
  );
  return () => {
    clearTimeout(timer);
    timer = setTimeout(fire, wait);
  };
}

/** Writes texts to a live region, the newest one at most every `wait` milliseconds. */
export function announcer(region: Element, wait: number, signal: AbortSignal): (text: string) => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let newest = "";
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  const say = () => {
    timer = undefined;
    if (region.textContent === newest) return;
    region.textContent = newest;
    timer = setTimeout(say, wait);
  };
  return (text) => {
    newest = text;
    if (timer === undefined && !signal.aborted) say();
  };
}
