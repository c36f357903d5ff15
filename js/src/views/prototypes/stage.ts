/** The prototype that is looked at, alone or beside the others of its target. */
import { h, icon, on, patchChildren, setAttribute, setText, show } from "../../core/dom";
import { fitCanvas } from "../shared/canvas";
import { makeAbout, makePopover } from "../shared/popover";
import type { Bitmaps } from "./bitmaps";
import { paintChip } from "./chip";
import type { Context, Part } from "./context";
import {
  bestPieces,
  fadeOf,
  framePieces,
  type Pieces,
  paintBefore,
  paintDifference,
  paintProto,
} from "./painting";
import type { Proto, Shown } from "./state";
import { followWipe, makeWipe, shareOf, type Wipe } from "./wipe";
import { CHANGED, frameWords, pictureLabel, readsWords, variantWords } from "./words";

const TITLE = "How this prototype was made";

/** Makes the line above the picture. */
export function makeBar({ state, act, signal }: Context): Part {
  const chip = h("span", { class: "dot" });
  const name = h("span", { class: "what" });
  const reads = h("span", { class: "mut" });
  const together = h("button", { class: "tog", type: "button" }, "Side by side");
  const info = h(
    "button",
    { class: "icon", type: "button", "aria-label": TITLE, "aria-haspopup": "dialog", title: TITLE },
    icon("info"),
  );
  const about = makeAbout(signal);
  const popover = makePopover(info, TITLE, about.node, signal);
  const node = h(
    "div",
    { class: "bar heading" },
    h("h2", {}, chip, name, " ", reads),
    together,
    info,
    popover.node,
  );
  on(together, "click", () => act.toggle("together"), signal);
  return {
    node,
    update({ here, members }) {
      show(node, here !== null);
      if (!here) return;
      paintChip(chip, here, state.dark);
      setText(name, here.label);
      setText(reads, readsWords(here));
      show(together, members.length > 1);
      setAttribute(together, "aria-pressed", state.together ? "true" : "false");
      about.update(here.about, here.code);
    },
  };
}

export interface StagePart extends Part {
  /** Whether what is shown has been drawn. */
  readonly drawn: boolean;
}

interface Place {
  frame: HTMLElement;
  canvas: HTMLCanvasElement;
  tag: HTMLElement;
  caption: HTMLElement;
  wipe: Wipe;
}

