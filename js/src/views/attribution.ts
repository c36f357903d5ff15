/**
 * AttributionView in the browser: where a network looks on each of a few photos.
 *
 * Synced state is in the model's traits (see `core/wire.ts`); what only this view knows is in `ViewState`.
 */
import type { AnyWidget } from "@anywidget/types";
import base from "../core/base.css";
import { h, on, setAttribute, show } from "../core/dom";
import { Kernel } from "../core/kernel";
import { type AnyModel, listen } from "../core/model";
import { type Chosen, Selection, same } from "../core/selection";
import { debounce, onFrame, type Redraw } from "../core/timing";
import { keyOf, type LayerName, PUBLIC_TRAITS, type PublicTraits, PYTHON_TRAITS } from "../core/wire";
import { TraitWriter } from "../core/writer";
import type { Actions, Context } from "./attribution/context";
import { makeControls, makeHeading } from "./attribution/controls";
import { followSelection, layersShown, listLayers, showLayers } from "./attribution/following";
import { makeHead } from "./attribution/head";
import { LayerStore } from "./attribution/layers";
import { makePanels } from "./attribution/panels";
import { makePicture } from "./attribution/picture";
import { makePrediction } from "./attribution/prediction";
import {
  derivePanels,
  deriveShown,
  layersOf,
  methodOf,
  PlaneStore,
  type Shown,
  statusOf,
  type ViewState,
} from "./attribution/state";
import { makeStrip } from "./attribution/strip";
import css from "./attribution/style.css";
import { kernelWords, NO_PARTNERS } from "./attribution/words";
import { makeArriving } from "./shared/arriving";
import { Gallery } from "./shared/gallery";
import { asWidget, makeAcknowledger, makeStand, putUp } from "./shared/mount";
import { PhotoStore } from "./shared/photos";
import { makeSaver } from "./shared/save";
import shared from "./shared/style.css";

/** Time after the last move of a slider until its value is saved, in milliseconds. */
const SAVE_AFTER = 150;

/** Asks for the class that is shown once for each image, so that switching images keeps the class. */
function makeExplainer({ model, kernel }: Context): (shown: Shown) => void {
  const asked = new Set<string>();
  return ({ map, stored, image, classId }) => {
    if (!map || stored || !image || model.get("selected_class") === null || !kernel.reachable) return;
    const key = `${classId}/${image.name}`;
    if (asked.has(key) || classId === null) return;
    asked.add(key);
    void kernel.ask("explain", { image: image.name, query: classId, select: false });
  };
}

/** What people do, as changes of traits and messages. Drawing comes before saving: it must not wait. */
function makeActions(
  model: AnyModel,
  selection: Selection,
  kernel: Kernel,
  state: ViewState,
  redraw: Redraw,
  signal: AbortSignal,
): Actions {
  const writer = new TraitWriter(model, kernel, signal);
  const saveSoon = debounce(() => writer.save(), SAVE_AFTER, signal);
  const shownImage = () => model.get("selected_image");
  const partnerActions = makePartnerActions(model, kernel, state, redraw);
  const setTraits = (traits: Partial<PublicTraits>) => {
    for (const [name, value] of Object.entries(traits))
      if (!same(value, model.get(name))) writer.set(name as keyof PublicTraits, value);
  };
  /** Selects for all views of the selection; where the host finds none, sets this one's traits. */
  const select = (chosen: Chosen, traits: Partial<PublicTraits>) => {
    if (selection.state === "shared") {
      selection.set(chosen);
      kernel.askedBeside();
    } else setTraits(traits);
    redraw.now();
    writer.save();
  };
  const layOut = (layers: readonly LayerName[]) => {
    partnerActions.leavePartners();
    const shown = showLayers(layers, model.get("index") ?? "total");
    const list = listLayers(shown);
    if (!same(list, layersShown(model))) select({ layers: list }, shown);
  };
  return {
    selectImage(name) {
      if (name !== model.get("selected_image")) select({ images: [name] }, { selected_image: name });
    },
    selectClass(id) {
      if (id !== model.get("selected_class")) select({ class_id: id }, { selected_class: id });
    },
    adjust(name, value) {
      writer.set(name, value);
      redraw.request();
      saveSoon();
    },
    choose(name, value) {
      if (name === "selected_method") layOut([]); // it is shown alone
      writer.set(name, value);
      redraw.now();
      writer.save();
    },
    layOut,
    ...partnerActions,
    toggle(name) {
      state[name] = !state[name];
      redraw.now();
    },
    start: () => kernel.tell("start", { image: shownImage() }),
    stop: () => kernel.tell("stop", { image: shownImage() }),
    redraw: () => redraw.request(),
  };
}

/** Looking for a cell's partners, and going back. */
function makePartnerActions(
  model: AnyModel,
  kernel: Kernel,
  state: ViewState,
  redraw: Redraw,
): Pick<Actions, "findPartners" | "leavePartners"> {
  const image = () => keyOf(model.get("selected_image"), methodOf(model));
  const shownSearch = () => {
    const search = model.get("_pairs");
    return "rid" in search && search.image === image() && search.rid !== state.left ? search : null;
  };
  const leavePartners = () => {
    const search = shownSearch();
    if (!search) return;
    state.left = search.rid;
    redraw.now();
    if (kernel.reachable) void kernel.ask("pairs", { image: image(), cell: null });
  };
  return {
    leavePartners,
    async findPartners(place) {
      const columns = model.get("_maps")[image()]?.grid[1] ?? 1;
      const cell: [number, number] = [Math.floor(place / columns), place % columns];
      const [row, column] = shownSearch()?.cell ?? [];
      if (row === cell[0] && column === cell[1]) return leavePartners();
      if (!kernel.reachable) {
        state.note = NO_PARTNERS;
        return redraw.now();
      }
      const reply = await kernel.ask("pairs", { image: image(), cell });
      state.note = reply.kind === "refused" ? reply.message : "";
      redraw.request();
    },
  };
}

