/**
 * ConceptExplorer in the browser: what a network sees in a set of photos, and where.
 *
 * Synced state is in the model's traits (see `core/concept_wire.ts`); what only this view knows is in `ViewState`.
 */
import type { AnyWidget } from "@anywidget/types";
import base from "../core/base.css";
import {
  CONCEPT_HEARING,
  CONCEPT_PUBLIC,
  type ConceptReply,
  type ConceptSent,
  type ConceptTraits,
} from "../core/concept_wire";
import { h, on, setAttribute } from "../core/dom";
import { Kernel } from "../core/kernel";
import { type AnyModel, listen } from "../core/model";
import { Selection } from "../core/selection";
import { announcer, onFrame } from "../core/timing";
import { makeActions } from "./concepts/actions";
import { makeCards } from "./concepts/cards";
import { makeChanges } from "./concepts/changes";
import { CellStore } from "./concepts/codec";
import type { ConceptKernel, Context } from "./concepts/context";
import { makeDetail } from "./concepts/detail";
import { makeEvidence } from "./concepts/evidence";
import { followSelection } from "./concepts/following";
import { makeHeading, makeQuality } from "./concepts/heading";
import { History } from "./concepts/history";
import { makeLegend } from "./concepts/legend";
import { makeMaps } from "./concepts/maps";
import { makeDrawing, makePicture, makePictureBar } from "./concepts/picture";
import { Protos } from "./concepts/protos";
import { makeCardKinds, makeGrowing } from "./concepts/prototypes";
import { makeRank } from "./concepts/rank";
import { Sprite } from "./concepts/sprite";
import { deriveShown, type Shown, type ViewState } from "./concepts/state";
import { makeStrip } from "./concepts/strip";
import cards from "./concepts/style/cards.css";
import detail from "./concepts/style/detail.css";
import evidence from "./concepts/style/evidence.css";
import layout from "./concepts/style/layout.css";
import narrow from "./concepts/style/narrow.css";
import picture from "./concepts/style/picture.css";
import grown from "./concepts/style/prototypes.css";
import segments from "./concepts/style/segments.css";
import { headWords, KEYS, kernelWords, selectionWords, targetWords } from "./concepts/words";
import { makeArriving } from "./shared/arriving";
import { makeHead } from "./shared/head";
import { asWidget, makeAcknowledger, makeStand, putUp } from "./shared/mount";
import { PhotoStore } from "./shared/photos";
import shared from "./shared/style.css";

type Model = AnyModel<ConceptTraits>;

const STYLE = [base, shared, layout, segments, picture, cards, evidence, detail, grown, narrow].join("");

/** A screen reader hears of a selection once it rests this long, in milliseconds. */
const ANNOUNCE = 400;

/** Escape stops a running job, then takes back wipe, cell and overlay; Ctrl+Z undoes; `?` lists the keys. */
function followRootKeys(
  root: HTMLElement,
  context: Context,
  shown: () => Shown,
  toggleKeys: () => void,
): void {
  const { state, act, kernel, signal } = context;
  const goBack = () => {
    if (shown().status.state === "computing" && kernel.reachable) act.stop();
    else if (state.wipe !== null) state.wipe = null;
    else if (state.reading !== null) state.reading = null;
    else if (shown().layers.length > 0) return act.clear();
    act.redraw();
  };
  on(
    root,
    "keydown",
    (event) => {
      const command = event.ctrlKey || event.metaKey;
      const typing = (event.target as Element).matches("input[type=text], textarea");
      const undo = command && !typing && ["z", "y"].includes(event.key.toLowerCase());
      if (!command || undo) event.stopPropagation(); // the notebook's own shortcuts
      if (undo) {
        event.preventDefault();
        if (event.shiftKey || event.key.toLowerCase() === "y") act.redo();
        else act.undo();
      }
      if (event.key === "?" && !typing) {
        event.preventDefault();
        toggleKeys();
      }
      if (event.key === "Escape") goBack();
    },
    signal,
  );
}

/** What tests, and style, can see from outside. */
function markRoot(root: HTMLElement, model: Model, shown: Shown, kernel: ConceptKernel): void {
  const marks = {
    state: shown.status.state,
    seq: model.get("_seq"),
    concepts: shown.rows.length,
    selected: shown.layers.map(({ concept }) => concept.id).join(" "),
    opened: shown.opened?.id ?? "",
    image: shown.image?.name ?? "",
    map: shown.missing ? "codes" : shown.kind,
    photos: shown.image || shown.awaited ? 1 : 0,
    grown: model.get("_prototypes")?.ids?.length ?? 0,
    growing: model.get("_growing")?.state ?? "",
    grownsteps: model.get("_growing")?.steps ?? 0,
    cards: model.get("card_kind") ?? "",
    kernel: kernel.reachable ? 1 : 0,
  };
  for (const [name, value] of Object.entries(marks)) setAttribute(root, `data-${name}`, value);
  setAttribute(
    root,
    "aria-label",
    `What ${model.get("_title")} sees in ${targetWords(model.get("_target"))}`,
  );
}

