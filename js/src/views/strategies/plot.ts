/** The photos as points: drawing, the pointer and the keys. */
import { h, on, setAttribute, setText, show } from "../../core/dom";
import { onFrame } from "../../core/timing";
import { hueOn, inkOn } from "../concepts/palette";
import { fitCanvas } from "../shared/canvas";
import { CloudLayer, type Drawn, type Size } from "./cloud";
import type { Context, Part } from "./context";
import { type Spot, showAll, toScreen, type Viewport } from "./geometry";
import { type Card, makeCard, type Thumbs } from "./hover";
import { followKeys } from "./keys";
import { followPointer } from "./pointer";
import { LETTERED, outlineMark, type Palette } from "./stamps";
import { type Concept, remember, type Shown } from "./state";
import { photoLabel } from "./words";

/** Room round the photos, in pixels of the page. */
const PAD = 24;

/** What the pointer and the keys need of the plot. */
export interface Plot {
  frame: HTMLElement;
  /** What is seen now, and what shows all. */
  view(): Viewport;
  whole(): Viewport;
  size(): Size;
  shown(): Shown;
  /** Looks elsewhere; null shows all. */
  look(view: Viewport | null): void;
  /** Draws the photos again, and nothing else. */
  redraw(): void;
}

export interface PlotPart extends Part {
  /** Whether the photos have been drawn. */
  readonly drawn: boolean;
  /** Paints what is seen on another canvas. */
  paint(brush: CanvasRenderingContext2D, scale: number): void;
  readonly frame: HTMLElement;
}

/** Makes the plot. */
export function makePlot(context: Context, thumbs: Thumbs, save: () => void): PlotPart {
  const { model, state, signal } = context;
  const base = h("canvas", { class: "base", "aria-hidden": "true" });
  const over = h("canvas", { class: "over", "aria-hidden": "true" });
  const card = makeCard(context, thumbs);
  const hint = h("p", { class: "tag hint", hidden: true });
  const frame = h(
    "div",
    { class: "cloud", role: "application", tabindex: 0, "aria-roledescription": "map of photos" },
    base,
    over,
    card.node,
    hint,
  );
  const blank = h("p", { class: "mut blank" });
  const node = h("div", { class: "plot" }, frame, blank);
  let shown: Shown | null = null;
  let [size, drawn]: [Size, boolean] = [{ width: 0, height: 0, scale: 1 }, false];
  const redraw = onFrame(draw, signal);
  const layer = new CloudLayer(redraw.request, signal);
  const observer = new ResizeObserver(() => redraw.request());
  observer.observe(frame);
  signal.addEventListener("abort", () => observer.disconnect(), { once: true });

  const whole = remember((points: Shown["points"], width: number, height: number) =>
    points ? showAll(points, width, height, PAD) : { cx: 0, cy: 0, scale: 1 },
  );
  const colours = remember((dark: boolean, of: string): Palette => {
    void of;
    const style = getComputedStyle(frame);
    const read = (name: string) => style.getPropertyValue(name).trim();
    return { dark, ground: read("--wash"), ink: read("--ink") };
  });
  const drawnOf = remember(
    (
      points: NonNullable<Shown["points"]>,
      concepts: Concept[],
      rule: Drawn["rule"],
      lit: Uint8Array,
      isShown: Shown["isShown"],
      chosen: number[],
      palette: Palette,
    ): Drawn => ({ points, concepts, rule, lit, isShown, chosen, palette }),
  );
  const plot: Plot = {
    frame,
    view: () => state.viewport ?? plot.whole(),
    whole: () => whole(shown?.points ?? null, size.width, size.height),
    size: () => size,
    shown: () => shown as Shown,
    look(view) {
      state.viewport = view;
      redraw.request();
    },
    redraw: redraw.request,
  };

  function drawing(now: Shown): Drawn | null {
    if (!now.points) return null;
    const palette = colours(state.dark, frame.closest<HTMLElement>(".ww")?.dataset.theme ?? "");
    return drawnOf(now.points, now.concepts, model.get("by"), now.lit, now.isShown, now.chosen, palette);
  }

  function draw(): void {
    const of = shown && drawing(shown);
    const scale = fitCanvas(base, frame);
    fitCanvas(over, frame);
    if (size.width !== frame.clientWidth || size.height !== frame.clientHeight || size.scale !== scale)
      size = { width: frame.clientWidth, height: frame.clientHeight, scale };
    const [under, brush] = [base.getContext("2d"), over.getContext("2d")];
    if (!shown || !of || !under || !brush || size.width === 0) return;
    layer.show(under, plot.view(), size, of);
    brush.clearRect(0, 0, over.width, over.height);
    brush.save();
    brush.scale(scale, scale);
    paintOver(brush, plot, of, layer.markSize, state);
    brush.restore();
    setAttribute(frame, "data-closer", plot.view().scale > 1.01 * plot.whole().scale || null);
    updateCard(card, plot, state);
    drawn = true;
  }

  followPointer(context, plot, hint);
  followKeys(context, plot, save);
  on(frame, "blur", () => plot.redraw(), signal);

  return {
    node,
    frame,
    update(now) {
      if (shown?.points !== now.points && shown?.points?.count !== now.points?.count) state.viewport = null;
      shown = now;
      const { points, status } = now;
      if (state.focused >= (points?.count ?? 0)) state.focused = -1;
      if (state.hovered >= (points?.count ?? 0)) state.hovered = -1;
      show(frame, points !== null);
      show(blank, points === null);
      setText(
        blank,
        status.state === "computing" ? "Photos appear here as they are looked at." : "No photos yet.",
      );
      setAttribute(frame, "data-tool", state.lassoing ? "lasso" : "pan");
      const told =
        state.focused >= 0
          ? photoLabel(now, state.focused, model.get("_classes") ?? [])
          : "Photos, near when they are read for the same reasons. Arrow keys walk, Enter chooses.";
      setAttribute(frame, "aria-label", told);
      redraw.request();
    },
    paint(brush, scale) {
      const of = shown && drawing(shown);
      if (!of) return;
      const canvas = document.createElement("canvas");
      layer.paintOn(canvas, plot.view(), { ...size, scale }, of);
      brush.drawImage(canvas, 0, 0);
      brush.save();
      brush.scale(scale, scale);
      paintGroups(brush, plot, of, layer.markSize);
      brush.restore();
    },
    get drawn() {
      return drawn;
    },
  };
}

