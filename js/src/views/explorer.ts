/**
 * Explorer in the browser: where a network looks, what it sees, and why it reads photos as it does, as one instrument.
 *
 * Its parts are views of their own, which the host renders; they follow each other by their selection. What is here is
 * where they stand, and whose concepts are shown.
 */
import type { AnyWidget } from "@anywidget/types";
import base from "../core/base.css";
import { h, icon, on, setAttribute, setText, show } from "../core/dom";
import {
  EXPLORER_HEARING,
  EXPLORER_PUBLIC,
  type ExplorerPublic,
  type ExplorerReply,
  type ExplorerSent,
  type ExplorerTraits,
  PARTS,
} from "../core/explorer_wire";
import { Kernel } from "../core/kernel";
import type { AnyModel } from "../core/model";
import { Selection } from "../core/selection";
import { announcer, onFrame } from "../core/timing";
import { TraitWriter } from "../core/writer";
import { makeChooser } from "./explorer/chooser";
import { makeFinder } from "./explorer/finder";
import css from "./explorer/style.css";
import { explainedWords, KEYS, silence, subtitle } from "./explorer/words";
import { busyWords } from "./shared/answering";
import { listKeys } from "./shared/head";
import { asWidget, makeStand, putUp } from "./shared/mount";
import { type Host, makePart } from "./shared/parts";
import { makePopover } from "./shared/popover";
import shared from "./shared/style.css";

type Model = AnyModel<ExplorerTraits>;

/** A screen reader hears of what is shown once it rests this long, in milliseconds. */
const ANNOUNCE = 400;

/** Makes the head: what this is, and whose concepts are shown. */
function makeHead(choose: (target: number | null) => void, signal: AbortSignal) {
  const title = h("h2");
  const sub = h("span", { class: "mut" });
  const chip = h("p", { class: "chip sm mut", role: "status", hidden: true }, icon("kernel"), h("span"));
  const chooser = makeChooser(choose, signal);
  const keys = h(
    "button",
    { class: "icon", type: "button", "aria-label": "Keys", "aria-haspopup": "dialog", title: "Keys" },
    icon("keys"),
  );
  const popover = makePopover(keys, "Keys", listKeys(KEYS), signal);
  const head = h(
    "header",
    { class: "head" },
    title,
    sub,
    chip,
    h("span", { class: "sp" }),
    h("span", { class: "ctl" }, chooser.node, keys),
  );
  const node = h("div", { class: "top" }, head, popover.node);
  return { node, title, sub, chip, chooser, popover };
}

/** Puts a view on the page, until the signal aborts. */
function mount(model: Model, el: HTMLElement, signal: AbortSignal, host?: Host): void {
  const plain = model as unknown as AnyModel;
  const redraw = onFrame(draw, signal);
  const kernel = new Kernel<ExplorerSent, ExplorerReply>(plain, signal, redraw.request, EXPLORER_HEARING);
  const writer = new TraitWriter<ExplorerPublic>(model as never, kernel, signal, EXPLORER_PUBLIC);
  const selection = new Selection(plain, follow, signal);
  const head = makeHead(choose, signal);
  const finder = makeFinder((query) => kernel.ask("find", { query }), signal);
  const note = h("p", { class: "note sm mut", role: "status", hidden: true });
  const parts = PARTS.map((name) => ({
    name,
    part: makePart(name, `explorer.${name}`, host, plain.widget_manager, signal),
  }));
  const spoken = h("span", { class: "vh", role: "status", "aria-live": "polite" });
  const announce = announcer(spoken, ANNOUNCE, signal);
  const stand = makeStand(
    base + shared + css,
    head.node,
    finder.node,
    note,
    h("div", { class: "explorer" }, ...parts.map(({ part }) => part.node)),
    spoken,
  );
  const { root } = stand;

  const [where, what] = parts.map(({ part }) => part.node);
  const beside = new ResizeObserver(() => {
    const height = Math.ceil(where?.getBoundingClientRect().height ?? 0);
    what?.style.setProperty("--beside", `${height}px`);
  });
  if (where) beside.observe(where);
  signal.addEventListener("abort", () => beside.disconnect(), { once: true });

  /** Shows the concepts of a class, or of all photos; Python makes them. */
  function choose(target: number | null): void {
    writer.set("concepts_of", target === null ? "all" : "class");
    if (target !== null && selection.state === "shared") selection.set({ class_id: target });
    else if (target !== null) writer.set("selected_class", target);
    writer.save();
    redraw.now();
  }

  function follow(): void {
    if (selection.state === "alone") kernel.tell("alone", {});
    const chosen = selection.get("class_id");
    if (chosen !== undefined && chosen !== model.get("selected_class")) model.set("selected_class", chosen);
    redraw.request();
  }

  function draw(): void {
    const found = model.get("_found") ?? {};
    const quiet = silence(kernel);
    setText(head.title, model.get("_title"));
    setText(head.sub, subtitle(found));
    head.chooser.update(found, kernel.state === "saved" ? "Another class needs a notebook." : quiet);
    finder.update(found, quiet);
    const chip = head.chip.lastElementChild;
    const why = quiet || busyWords(kernel);
    if (chip) setText(chip, why);
    setAttribute(head.chip, "title", why);
    show(head.chip, why !== "");
    setText(note, found.note ?? "");
    show(note, !!found.note);
    const references = model.get("_parts") ?? {};
    for (const { name, part } of parts) void part.update(references[name]);
    setAttribute(root, "data-explained", found.settled ? (found.explained ?? "all") : "");
    setAttribute(root, "data-kernel", kernel.reachable ? 1 : 0);
    setAttribute(root, "data-ready", 1);
    setAttribute(root, "aria-label", `Explorer of ${model.get("_title")}`);
    announce(explainedWords(found));
  }

  on(
    root,
    "keydown",
    (event) => {
      if (event.ctrlKey || event.metaKey) return;
      event.stopPropagation(); // the notebook's own single-key shortcuts
      if (event.key !== "?") return;
      event.preventDefault();
      head.popover.toggle();
    },
    signal,
  );
  putUp(el, stand, [...EXPLORER_PUBLIC, ...EXPLORER_HEARING.traits], {
    model: plain,
    kernel,
    redraw,
    signal,
  });
}

export default asWidget(mount) satisfies AnyWidget;