/** Escape goes back from partners, then stops a running job, then takes back the wipe, then what is shown alone; `?` lists the keys. */
function followRootKeys(
  root: HTMLElement,
  context: Context,
  shown: () => Shown,
  toggleKeys: () => void,
): void {
  const { model, state, act, kernel, signal } = context;
  on(
    root,
    "keydown",
    (event) => {
      if (!event.ctrlKey && !event.metaKey) event.stopPropagation(); // the notebook's own single-key shortcuts
      const typing = (event.target as Element).matches("input[type=text]");
      if (event.key === "?" && !typing) {
        event.preventDefault();
        toggleKeys();
      }
      if (event.key !== "Escape") return;
      if (shown().partners) act.leavePartners();
      else if (shown().status.state === "computing" && kernel.reachable) act.stop();
      else if (state.wipe !== null) state.wipe = null;
      else if (model.get("selected_method")) act.choose("selected_method", "");
      else if (layersOf(model).length) act.layOut([]);
      else state.reading = null;
      act.redraw();
    },
    signal,
  );
}

/** What tests, and style, can see from outside. */
function markRoot(
  root: HTMLElement,
  model: AnyModel,
  shown: Shown,
  panels: readonly Shown[],
  kernel: Kernel,
): void {
  const marks = {
    state: (statusOf(model, shown.image?.name ?? "") ?? shown.status).state,
    panels: panels.length,
    method: model.get("selected_method") ?? "",
    seq: model.get("_seq"),
    rows: shown.map?.rows ?? 0,
    preview: shown.map?.preview ? 1 : 0,
    class: shown.stored ? shown.classId : null,
    image: shown.image?.name ?? "",
    index: shown.reading?.index ?? "",
    layers: layersOf(model).join(" "),
    score: shown.reading?.score ?? "",
    partners: shown.partners?.search.state ?? "",
    kernel: kernel.reachable ? 1 : 0,
  };
  for (const [name, value] of Object.entries(marks)) setAttribute(root, `data-${name}`, value);
  setAttribute(root, "aria-label", `Where ${model.get("_title")} looks`);
}

/** Puts a view on the page, until the signal aborts. */
function mount(model: AnyModel, el: HTMLElement, signal: AbortSignal): void {
  const state: ViewState = {
    map: true,
    unsure: false,
    cells: false,
    reading: null,
    grid: null,
    wipe: null,
    left: "",
    note: "",
  };
  const redraw = onFrame(draw, signal);
  const kernel = new Kernel(model, signal, redraw.request);
  const selection = new Selection(model, follow, signal);
  const act = makeActions(model, selection, kernel, state, redraw, signal);
  const context: Context = { model, kernel, state, act, signal };
  const gallery = new Gallery<object>(kernel, redraw.request);
  const photos = new PhotoStore(model, signal, redraw.request, (place) => gallery.get(place)?.bytes);
  const stores = { planes: new PlaneStore(), layers: new LayerStore(model, kernel, redraw.request) };
  const explain = makeExplainer(context);
  const head = makeHead(context);
  const arriving = makeArriving(context);
  const strip = makeStrip(context, photos, gallery, arriving.node);
  const prediction = makePrediction(context);
  const heading = makeHeading(context);
  const saver = makeSaver(() => (count ? panels.snapshot() : picture.snapshot()), kernel, signal);
  const picture = makePicture(context, photos, saver);
  const panels = makePanels(context, photos, saver);
  const controls = makeControls(context, saver.node);
  const parts = [head, strip, prediction, heading, panels, controls];
  const side = h("div", { class: "side" }, strip.node, prediction.node);
  const stage = h("div", { class: "maps" }, picture.node, panels.node);
  const grid = h("div", { class: "grid" }, side, heading.node, stage, controls.node);
  const stand = makeStand(base + shared + css, head.node, grid, arriving.target);
  const { root } = stand;
  setAttribute(root, "data-embedded", model.get("_embedded") || null);
  let shown = deriveShown(model, stores);
  const acknowledge = makeAcknowledger(model, kernel);
  /** How many maps stand side by side. */
  let count = 0;

  function follow(): void {
    if (selection.state === "alone") kernel.tell("alone", {});
    const shown = layersShown(model);
    followSelection(model, selection);
    if (!same(shown, layersShown(model))) act.leavePartners(); // as a click here does
  }

  function draw(): void {
    const before = `${shown.key}/${count}`;
    shown = deriveShown(model, stores, state.left);
    const beside = derivePanels(model, stores, state.left);
    count = beside.length;
    if (`${shown.key}/${count}` !== before) {
      state.reading = state.wipe = null;
      state.note = "";
    }
    show(picture.node, count === 0);
    if (count === 0) picture.update(shown);
    for (const part of parts) part.update(shown, beside);
    arriving.update(kernelWords(kernel));
    markRoot(root, model, shown, beside, kernel);
    if (count ? panels.drawn : picture.drawn) setAttribute(root, "data-ready", 1);
    acknowledge();
    for (const each of count ? beside : [shown]) explain(each);
  }

  listen(model, "change:_images", () => followSelection(model, selection), signal); // what is selected may be there now
  followRootKeys(root, context, () => shown, head.toggleKeys);
  arriving.follow(root);
  putUp(el, stand, [...PUBLIC_TRAITS, ...PYTHON_TRAITS], { model, kernel, redraw, signal });
}

export default asWidget(mount) satisfies AnyWidget;