/** Where a photo is, in pixels of the frame. */
export function spotOf(plot: Plot, row: number): Spot | null {
  const { points } = plot.shown();
  if (!points || row < 0) return null;
  const { width, height } = plot.size();
  return toScreen(plot.view(), points.x[row] as number, points.y[row] as number, width, height);
}

function isSeen(plot: Plot, at: Spot): boolean {
  const { width, height } = plot.size();
  return at.x >= 0 && at.y >= 0 && at.x <= width && at.y <= height;
}

function updateCard(card: Card, plot: Plot, state: Context["state"]): void {
  const walking = plot.frame.matches(":focus-visible") && state.focused >= 0;
  const row = state.hovered >= 0 ? state.hovered : walking ? state.focused : -1;
  const at = state.lasso.length > 0 ? null : spotOf(plot, row);
  card.update(plot.shown(), at && isSeen(plot, at) ? at : null, row, plot.frame);
}

/** Rings, the lasso, and the letters of groups. */
function paintOver(
  brush: CanvasRenderingContext2D,
  plot: Plot,
  of: Drawn,
  markSize: number,
  state: Context["state"],
): void {
  paintGroups(brush, plot, of, markSize);
  const { here, points } = plot.shown();
  const ring = (row: number, grow: number, width: number) => {
    const at = spotOf(plot, row);
    if (!at || !points) return;
    outlineMark(brush, points.marks[row] as number, at.x, at.y, markSize / 2 + grow);
    brush.lineWidth = width;
    brush.strokeStyle = of.palette.ink;
    brush.stroke();
  };
  if (here !== null && plot.shown().isShown(here)) ring(here, 6, 1.5);
  if (state.hovered >= 0) ring(state.hovered, 3, 1.5);
  if (state.focused >= 0 && plot.frame.matches(":focus-visible")) ring(state.focused, 5, 2.5);
  if (state.lasso.length > 1) paintLasso(brush, plot, state.lasso, of.palette.ink);
}

function paintLasso(brush: CanvasRenderingContext2D, plot: Plot, lasso: readonly Spot[], ink: string): void {
  const { width, height } = plot.size();
  brush.beginPath();
  for (const place of lasso) {
    const at = toScreen(plot.view(), place.x, place.y, width, height);
    brush.lineTo(at.x, at.y);
  }
  brush.closePath();
  brush.globalAlpha = 0.08;
  brush.fillStyle = ink;
  brush.fill();
  brush.globalAlpha = 1;
  brush.lineWidth = 1.5;
  brush.setLineDash([5, 4]);
  brush.strokeStyle = ink;
  brush.stroke();
  brush.setLineDash([]);
}

/** Where marks have no room for letters, one in the middle of each group says whose it is. */
function paintGroups(brush: CanvasRenderingContext2D, plot: Plot, of: Drawn, markSize: number): void {
  if (markSize >= LETTERED) return;
  const { middles, chosenConcepts, concepts } = plot.shown();
  brush.font = "600 11px system-ui, sans-serif";
  brush.textAlign = "center";
  brush.textBaseline = "middle";
  for (const [row, point] of middles) {
    const concept = concepts[row];
    const at = spotOf(plot, point);
    if (!concept || !at || !isSeen(plot, at)) continue;
    if (chosenConcepts.length > 0 && !chosenConcepts.includes(row)) continue;
    const hue = hueOn(concept.hue, of.palette.dark);
    brush.beginPath();
    brush.arc(at.x, at.y, 10.5, 0, 2 * Math.PI);
    brush.fillStyle = of.palette.ground;
    brush.fill();
    brush.beginPath();
    brush.arc(at.x, at.y, 8.5, 0, 2 * Math.PI);
    brush.fillStyle = hue;
    brush.fill();
    if (concept.texture > 0) {
      brush.lineWidth = 1.25;
      brush.strokeStyle = of.palette.ink;
      brush.stroke();
    }
    brush.fillStyle = inkOn(hue);
    brush.fillText(concept.letter, at.x, at.y + 0.5);
  }
}
