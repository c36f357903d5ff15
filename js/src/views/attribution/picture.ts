/** The photo with its map: sizing, drawing, and reading cells by pointer and keys. */
import { h, on, setAttribute, setText, show } from "../../core/dom";
import { fitCanvas } from "../shared/canvas";
import type { PhotoStore } from "../shared/photos";
import { followKeys, followPointer, seenBox } from "../shared/reading";
import { followSaveKeys, type Saver, type Snapshot } from "../shared/save";
import type { Context, Part } from "./context";
import { colorsOf, legendLine } from "./legend";
import { Overlay, paintScene, type Scene, signsOf, unsureCells } from "./paint";
import type { Shown } from "./state";
import { captionLines, cellWords, jobVerb, OUTSIDE, pictureLabel, pictureWords } from "./words";

/** Tallest picture, in pixels of the page: a portrait must not push the controls out of sight. */
const TALLEST = 620;

export interface PicturePart extends Part {
  update(shown: Shown): void;
  /** Whether the photo that is shown has been drawn. */
  readonly drawn: boolean;
  /** What is seen of the photo; null where there is none. */
  snapshot(): Snapshot | null;
}

/** Makes the picture. */
export function makePicture(
  context: Context,
  photos: PhotoStore,
  saver: Saver,
  label = pictureLabel,
): PicturePart {
  const { signal, state, act, kernel } = context;
  const canvas = h("canvas", { "aria-hidden": "true" });
  const place = h("span");
  const number = h("b");
  const rest = h("span");
  const tag = h(
    "div",
    { class: "tag", "aria-live": "polite", hidden: true },
    h("span", {}, place, number, rest),
  );
  const frame = h("div", { class: "pic", role: "application", tabindex: 0 }, canvas, tag);
  const words = h("span");
  const run = h("button", { class: "link", type: "button" });
  const offer = h("div", { class: "tag offer", hidden: true }, words, run);
  const what = h("b");
  const why = h("p", { class: "why" });
  const todo = h("p");
  const failure = h("div", { class: "failure", role: "alert", hidden: true }, h("p", {}, what), why, todo);
  const node = h("figure", { class: "figure" }, h("div", { class: "stage" }, frame, offer), failure);
  const overlay = new Overlay();
  let shown: Shown | null = null;
  let drawn = false;

  on(run, "click", () => act.start(), signal);
  followSaveKeys(frame, saver, signal);
  followPointer(frame, context, () => shown);
  followKeys(frame, context, () => shown);
  const observer = new ResizeObserver(() => act.redraw());
  observer.observe(frame);
  signal.addEventListener("abort", () => observer.disconnect(), { once: true });

  function draw(
    now: Shown,
    brush: CanvasRenderingContext2D | null,
    scale: number,
    picture = photos.get(now.place),
  ): void {
    if (!brush) return;
    const { width, height } = brush.canvas;
    const { plane, partners } = now;
    const seen = seenBox(now, width, height);
    const map = partners ? drawPartners(now) : drawMap(now);
    paintScene(brush, {
      picture,
      seen,
      cropped: seen.width < width - 1.5 || seen.height < height - 1.5,
      opacity: context.model.get("opacity"),
      wipe: state.wipe,
      grid: plane ? [plane.rows, plane.columns] : [1, 1],
      cell: typeof state.reading === "number" && plane ? state.reading : null,
      pinned: partners?.cell ?? null,
      partners: partners?.found?.partners ?? [],
      dark: (frame.closest(".ww") as HTMLElement | null)?.dataset.theme === "dark",
      scale,
      ...map,
    });
    drawn = picture !== null;
  }

  /** The map of the class, and what is drawn on it. */
  function drawMap(shown: Shown): Pick<Scene, "overlay" | "smooth" | "unsure" | "signs"> {
    const { plane, reading, top } = shown;
    const smooth = !state.cells;
    if (!plane || !reading || !state.map) return { overlay: null, smooth, unsure: [], signs: [] };
    const threshold = context.model.get("threshold");
    const colors = colorsOf(context.model, shown);
    const measured = reading.of ?? { plane, max: top };
    return {
      overlay: overlay.paint(plane, top, colors, threshold, smooth),
      smooth,
      unsure: state.unsure ? unsureCells(measured.plane, measured.max, threshold) : [],
      signs: colors === "signed" ? signsOf(plane, top, threshold) : [],
    };
  }

  /** The map of a cell's partners: cells, since between them nobody looked. */
  function drawPartners({ partners }: Shown): Pick<Scene, "overlay" | "smooth" | "unsure" | "signs"> {
    const { found, plane } = partners ?? {};
    const threshold = context.model.get("threshold");
    const none = { overlay: null, smooth: false, unsure: [], signs: [] };
    if (!found || !plane || !state.map) return none;
    const colors = context.model.get("colormap");
    return { ...none, overlay: overlay.paint(plane, found.max, colors, threshold, false) };
  }

  function snapshot(): Snapshot | null {
    const now = shown;
    if (!now?.image || !photos.get(now.place)) return null;
    const { name, width, height } = now.image;
    const mapped = state.map && (now.plane || now.partners?.plane);
    return {
      image: name,
      width,
      height,
      shown: frame.clientWidth,
      paint: (brush, scale, whole) => draw(now, brush, scale, whole ?? photos.get(now.place)),
      legend: mapped ? [legendLine(context, now)] : [],
      lines: captionLines(context.model, now, Boolean(mapped)),
      name: [
        "where",
        name,
        ...(mapped ? [now.className, now.partners ? "partners" : (now.reading?.index ?? "")] : []),
      ],
    };
  }

  function tell(now: Shown): void {
    const cell =
      typeof state.reading === "number" && now.plane && !state.note ? cellWords(now, state.reading) : null;
    const plain = state.note || (state.reading === "outside" ? OUTSIDE : pictureWords(now, kernel.state));
    setText(place, cell ? cell.place : plain);
    setText(number, cell?.number ?? "");
    setText(rest, cell?.rest ?? "");
    const empty = now.status.state === "empty" && !now.map;
    show(tag, Boolean(cell || plain) && !(empty && state.reading !== "outside"));
    show(offer, empty && state.reading !== "outside");
    setText(words, "Not computed yet");
    show(run, kernel.state !== "saved");
    setText(run, jobVerb(now.status));
    run.disabled = !kernel.reachable;
  }

  function update(now: Shown): void {
    shown = now;
    const { image } = now;
    const ratio = image ? image.width / image.height : 1;
    frame.style.aspectRatio = String(ratio);
    frame.style.maxWidth = `${Math.round(TALLEST * ratio)}px`;
    setAttribute(frame, "aria-label", label(now));
    if (typeof state.reading === "number" && state.reading >= (now.plane?.values.length ?? 0))
      state.reading = null;
    const scale = fitCanvas(canvas, frame);
    draw(now, canvas.getContext("2d"), scale);
    tell(now);
    const { error } = now.status;
    show(failure, now.status.state === "failed" && error !== null);
    setText(what, error?.what ?? "");
    setText(why, error?.why ?? "");
    setText(todo, error?.todo ?? "");
  }

  return {
    node,
    update,
    snapshot,
    get drawn() {
      return drawn;
    },
  };
}
