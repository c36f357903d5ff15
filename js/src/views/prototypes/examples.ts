/** What really excites the target, among the photos at hand. */
import { h, on, patchChildren, setAttribute, setText, show } from "../../core/dom";
import { counted } from "../../core/format";
import { walkWithArrows } from "../../core/roving";
import { outline } from "../shared/canvas";
import type { Bitmaps } from "./bitmaps";
import type { Context, Part } from "./context";
import { makeScale } from "./scale";
import type { Shown } from "./state";
import { amount, CAUTIONS, exampleLabel } from "./words";

/** Pixels of a tile's canvas for one of the sprite. */
const SHARP = 2;

/** Makes the photos, how they compare, and what to keep in mind. */
export function makeExamples(context: Context, bitmaps: Bitmaps): Part {
  const { model, state, act, signal } = context;
  const title = h("span", { class: "mut" });
  const photos = h(
    "button",
    { class: "tog", type: "button", title: "Whole photos, with the place marked" },
    "Photos",
  );
  const group = h("div", { class: "examples", role: "group", "aria-label": "Photos that excite it most" });
  const empty = h("p", { class: "mut sm" });
  const caution = h("p", { class: "caution sm" });
  const scale = makeScale();
  const node = h(
    "section",
    { class: "real", "aria-label": "What really excites it" },
    h("div", { class: "bar" }, h("h2", {}, "What really excites it ", title), photos),
    group,
    empty,
    caution,
    scale.node,
  );
  let stop = 0;
  let shown: Shown | null = null;
  on(photos, "click", () => act.toggle("photos"), signal);
  on(
    group,
    "click",
    (event) => {
      const button = (event.target as Element).closest<HTMLElement>("[data-key]");
      const example = button && shown?.examples?.top[Number(button.dataset.key)];
      if (example) act.choosePhoto(example.image);
    },
    signal,
  );
  walkWithArrows(group, (button) => setStop(Number(button.dataset.key)), signal);

  function setStop(place: number): void {
    stop = place;
    [...group.children].forEach((button, i) => {
      setAttribute(button, "tabindex", i === Math.min(stop, group.children.length - 1) ? 0 : -1);
    });
  }

  function make(): HTMLElement {
    return h(
      "button",
      { type: "button" },
      h("canvas", { "aria-hidden": "true" }),
      h("span", { class: "sm", "aria-hidden": "true" }),
    );
  }

  function update(button: HTMLElement, place: number): void {
    const example = shown?.examples?.top[place];
    const bitmap = bitmaps.get(model.get("_tiles"));
    if (!example) return;
    setAttribute(button, "aria-label", exampleLabel(example, place));
    setAttribute(button, "title", example.image);
    setText(button.lastElementChild as Element, example.value === null ? "" : amount(example.value));
    const canvas = button.firstElementChild as HTMLCanvasElement;
    const brush = canvas.getContext("2d");
    if (!bitmap || !brush) return;
    const [side, columns] = [model.get("_tile_side"), model.get("_tile_columns")];
    const whole = state.photos || example.crop === null;
    const tile = whole ? example.photo : (example.crop as number);
    canvas.width = canvas.height = side * SHARP;
    brush.imageSmoothingQuality = "high";
    const from = [(tile % columns) * side, Math.floor(tile / columns) * side] as const;
    brush.drawImage(bitmap, from[0], from[1], side, side, 0, 0, canvas.width, canvas.height);
    if (!whole || example.crop === null) return;
    const [left, top, right, bottom] = example.window.map((share) => share * canvas.width) as [
      number,
      number,
      number,
      number,
    ];
    outline(brush, { x: left, y: top, width: right - left, height: bottom - top }, SHARP);
  }

  return {
    node,
    update(now) {
      shown = now;
      const { examples, here } = now;
      show(node, here !== null);
      const top = examples?.top ?? [];
      setText(title, examples?.count ? `of ${counted(examples.count, "photo")}` : "");
      show(
        photos,
        top.some(({ crop }) => crop !== null),
      );
      setAttribute(photos, "aria-pressed", state.photos ? "true" : "false");
      patchChildren(
        group,
        top.map((_, i) => String(i)),
        make,
      ).forEach(update);
      setStop(stop);
      show(group, top.length > 0);
      setText(empty, examples?.reason || (top.length ? "" : "No photo of this target is stored here."));
      show(empty, top.length === 0);
      setText(caution, examples?.caveats.join(" ") ?? "");
      show(caution, (examples?.caveats.length ?? 0) > 0);
      scale.update(now);
    },
  };
}

/** Makes what there is to keep in mind. */
export function makeCautions(): HTMLElement {
  const told = CAUTIONS.map(([text, paper]) => {
    const link = h(
      "a",
      { href: `https://arxiv.org/abs/${paper}`, target: "_blank", rel: "noopener noreferrer" },
      `arXiv:${paper}`,
    );
    return h("p", {}, `${text} `, link);
  });
  return h(
    "section",
    { class: "cautions sm mut", "aria-label": "To keep in mind" },
    h("h3", {}, "Not data"),
    ...told,
  );
}
