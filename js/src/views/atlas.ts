/**
 * AtlasView in the browser: all classes of a network, one page at a time.
 *
 * The pages' parts are views of their own, which the host renders; each page has a selection that they share. What is
 * here is the list of classes, which needs no kernel, and what resembles what in other classes. What a person typed, and
 * the way back, are this page's own and not synced.
 */
import type { AnyWidget } from "@anywidget/types";
import {
  ATLAS_HEARING,
  ATLAS_PUBLIC,
  type AtlasPublic,
  type AtlasReply,
  type AtlasSent,
  type AtlasTraits,
  type Likeness,
} from "../core/atlas_wire";
import base from "../core/base.css";
import { h, icon, on, setAttribute, setText, show } from "../core/dom";
import { Kernel, STALE_AFTER } from "../core/kernel";
import { type AnyModel, listen } from "../core/model";
import { Selection } from "../core/selection";
import { announcer, onFrame } from "../core/timing";
import { TraitWriter } from "../core/writer";
import type { ClassRow } from "./atlas/classes";
import { makePage } from "./atlas/page";
import { makeSide } from "./atlas/side";
import css from "./atlas/style.css";
import { farWords, KEYS, refusal, shownWords, silence, subtitle } from "./atlas/words";
import segments from "./concepts/style/segments.css";
import { busyWords } from "./shared/answering";
import { listKeys } from "./shared/head";
import { asWidget, makeStand, putUp } from "./shared/mount";
import type { Host } from "./shared/parts";
import { makePopover } from "./shared/popover";
import shared from "./shared/style.css";

type Model = AnyModel<AtlasTraits>;

/** A screen reader hears of what is shown once it rests this long, in milliseconds. */
const ANNOUNCE = 400;
const TITLE = "Atlas of classes";

/** Makes the head: what this is, and whether anybody answers. */
function makeHead(signal: AbortSignal) {
  const sub = h("span", { class: "mut" });
  const chip = h("p", { class: "chip sm mut", role: "status", hidden: true }, icon("kernel"), h("span"));
  const keys = h(
    "button",
    { class: "icon", type: "button", "aria-label": "Keys", "aria-haspopup": "dialog", title: "Keys (?)" },
    icon("keys"),
  );
  const popover = makePopover(keys, "Keys", listKeys(KEYS), signal);
  const head = h(
    "header",
    { class: "head" },
    h("h2", {}, TITLE),
    sub,
    chip,
    h("span", { class: "sp" }),
    h("span", { class: "ctl" }, keys),
  );
  return { node: h("div", { class: "top" }, head, popover.node), sub, chip, popover };
}

/** Where a person came from. */
interface Place {
  selected: number;
  concept: number | null;
}

