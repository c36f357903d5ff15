/** Reading cells, and wiping, on a picture. */
import type { Box } from "../../core/box";
import { on } from "../../core/dom";

/** What can be read. */
export interface Readable {
  image: { width: number; height: number; seen: readonly [number, number, number, number] } | null;
  /** Cells of the map; null if there is none. */
  plane: { rows: number; columns: number } | null;
}

interface Context {
  state: {
    /** Cell that is read, or "outside" of what the model sees. */
    reading: number | "outside" | null;
    /** Share of the picture's width left of which the map is drawn. */
    wipe: number | null;
    /** What there is to say about the last click, until the pointer moves on. */
    note?: string;
  };
  act: {
    redraw(): void;
    toggle(name: "map"): void;
    /** Looks for the cells that a cell acts together with, where a view can. */
    findPartners?(cell: number): void;
  };
  signal: AbortSignal;
}

/** A press that moves less than this, in pixels, is not a wipe. */
const STILL = 6;

type Look = () => Readable | null;

/** Box of what the model sees, in pixels of a picture of this size. */
export function seenBox({ image }: Pick<Readable, "image">, width: number, height: number): Box {
  if (!image) return { x: 0, y: 0, width, height };
  const [x0, y0, x1, y1] = image.seen;
  const across = width / image.width;
  const down = height / image.height;
  return { x: x0 * across, y: y0 * down, width: (x1 - x0) * across, height: (y1 - y0) * down };
}

/** What lies at a point of the picture, given in shares of its width and height. */
export function readingAt(shown: Readable, x: number, y: number): number | "outside" | null {
  const seen = seenBox(shown, 1, 1);
  const across = (x - seen.x) / seen.width;
  const down = (y - seen.y) / seen.height;
  if (across < 0 || across >= 1 || down < 0 || down >= 1) return "outside";
  if (!shown.plane) return null;
  const { rows, columns } = shown.plane;
  return Math.floor(down * rows) * columns + Math.floor(across * columns);
}

/** Reads the cell under the pointer; a click looks for its partners, a drag wipes between map and photo. */
export function followPointer(frame: HTMLElement, context: Context, look: Look): void {
  const { state, act, signal } = context;
  let pressed: number | null = null;
  let wiping = false;

  const set = (reading: Context["state"]["reading"]) => {
    if (state.reading === reading) return;
    state.reading = reading;
    state.note = "";
    act.redraw();
  };
  const at = (event: PointerEvent): [number, number] => {
    const box = frame.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  const wipe = (event: PointerEvent) => {
    state.wipe = Math.max(0, Math.min(1, at(event)[0]));
    state.reading = null;
    act.redraw();
  };
  on(
    frame,
    "pointerdown",
    (event) => {
      if (event.button !== 0) return;
      pressed = event.clientX;
      wiping = false;
      frame.setPointerCapture(event.pointerId);
    },
    signal,
  );
  on(
    frame,
    "pointermove",
    (event) => {
      if (pressed !== null && Math.abs(event.clientX - pressed) > STILL && look()?.plane) wiping = true;
      if (pressed !== null && wiping) return wipe(event);
      const shown = look();
      if (shown) set(readingAt(shown, ...at(event)));
    },
    signal,
  );
  on(
    frame,
    "pointerup",
    (event) => {
      const shown = look();
      const cell = pressed !== null && !wiping && shown ? readingAt(shown, ...at(event)) : null;
      pressed = null;
      wiping = false;
      if (typeof cell === "number") act.findPartners?.(cell);
    },
    signal,
  );
  on(
    frame,
    "pointercancel",
    () => {
      pressed = null;
      wiping = false;
    },
    signal,
  );
  on(
    frame,
    "pointerleave",
    () => {
      if (pressed === null) set(null);
    },
    signal,
  );
  on(frame, "blur", () => set(null), signal);
}

/** Arrow keys walk over the cells, from the middle, with Shift they wipe; Enter looks for partners; Space shows the map. */
export function followKeys(frame: HTMLElement, context: Context, look: Look): void {
  const { state, act, signal } = context;
  on(
    frame,
    "keydown",
    (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === " ") {
        event.preventDefault();
        act.toggle("map");
        return;
      }
      if (event.key === "Enter" && typeof state.reading === "number") {
        event.preventDefault();
        act.findPartners?.(state.reading);
        return;
      }
      const wiped = event.shiftKey && look()?.plane ? stepWipe(state.wipe, event.key) : undefined;
      if (wiped !== undefined) {
        event.preventDefault();
        state.wipe = wiped;
        state.reading = null;
        state.note = wiped === null ? "" : `The map is drawn left of ${Math.round(100 * wiped)} %`;
        act.redraw();
        return;
      }
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      const plane = look()?.plane;
      if (!step || !plane) return;
      event.preventDefault();
      state.note = "";
      state.reading = stepCell(state.reading, step as [number, number], plane.rows, plane.columns);
      act.redraw();
    },
    signal,
  );
}

/** The wipe a tenth further left or right; null where all of the map is drawn, undefined for other keys. */
export function stepWipe(from: number | null, key: string): number | null | undefined {
  const by = { ArrowLeft: -1, ArrowRight: 1 }[key];
  if (by === undefined) return undefined;
  const tenths = Math.round(10 * (from ?? 1)) + by;
  return tenths >= 10 ? null : Math.max(0, tenths) / 10;
}

/** The next cell; the first step arrives in the middle. */
export function stepCell(
  from: number | "outside" | null,
  [across, down]: readonly [number, number],
  rows: number,
  columns: number,
): number {
  if (typeof from !== "number") return Math.floor(rows / 2) * columns + Math.floor(columns / 2);
  const column = Math.max(0, Math.min(columns - 1, (from % columns) + across));
  const row = Math.max(0, Math.min(rows - 1, Math.floor(from / columns) + down));
  return row * columns + column;
}
