/** The photo with its concepts, and what belongs to drawing them. */
import { h, on, setAttribute, setText, show } from "../../core/dom";
import { percent } from "../../core/format";
import { cellBox, fitCanvas, outline, paintUnseen, paintWipe } from "../shared/canvas";
import type { PhotoStore } from "../shared/photos";
import { followKeys, followPointer, seenBox } from "../shared/reading";
import { followSaveKeys, makeSaver, type Saver, type Snapshot } from "../shared/save";
import { makeChip, paintChip } from "./chip";
import type { Context, Part } from "./context";
import { legendLine } from "./legend";
import type { Maps } from "./maps";
import { ConceptOverlay, paintMarks } from "./overlay";
import { hueOn } from "./palette";
import { makeSegments } from "./segments";
import type { Shown } from "./state";
import { captionLines, cellWords, KINDS, NO_PHOTOS, OUTSIDE, pictureLabel, pictureWords } from "./words";

/** Tallest picture, in pixels of the page. */
const TALLEST = 560;

export interface PicturePart extends Part {
  /** Whether the photo that is shown has been drawn. */
  readonly drawn: boolean;
  saver: Saver;
}

/** Makes the picture. */
export function makePicture(context: Context, photos: PhotoStore, maps: Maps): PicturePart {
  const { model, signal, state, act, kernel } = context;
  const canvas = h("canvas", { "aria-hidden": "true" });
  const tag = h("div", { class: "tag", "aria-live": "polite", hidden: true });
  const frame = h("div", { class: "pic", role: "application", tabindex: 0 }, canvas, tag);
  const lack = h("p", { class: "mut sm" });
  const none = h("div", { class: "nophotos" }, h("p", {}, NO_PHOTOS), lack);
  const [what, why, todo] = [h("b"), h("p", { class: "why" }), h("p")];
  const failure = h("div", { class: "failure", role: "alert", hidden: true }, h("p", {}, what), why, todo);
  const node = h("figure", { class: "figure" }, h("div", { class: "stage" }, frame, none), failure);
  const overlay = new ConceptOverlay();
  let shown: Shown | null = null;
  let drawn = false;
  let told = "";

  const saver = makeSaver(() => snapshot(), kernel, signal);
  followSaveKeys(frame, saver, signal);
  followPointer(frame, context, () => shown);
  followKeys(frame, context, () => shown);
  const observer = new ResizeObserver(() => act.redraw());
  observer.observe(frame);
  signal.addEventListener("abort", () => observer.disconnect(), { once: true });

  const pictureOf = (now: Shown) =>
    photos.of(model.get("_large")?.[now.image?.name ?? ""]) ?? photos.get(now.place);

  function draw(
    now: Shown,
    brush: CanvasRenderingContext2D | null,
    scale: number,
    picture = pictureOf(now),
  ): void {
    drawn = picture !== null || now.image === null;
    if (!brush) return;
    const { width, height } = brush.canvas;
    brush.clearRect(0, 0, width, height);
    if (!picture) return;
    brush.imageSmoothingQuality = "high";
    brush.drawImage(picture.bitmap, 0, 0, width, height);
    const seen = seenBox(now, width, height);
    const marks = state.map
      ? overlay.paint(now.layers, model.get("threshold"), !state.cells, state.dark)
      : [];
    if (state.map && now.layers.length > 0) {
      const right = state.wipe === null ? width : state.wipe * width;
      brush.save();
      brush.beginPath();
      brush.rect(seen.x, seen.y, Math.max(0, Math.min(seen.width, right - seen.x)), seen.height);
      brush.clip();
      brush.globalAlpha = model.get("opacity");
      brush.drawImage(picture.muted, 0, 0, width, height);
      brush.imageSmoothingEnabled = !state.cells;
      if (marks.length > 0) brush.drawImage(overlay.canvas, seen.x, seen.y, seen.width, seen.height);
      brush.globalAlpha = 1;
      brush.imageSmoothingEnabled = true;
      const places = marks.map(({ layer, x, y }) => ({
        letter: layer.concept.letter,
        hue: hueOn(layer.concept.hue, state.dark),
        x: seen.x + x * seen.width,
        y: seen.y + y * seen.height,
      }));
      paintMarks(brush, places, seen, scale);
      brush.restore();
    }
    if (seen.width < width - 1.5 || seen.height < height - 1.5) paintUnseen(brush, seen, scale, state.dark);
    const { plane } = now;
    if (typeof state.reading === "number" && plane)
      outline(brush, cellBox(state.reading, [plane.rows, plane.columns], seen), scale);
    if (state.wipe !== null && now.layers.length > 0) paintWipe(brush, state.wipe * width, height, scale);
  }

  function snapshot(): Snapshot | null {
    const now = shown;
    if (!now?.image || !pictureOf(now)) return null;
    const layers = state.map ? now.layers : [];
    return {
      image: now.image.name,
      width: now.image.width,
      height: now.image.height,
      shown: frame.clientWidth,
      paint: (brush, scale, whole) => draw(now, brush, scale, whole ?? pictureOf(now)),
      legend: layers.map((layer) => legendLine(layer, now, model, state.dark)),
      lines: captionLines(model, now, state.map),
      name: [
        "concepts",
        now.image.name,
        ...layers.map(({ concept }) => concept.title),
        now.missing ? "codes" : now.kind,
      ],
    };
  }

  /** What stands over the picture: a cell's values, or what is missing. */
  function tell(now: Shown): void {
    const cell = typeof state.reading === "number" && now.plane ? cellWords(now, state.reading) : null;
    const given = model.get("_model");
    const reason = given?.given === false ? given.reason : "";
    const plain =
      state.reading === "outside" ? OUTSIDE : pictureWords(now, kernel.state, maps.refusal(now), reason);
    const letters = now.layers.slice(0, 4).map(({ concept }) => concept);
    const key = JSON.stringify([
      cell?.place,
      cell?.values.map(([, v]) => v),
      plain,
      letters,
      state.dark,
      state.map,
    ]);
    if (key === told) return;
    told = key;
    const chips = letters.flatMap((concept, i) => {
      const chip = makeChip();
      paintChip(chip, concept, state.dark);
      const words = cell ? (cell.values[i]?.[1] ?? "") : letters.length < 4 ? concept.title : "";
      return words ? [chip, h("b", {}, words)] : [chip];
    });
    const more = now.layers.length - letters.length;
    const words = [
      cell?.place ?? "",
      more > 0 ? `and ${more} more` : "",
      state.reading === "outside" || !cell ? plain : "",
    ];
    const shownChips = state.map && state.reading !== "outside" ? chips : [];
    tag.replaceChildren(...shownChips, ...words.filter(Boolean).map((text) => h("span", {}, text)));
    show(tag, tag.childElementCount > 0);
  }

  return {
    node,
    update(now) {
      shown = now;
      const { image } = now;
      const ratio = image ? image.width / image.height : 1;
      show(frame, image !== null || now.awaited);
      show(none, image === null && !now.awaited && now.bank !== null);
      setText(lack, model.get("_model")?.photos ?? "");
      frame.style.aspectRatio = String(ratio);
      frame.style.maxWidth = `${Math.round(TALLEST * ratio)}px`;
      setAttribute(frame, "aria-label", pictureLabel(now));
      if (typeof state.reading === "number" && state.reading >= (now.plane?.values.length ?? 0))
        state.reading = null;
      const scale = fitCanvas(canvas, frame);
      draw(now, canvas.getContext("2d"), scale);
      tell(now);
      const { error, state: working } = now.status;
      show(failure, working === "failed" && error !== null);
      setText(what, error?.what ?? "");
      setText(why, error?.why ?? "");
      setText(todo, error?.todo ?? "");
    },
    saver,
    get drawn() {
      return drawn;
    },
  };
}

