/**
 * StrategyView in the browser: what photos were classified for, and whether it can be relied on.
 *
 * Synced state is in the model's traits (see `core/strategy_wire.ts`); what only this view knows is in `ViewState`.
 */
import type { AnyWidget } from "@anywidget/types";
import base from "../core/base.css";
import { h, on, setAttribute } from "../core/dom";
import { Kernel } from "../core/kernel";
import type { AnyModel } from "../core/model";
import { Selection } from "../core/selection";
import {
  STRATEGY_HEARING,
  STRATEGY_PUBLIC,
  type StrategyReply,
  type StrategySent,
  type StrategyTraits,
} from "../core/strategy_wire";
import { announcer, onFrame } from "../core/timing";
import { makeHead } from "./shared/head";
import { asWidget, makeAcknowledger, makeStand, putUp } from "./shared/mount";
import { makeSaver } from "./shared/save";
import shared from "./shared/style.css";
import { makeActions } from "./strategies/actions";
import { makeCompare } from "./strategies/compare";
import type { Context, StrategyKernel } from "./strategies/context";
import { followSelection } from "./strategies/following";
import { Thumbs } from "./strategies/hover";
import { makeBar, makeLegend } from "./strategies/legend";
import narrow from "./strategies/narrow.css";
import { makePanel } from "./strategies/panel";
import photos from "./strategies/photos.css";
import { makePlot } from "./strategies/plot";
import { takeSnapshot } from "./strategies/snapshot";
import { makeDeriver, type Shown, type ViewState } from "./strategies/state";
import style from "./strategies/style.css";
import { headWords, KEYS } from "./strategies/words";

type Model = AnyModel<StrategyTraits>;

const STYLE = [base, shared, photos, style, narrow].join("");

/** A screen reader hears of a photo once the walk rests this long, in milliseconds. */
const ANNOUNCE = 300;

/** Escape stops a running job, then leaves what is chosen; `?` lists the keys, `m` shows the misread only. */
function followRootKeys(
  root: HTMLElement,
  { state, act, kernel, signal }: Context,
  shown: () => Shown,
  toggleKeys: () => void,
): void {
  const goBack = () => {
    if (state.lasso.length > 0) state.lasso = [];
    else if (shown().status.state === "computing" && kernel.reachable) act.stop();
    else act.clear();
    act.redraw();
  };
  on(
    root,
    "keydown",
    (event) => {
      if (!event.ctrlKey && !event.metaKey) event.stopPropagation(); // the notebook's own shortcuts
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === "?") {
        event.preventDefault();
        toggleKeys();
      }
      if (event.key.toLowerCase() === "m" && shown().graph?.labelled) act.toggleMistakes();
      if (event.key === "Escape") goBack();
    },
    signal,
  );
}

/** What tests, and style, can see from outside. */
function markRoot(root: HTMLElement, model: Model, shown: Shown, kernel: StrategyKernel): void {
  const marks = {
    state: shown.status.state,
    stage: shown.status.stage ?? "",
    seq: model.get("_seq"),
    photos: shown.points?.count ?? 0,
    concepts: shown.concepts.length,
    chosen: shown.chosen.length,
    here: shown.here ?? "",
    selected: shown.chosenConcepts.map((row) => shown.concepts[row]?.id).join(" "),
    lit: shown.litCount,
    by: model.get("by"),
    kernel: kernel.reachable ? 1 : 0,
  };
  for (const [name, value] of Object.entries(marks)) setAttribute(root, `data-${name}`, value);
  setAttribute(root, "aria-label", `Strategies of ${model.get("_title") || "the network"}`);
}

/** Makes all parts, and where they stand. */
function makeParts(context: Context, shown: () => Shown) {
  const head = makeHead(context, KEYS);
  const thumbs = new Thumbs(context);
  const saver = makeSaver(() => takeSnapshot(context, plot, shown()), NOBODY, context.signal);
  const plot = makePlot(context, thumbs, () => void saver.save());
  const bar = makeBar(context);
  const legend = makeLegend(context, saver.node);
  const panel = makePanel(context);
  const compare = makeCompare(context, thumbs);
  const left = h("section", { class: "left" }, bar.node, plot.node, legend.node);
  const [what, why, todo] = [h("b"), h("p", { class: "why" }), h("p")];
  const failure = h("div", { class: "failure", role: "alert", hidden: true }, h("p", {}, what), why, todo);
  const told = {
    update({ status: { state, error } }: Shown) {
      failure.hidden = state !== "failed" || error === null;
      what.textContent = error?.what ?? "";
      why.textContent = error?.why ?? "";
      todo.textContent = error?.todo ?? "";
    },
  };
  const grid = h("div", { class: "grid" }, left, panel.node);
  const nodes = [head.node, failure, grid, compare.node];
  return { head, plot, nodes, list: [told, bar, legend, plot, panel, compare] };
}

/** Nobody is asked for a photo of its own size: what is saved are points. */
const NOBODY = { reachable: false, ask: () => Promise.resolve({ kind: "refused" }) };

/** Puts a view on the page, until the signal aborts. */
function mount(model: Model, el: HTMLElement, signal: AbortSignal): void {
  const state: ViewState = {
    viewport: null,
    hovered: -1,
    focused: -1,
    lassoing: false,
    lasso: [],
    mapped: null,
    dark: false,
  };
  const derive = makeDeriver(model);
  let shown = derive();
  let here = shown.here;
  const redraw = onFrame(draw, signal);
  const kernel: StrategyKernel = new Kernel<StrategySent, StrategyReply>(
    model as unknown as AnyModel,
    signal,
    redraw.request,
    STRATEGY_HEARING,
  );
  const selection = new Selection(model as unknown as AnyModel, follow, signal);
  const spoken = h("span", { class: "vh", role: "status", "aria-live": "polite" });
  const announce = announcer(spoken, ANNOUNCE, signal);
  const act = makeActions(model, state, kernel, selection, redraw, () => shown, announce, signal);
  const context: Context = { model, kernel, state, act, signal };
  const parts = makeParts(context, () => shown);
  const acknowledge = makeAcknowledger(model, kernel);
  const stand = makeStand(STYLE, ...parts.nodes, spoken);
  const { root } = stand;
  setAttribute(root, "data-embedded", model.get("_embedded") || null);

  function follow(): void {
    if (selection.state === "alone") kernel.tell("alone", {});
    followSelection(model, selection, shown.points);
    redraw.request();
  }

  function draw(): void {
    state.dark = root.dataset.theme === "dark";
    shown = derive();
    if (shown.here !== here) state.mapped = null;
    here = shown.here;
    parts.head.update(headWords(model, shown, kernel));
    markRoot(root, model, shown, kernel);
    for (const part of parts.list) part.update(shown);
    if (parts.plot.drawn) setAttribute(root, "data-ready", 1);
    else redrawWhenDrawn();
    acknowledge();
  }

  /** The photos are drawn a frame later than the rest. */
  function redrawWhenDrawn(): void {
    if (!shown.points) setAttribute(root, "data-ready", shown.status.state === "computing" ? null : 1);
    else
      requestAnimationFrame(() => {
        if (parts.plot.drawn && !signal.aborted) setAttribute(root, "data-ready", 1);
      });
  }

  followRootKeys(root, context, () => shown, parts.head.toggleKeys);
  putUp(el, stand, [...STRATEGY_PUBLIC, ...STRATEGY_HEARING.traits], {
    model: model as unknown as AnyModel,
    kernel,
    redraw,
    signal,
  });
}

export default asWidget(mount) satisfies AnyWidget;