/** Makes the picture, or the pictures. */
export function makeStage(context: Context, bitmaps: Bitmaps): StagePart {
  const { model, state, act, signal } = context;
  const places = new WeakMap<Element, Place>();
  const pictures = h("div", { class: "pictures" });
  const empty = h("p", { class: "mut blank" });
  const [what, why, todo] = [h("b"), h("p", { class: "why" }), h("p")];
  const failure = h("div", { class: "failure", role: "alert", hidden: true }, h("p", {}, what), why, todo);
  const caution = h("p", { class: "caution sm" });
  const node = h("div", { class: "stage" }, pictures, empty, caution, failure);
  let shown: Shown | null = null;
  let drawn = false;
  const observer = new ResizeObserver(() => act.redraw());
  observer.observe(pictures);
  signal.addEventListener("abort", () => observer.disconnect(), { once: true });

  const numberOf = (target: EventTarget | null) => {
    const figure = (target as Element | null)?.closest<HTMLElement>("[data-number]");
    return figure ? Number(figure.dataset.number) : null;
  };
  on(
    pictures,
    "click",
    (event) => {
      const number = numberOf(event.target);
      if (number !== null) act.choose(number);
    },
    signal,
  );
  on(pictures, "keydown", (event) => followKey(context, event, shown, numberOf(event.target)), signal);
  followWipe(context, pictures, () => (shown?.here?.seeded ?? false) && !state.difference);

  function make(): HTMLElement {
    const canvas = h("canvas", { "aria-hidden": "true" });
    const tag = h("div", { class: "tag", hidden: true });
    const wipe = makeWipe();
    const frame = h("div", { class: "pic" }, canvas, tag, ...wipe.nodes);
    const caption = h("figcaption", { class: "sm mut" });
    const figure = h("figure", { class: "proto" }, frame, caption);
    places.set(figure, { frame, canvas, tag, caption, wipe });
    return figure;
  }

  function piecesOf(proto: Proto, now: Shown): Pieces | null {
    const best = bestPieces(model, bitmaps, proto, state);
    const frames = model.get("_frames")?.[String(proto.number)];
    const frame = now.frame === null || !frames ? null : Math.min(now.frame, frames.steps.length - 1);
    return frame === null || !frames ? best : framePieces(bitmaps, proto, frames, frame, best?.alpha ?? null);
  }

  function draw(place: Place, proto: Proto, now: Shown): void {
    place.frame.style.aspectRatio = `${proto.size[1]} / ${proto.size[0]}`;
    const scale = fitCanvas(place.canvas, place.frame);
    const brush = place.canvas.getContext("2d");
    const pieces = piecesOf(proto, now);
    if (!brush || !pieces) return;
    drawn = true;
    const photo = bitmaps.get(state.kept.get(proto.number)?.seed);
    const after = bitmaps.get(state.kept.get(proto.number)?.image);
    const compared = proto.seeded && photo !== null;
    if (compared && state.difference && after) {
      paintDifference(brush, photo, after);
      return;
    }
    paintProto(brush, pieces, fadeOf(model, proto));
    if (compared) paintBefore(brush, photo, shareOf(state), scale);
  }

  return {
    node,
    update(now) {
      shown = now;
      const { here, members, status } = now;
      const list = !here ? [] : state.together ? members : [here];
      setAttribute(pictures, "data-many", list.length > 1 || null);
      const figures = patchChildren(
        pictures,
        list.map(({ number }) => String(number)),
        make,
      );
      drawn = list.length === 0 && status.state !== "computing";
      figures.forEach((figure, i) => {
        const [place, proto] = [places.get(figure), list[i]];
        if (!place || !proto) return;
        figure.dataset.number = String(proto.number);
        setAttribute(figure, "data-here", (list.length > 1 && proto === here) || null);
        setAttribute(place.frame, "data-seeded", proto.seeded || null);
        setAttribute(place.frame, "role", proto.seeded ? "group" : "application");
        setAttribute(place.frame, "tabindex", proto.seeded ? null : 0);
        setAttribute(place.frame, "aria-label", pictureLabel(proto, now));
        place.wipe.update(proto, now, state);
        setText(place.caption, list.length > 1 ? variantWords(proto) : "");
        show(place.caption, list.length > 1);
        const told = proto.seeded
          ? state.difference
            ? CHANGED
            : ""
          : now.frame !== null
            ? frameWords(now)
            : "";
        setText(place.tag, told);
        show(place.tag, told !== "");
        draw(place, proto, now);
      });
      show(empty, list.length === 0);
      setText(
        empty,
        status.state === "computing" ? "Prototypes appear here as they grow." : "No prototypes yet.",
      );
      setText(caution, here?.caveats.join(" ") ?? "");
      show(caution, (here?.caveats.length ?? 0) > 0);
      const { error, state: working } = status;
      show(failure, working === "failed" && error !== null);
      setText(what, error?.what ?? "");
      setText(why, error?.why ?? "");
      setText(todo, error?.todo ?? "");
    },
    get drawn() {
      return drawn;
    },
  };
}

/** Arrow keys walk the frames; Space shows and hides what did not matter; Enter looks at one of several. */
function followKey(
  { act, state }: Context,
  event: KeyboardEvent,
  shown: Shown | null,
  number: number | null,
): void {
  if (event.ctrlKey || event.metaKey || event.altKey || !shown) return;
  if (event.key === "Enter" && number !== null) act.choose(number);
  else if (shown.here?.seeded)
    return; // its keys are those of the handle
  else if (event.key === " ") act.toggleTransparency();
  else {
    const last = (shown.frames?.steps.length ?? 1) - 1;
    const at = state.frame ?? last;
    const next = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }[event.key];
    if (next === undefined || last < 1) return;
    act.setFrame(next >= last ? null : Math.max(0, next));
  }
  event.preventDefault();
}