/** Makes the line above the picture: which concepts, and which kind of map. */
export function makePictureBar(context: Context): Part {
  const { act, signal } = context;
  const name = h("span", { class: "mut" });
  const kinds = makeSegments("Kind of map", KINDS, act.setKind, signal);
  const node = h("div", { class: "bar picbar" }, h("h2", {}, "Where ", name), kinds.node);
  return {
    node,
    update(shown) {
      const [only] = shown.layers;
      const many = shown.layers.length;
      setText(
        name,
        many === 0
          ? "the concepts are"
          : many === 1 && only
            ? `${only.concept.title} is`
            : `${many} concepts are`,
      );
      kinds.update(shown.kind);
      show(kinds.node, shown.image !== null);
      show(node, shown.image !== null || shown.awaited);
    },
  };
}

const SLIDERS = [
  ["opacity", "Opacity", 100],
  ["threshold", "Threshold", 90],
] as const;

/** Makes layers, sliders, and the buttons that keep the picture. */
export function makeDrawing({ model, state, act, signal }: Context, saver: Saver): Part {
  const toggles = (
    [
      ["map", "Map", "Shows the concepts over the photo"],
      ["cells", "Cells", "Shows the layer's own places, without smoothing"],
    ] as const
  ).map(([name, text, title]) => {
    const button = h("button", { class: "tog", type: "button", title }, text);
    on(button, "click", () => act.toggle(name), signal);
    return { name, button };
  });
  const sliders = SLIDERS.map(([name, text, max]) => {
    const input = h("input", { type: "range", min: 0, max, step: 1 });
    const output = h("output");
    on(input, "input", () => act.adjust(name, Number(input.value) / 100), signal);
    return {
      name,
      max,
      input,
      output,
      node: h("label", { class: "sl" }, h("span", { class: "mut" }, text), input, output),
    };
  });
  const layers = h(
    "div",
    { class: "toggles", role: "group", "aria-label": "Layers" },
    ...toggles.map(({ button }) => button),
  );
  const node = h(
    "div",
    { class: "drawing" },
    h("div", { class: "row" }, layers, saver.node),
    h("div", { class: "sliders" }, ...sliders.map((s) => s.node)),
  );
  return {
    node,
    update(shown) {
      show(node, shown.image !== null);
      for (const { name, button } of toggles)
        setAttribute(button, "aria-pressed", state[name] ? "true" : "false");
      for (const { name, max, input, output } of sliders) {
        const value = Math.round(100 * model.get(name));
        if (Number(input.value) !== value) input.value = String(value);
        input.style.setProperty("--v", `${(100 * value) / max}%`);
        setAttribute(input, "aria-valuetext", `${value} %`);
        setText(output, percent(value / 100));
      }
    },
  };
}