/** Makes all parts, and where they stand. */
function makeParts(context: Context) {
  const { model, act, signal } = context;
  const photos = new PhotoStore(model as unknown as AnyModel, signal, act.redraw);
  const sprite = new Sprite(signal, act.redraw);
  const maps = makeMaps(context);
  const head = makeHead(context, KEYS);
  const arriving = makeArriving(context);
  const strip = makeStrip(context, photos, arriving.node);
  const bar = makePictureBar(context);
  const picture = makePicture(context, photos, maps);
  const legend = makeLegend(context);
  const drawing = makeDrawing(context, picture.saver);
  const protos = new Protos(model, signal, act.redraw);
  const heading = makeHeading(context, makeCardKinds(context, protos));
  const detail = makeDetail(context, sprite, photos, protos);
  const cards = makeCards(context, sprite, protos, detail.writeNote);
  const growing = makeGrowing(context);
  const quality = makeQuality();
  const rank = makeRank(context);
  const evidence = makeEvidence(context);
  const changes = makeChanges(context);
  const middle = [bar, picture, legend, drawing];
  const sums = [evidence, changes];
  const right = [heading, cards, growing, rank, quality];
  const grid = h(
    "div",
    { class: "grid" },
    h("div", { class: "side" }, strip.node),
    h(
      "div",
      { class: "middle" },
      ...middle.map(({ node }) => node),
      h("div", { class: "sums" }, ...sums.map(({ node }) => node)),
    ),
    h("div", { class: "right" }, ...right.map(({ node }) => node)),
  );
  return {
    head,
    picture,
    maps,
    arriving,
    nodes: [head.node, grid, detail.node, arriving.target],
    list: [strip, ...middle, ...sums, ...right, detail],
  };
}

/** Puts a view on the page, until the signal aborts. */
function mount(model: Model, el: HTMLElement, signal: AbortSignal): void {
  const state: ViewState = {
    opened: null,
    tab: "active",
    map: true,
    cells: false,
    reading: null,
    wipe: null,
    renaming: null,
    showHidden: false,
    rank: null,
    hint: "",
    last: "",
    dark: false,
  };
  const redraw = onFrame(draw, signal);
  const kernel: ConceptKernel = new Kernel<ConceptSent, ConceptReply>(
    model as unknown as AnyModel,
    signal,
    redraw.request,
    CONCEPT_HEARING,
  );
  const history = new History();
  const selection = new Selection(model as unknown as AnyModel, follow, signal);
  const act = makeActions(model, state, history, kernel, selection, redraw, signal);
  const context: Context = { model, kernel, state, history, act, signal };
  const parts = makeParts(context);
  const spoken = h("span", { class: "vh", role: "status", "aria-live": "polite" });
  const announce = announcer(spoken, ANNOUNCE, signal);
  const acknowledge = makeAcknowledger(model, kernel);
  const cells = new CellStore();
  const stand = makeStand(STYLE, ...parts.nodes, spoken);
  const { root } = stand;
  setAttribute(root, "data-embedded", model.get("_embedded") || null);
  let shown = deriveShown(model, state, cells);

  function follow(): void {
    if (selection.state === "alone") kernel.tell("alone", {});
    followSelection(model, selection);
  }

  function draw(): void {
    const before = shown.image?.name;
    state.dark = root.dataset.theme === "dark";
    shown = deriveShown(model, state, cells);
    if (shown.image?.name !== before) state.reading = state.wipe = null;
    state.last = shown.image?.name ?? state.last;
    parts.head.update(headWords(model, shown, kernel));
    for (const part of parts.list) part.update(shown);
    parts.arriving.update(kernelWords(kernel) || model.get("_model")?.reason || "");
    markRoot(root, model, shown, kernel);
    announce(selectionWords(shown));
    if (parts.picture.drawn) setAttribute(root, "data-ready", 1);
    acknowledge();
    parts.maps.follow(shown);
  }

  for (const name of ["_bank", "_images"]) // what is selected may be there now
    listen(model as unknown as AnyModel, `change:${name}`, () => followSelection(model, selection), signal);
  followRootKeys(root, context, () => shown, parts.head.toggleKeys);
  parts.arriving.follow(root);
  putUp(el, stand, [...CONCEPT_PUBLIC, ...CONCEPT_HEARING.traits], {
    model: model as unknown as AnyModel,
    kernel,
    redraw,
    signal,
  });
}

export default asWidget(mount) satisfies AnyWidget;
