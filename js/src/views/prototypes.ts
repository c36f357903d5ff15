/**
 * PrototypeView in the browser: what would excite a network most, beside what does.
 *
 * Synced state is in the model's traits (see `core/proto_wire.ts`); what only this view knows is in `ViewState`.
 */
import type { AnyWidget } from "@anywidget/types";
import base from "../core/base.css";
import { h, on, setAttribute } from "../core/dom";
import { Kernel } from "../core/kernel";
import type { AnyModel } from "../core/model";
import {
  PROTO_HEARING,
  PROTO_PUBLIC,
  type ProtoReply,
  type ProtoSent,
  type ProtoTraits,
} from "../core/proto_wire";
import { Selection } from "../core/selection";
import { announcer, onFrame } from "../core/timing";
import { makeActions } from "./prototypes/actions";
import { Bitmaps } from "./prototypes/bitmaps";
import { makeCards } from "./prototypes/cards";
import type { Context, ProtoKernel } from "./prototypes/context";
import { makeControls } from "./prototypes/controls";
import { makeCautions, makeExamples } from "./prototypes/examples";
import { Follower } from "./prototypes/following";
import { makeBar, makeStage } from "./prototypes/stage";
import { deriveShown, type Shown, type ViewState } from "./prototypes/state";
import style from "./prototypes/style.css";
import { makeTrace } from "./prototypes/trace";
import { headWords, KEYS, selectionWords } from "./prototypes/words";
import { makeHead } from "./shared/head";
import { asWidget, makeAcknowledger, makeStand, putUp } from "./shared/mount";
import shared from "./shared/style.css";

type Model = AnyModel<ProtoTraits>;

const STYLE = [base, shared, style].join("");

/** A screen reader hears of a selection once it rests this long, in milliseconds. */
const ANNOUNCE = 400;

/** Escape stops a running job, then goes back to what the prototype became; `?` lists the keys. */
function followRootKeys(
  root: HTMLElement,
  { state, act, kernel, signal }: Context,
  shown: () => Shown,
  toggleKeys: () => void,
): void {
  const goBack = () => {
    if (state.wipe !== null) act.setWipe(null);
    else if (state.frame !== null) act.setFrame(null);
    else if (shown().status.state === "computing" && kernel.reachable) act.stop();
  };
  on(
    root,
    "keydown",
    (event) => {
      if (!event.ctrlKey && !event.metaKey) event.stopPropagation(); // the notebook's own shortcuts
      if (event.key === "?") {
        event.preventDefault();
        toggleKeys();
      }
      if (event.key === "Escape") goBack();
    },
    signal,
  );
}

/** What tests, and style, can see from outside. */
function markRoot(root: HTMLElement, model: Model, shown: Shown, kernel: ProtoKernel): void {
  const { here } = shown;
  const marks = {
    state: shown.status.state,
    stage: shown.status.stage ?? "",
    seq: model.get("_seq"),
    prototypes: shown.protos.length,
    targets: shown.faces.length,
    selected: here?.number ?? "",
    steps: here?.steps ?? 0,
    frames: shown.frames?.steps.length ?? 0,
    frame: shown.frame ?? "",
    examples: shown.examples?.top.length ?? 0,
    kernel: kernel.reachable ? 1 : 0,
  };
  for (const [name, value] of Object.entries(marks)) setAttribute(root, `data-${name}`, value);
  setAttribute(root, "aria-label", `What would excite ${model.get("_title") || "the network"} most`);
}

/** Makes all parts, and where they stand. */
function makeParts(context: Context, bitmaps: Bitmaps) {
  const head = makeHead(context, KEYS);
  const cards = makeCards(context, bitmaps);
  const bar = makeBar(context);
  const stage = makeStage(context, bitmaps);
  const controls = makeControls(context);
  const examples = makeExamples(context, bitmaps);
  const trace = makeTrace(context);
  const grid = h(
    "div",
    { class: "grid" },
    cards.node,
    h("div", { class: "middle" }, bar.node, stage.node, controls.node),
    h("div", { class: "right" }, examples.node, trace.node, makeCautions()),
  );
  return { head, stage, nodes: [head.node, grid], list: [cards, bar, stage, controls, examples, trace] };
}

/** Puts a view on the page, until the signal aborts. */
function mount(model: Model, el: HTMLElement, signal: AbortSignal): void {
  const state: ViewState = {
    frame: null,
    together: true,
    photos: false,
    wipe: null,
    difference: false,
    dark: false,
    kept: new Map(),
  };
  const redraw = onFrame(draw, signal);
  const kernel: ProtoKernel = new Kernel<ProtoSent, ProtoReply>(
    model as unknown as AnyModel,
    signal,
    redraw.request,
    PROTO_HEARING,
  );
  const follower = new Follower();
  const selection = new Selection(model as unknown as AnyModel, follow, signal);
  const act = makeActions(model, state, kernel, selection, redraw, signal);
  const context: Context = { model, kernel, state, act, signal };
  const bitmaps = new Bitmaps(signal, act.redraw);
  const parts = makeParts(context, bitmaps);
  const spoken = h("span", { class: "vh", role: "status", "aria-live": "polite" });
  const announce = announcer(spoken, ANNOUNCE, signal);
  const acknowledge = makeAcknowledger(model, kernel);
  const stand = makeStand(STYLE, ...parts.nodes, spoken);
  const { root } = stand;
  let shown = deriveShown(model, state);

  function follow(): void {
    follower.follow(model, selection);
    redraw.request();
  }

  function draw(): void {
    const before = shown.here?.number;
    state.dark = root.dataset.theme === "dark";
    shown = deriveShown(model, state);
    if (shown.here?.number !== before && before !== undefined) {
      state.wipe = null;
      state.frame = null;
      shown = deriveShown(model, state);
    }
    parts.head.update(headWords(model, shown, kernel));
    markRoot(root, model, shown, kernel);
    for (const part of parts.list) part.update(shown);
    announce(selectionWords(shown));
    if (parts.stage.drawn) setAttribute(root, "data-ready", 1);
    acknowledge();
  }

  followRootKeys(root, context, () => shown, parts.head.toggleKeys);
  putUp(el, stand, [...PROTO_PUBLIC, ...PROTO_HEARING.traits], {
    model: model as unknown as AnyModel,
    kernel,
    redraw,
    signal,
  });
}

export default asWidget(mount) satisfies AnyWidget;