/** Puts a view on the page, until the signal aborts. */
function mount(model: Model, el: HTMLElement, signal: AbortSignal, host?: Host): void {
  const plain = model as unknown as AnyModel;
  const redraw = onFrame(draw, signal);
  const kernel = new Kernel<AtlasSent, AtlasReply>(plain, signal, redraw.request, ATLAS_HEARING);
  const writer = new TraitWriter<AtlasPublic>(model as never, kernel, signal, ATLAS_PUBLIC);
  const head = makeHead(signal);
  const side = makeSide((row) => choose(row), Math.random, signal);
  const hosts = { host, manager: plain.widget_manager };
  const page = makePage(hosts, { follow, goTo, goBack }, redraw.request, signal);
  const note = h("p", { class: "note sm", role: "status", hidden: true });
  const spoken = h("span", { class: "vh", role: "status", "aria-live": "polite" });
  const announce = announcer(spoken, ANNOUNCE, signal);
  const stand = makeStand(
    base + shared + segments + css,
    head.node,
    h("div", { class: "atlas" }, side.node, h("div", { class: "main" }, note, page.node)),
    spoken,
  );
  const { root } = stand;

  let selection: Selection | null = null;
  let ending = new AbortController();
  let watched = "";
  /** Page that stands there. */
  let standing: number | null = null;
  /** Concept that is to be selected on the page that comes. */
  let wanted: Place | null = null;
  let trail: Place[] = [];
  let said = "";
  let patience: ReturnType<typeof setTimeout> | undefined;
  signal.addEventListener(
    "abort",
    () => {
      ending.abort();
      clearTimeout(patience);
    },
    { once: true },
  );

  /** Why a class cannot be opened now; empty if it can. */
  function far({ id, why }: { id: number; why: string }): string {
    if (why) return why;
    return model.get("_pages")?.[id] ? "" : farWords(kernel.state);
  }

  const rowOf = (id: number) => side.rows.find((row) => row.id === id);
  const farClass = (id: number) => {
    const row = rowOf(id);
    return row ? far(row) : "not in this atlas";
  };
  const here = (): Place | null => {
    const selected = model.get("selected");
    return selected === null ? null : { selected, concept: conceptNow() };
  };

  /** Concept that is looked at on this page. */
  function conceptNow(): number | null {
    if (selection?.state === "shared") return selection.get("concepts")?.[0] ?? null;
    return model.get("concept") ?? null;
  }

  /** Opens a class, or says why it cannot be opened. */
  function choose(row: ClassRow, concept: number | null = null, linked = false): boolean {
    const away = far(row);
    said = away ? refusal(row, away) : "";
    if (!away && (row.id !== model.get("selected") || concept !== null)) {
      if (!linked) trail = [];
      open({ selected: row.id, concept });
    }
    redraw.now();
    return !away;
  }

  function open(place: Place): void {
    wanted = place.concept === null ? null : place;
    writer.set("selected", place.selected);
    if (place.concept !== null) writer.set("concept", place.concept);
    writer.save();
    clearTimeout(patience);
    patience = setTimeout(() => kernel.poke(), STALE_AFTER); // a page that does not come: does anybody answer?
  }

  /** Goes to a class that something on the page is close to, and remembers the way back. */
  function goTo(id: number, concept: number | null = null): void {
    const from = here();
    const row = rowOf(id);
    if (!row || !choose(row, concept, true)) return;
    if (from) trail = [...trail, from];
    redraw.now();
    page.enter();
  }

  function follow({ there }: Likeness): void {
    goTo(there.class, there.concept.id);
  }

  function goBack(): void {
    const to = trail.at(-1);
    const row = to && rowOf(to.selected);
    if (!to || !row || far(row)) return;
    trail = trail.slice(0, -1);
    open(to);
    redraw.now();
    page.enter();
  }

  /** Follows the selection of the page that stands there. */
  function watch(reference: string): void {
    if (reference === watched) return;
    watched = reference;
    ending.abort();
    ending = new AbortController();
    const lookup = { get: () => reference, widget_manager: plain.widget_manager } as unknown as AnyModel;
    selection = new Selection(lookup, heed, ending.signal);
  }

  function heed(): void {
    if (selection?.state === "shared") {
      if (wanted && wanted.selected === standing) {
        const { concept } = wanted;
        wanted = null;
        if (concept !== null && selection.get("concepts")?.[0] !== concept)
          selection.set({ concepts: [concept] });
      }
      const concept = conceptNow();
      if (standing === model.get("selected") && concept !== model.get("concept"))
        model.set("concept", concept);
    }
    redraw.request();
  }

  function draw(): void {
    const [pages, selected] = [model.get("_pages") ?? {}, model.get("selected")];
    const quiet = silence(kernel);
    const why = quiet || busyWords(kernel);
    const chip = head.chip.lastElementChild;
    if (chip) setText(chip, why);
    show(head.chip, why !== "");
    const arrived = selected !== null && pages[selected] !== undefined;
    if (arrived) standing = selected;
    else if (standing !== null && !pages[standing]) standing = null;
    side.update({
      list: model.get("_list") ?? {},
      here: selected,
      far,
      reach: `${kernel.state} ${Object.keys(pages)}`,
    });
    const info = standing === null ? null : (pages[standing] ?? null);
    const parts = standing === null ? null : (model.get("_parts")?.[standing] ?? null);
    const current = selected === null ? undefined : rowOf(selected);
    const came = trail.at(-1);
    page.update({
      wanted: current?.name ?? "",
      number: selected,
      page: info,
      parts,
      similar: (standing === null ? null : model.get("_similar")?.[standing]) ?? null,
      concept: conceptNow(),
      back: (came && rowOf(came.selected)?.label) ?? "",
      pending: arrived || selected === null ? "" : quiet ? "Its page needs the kernel." : "Opening …",
      far: farClass,
      dark: root.dataset.theme === "dark",
      waiting: quiet
        ? "They were not looked up before the kernel went."
        : "Comparing with the other classes …",
    });
    if (parts) watch(parts.selection);
    if (arrived) heedWanted();
    setText(head.sub, subtitle(model.get("_title") ?? "", side.rows));
    const words = said || (model.get("_note") ?? "");
    setText(note, words);
    show(note, words !== "");
    mark(arrived);
    if (arrived && info) announce(shownWords(info));
  }

  /** Selects what a link led to, where the page and its selection were there already. */
  function heedWanted(): void {
    if (wanted && wanted.selected === standing && selection?.state === "shared") heed();
  }

  function mark(arrived: boolean): void {
    setAttribute(root, "data-class", model.get("selected") ?? "");
    setAttribute(root, "data-page", standing ?? "");
    setAttribute(root, "data-concept", conceptNow() ?? "");
    setAttribute(root, "data-pages", Object.keys(model.get("_pages") ?? {}).length);
    setAttribute(root, "data-similar", standing !== null && model.get("_similar")?.[standing] ? 1 : 0);
    setAttribute(root, "data-kernel", kernel.reachable ? 1 : 0);
    setAttribute(root, "data-ready", arrived ? 1 : 0);
    setAttribute(root, "aria-label", `${TITLE} of ${model.get("_title")}`);
  }

  listen(
    plain,
    "change:selected",
    () => {
      said = "";
    },
    signal,
  );
  on(root, "keydown", (event) => followKey(event), signal);

  function followKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    event.stopPropagation(); // the notebook's own single-key shortcuts
    if ((event.target as Element).matches("input")) return;
    const key = event.key.toLowerCase();
    const act = {
      "?": () => head.popover.toggle(),
      "/": () => side.search(),
      n: () => side.go("after"),
      p: () => side.go("before"),
      r: () => side.go("random"),
      b: () => goBack(),
    }[key];
    if (!act || (event.target as Element).closest(".part")) return;
    event.preventDefault();
    act();
  }

  putUp(el, stand, [...ATLAS_PUBLIC, ...ATLAS_HEARING.traits], { model: plain, kernel, redraw, signal });
}

export default asWidget(mount) satisfies AnyWidget;
