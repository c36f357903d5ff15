/** The concepts: as cards with crops, and beyond a dozen as a list. */
import { h, icon, on, patchChildren, setAttribute, setText, show } from "../../core/dom";
import { walkWithArrows } from "../../core/roving";
import { paintChips, tint } from "./chip";
import type { Context, Part } from "./context";
import { makeMenu } from "./menu";
import { makeNameField, type NameField } from "./names";
import type { Protos } from "./protos";
import { paintTiles, type Sprite, type Tile } from "./sprite";
import { type Concept, cropsOf, type Shown } from "./state";
import { cardWords, letters, NO_CROPS, shareWords } from "./words";

/** More concepts than this do not all get a card … */
const CARDS = 12;
/** … but this many, and the others a line in a list. */
const CARDS_BEFORE_LIST = 6;
/** Canvas of a card: one large crop and two small ones, with a gap. */
const LARGE = 168;
const SMALL = 82;
const GAP = 4;

interface Card {
  face: HTMLButtonElement;
  more: HTMLButtonElement;
  canvas: HTMLCanvasElement;
  chip: HTMLElement;
  name: HTMLElement;
  bar: HTMLElement;
  share: HTMLElement;
  spoken: HTMLElement;
  field: NameField;
  concept: Concept | null;
}

/** Makes the cards, the list below them, and what says how many are hidden. */
export function makeCards(
  context: Context,
  sprite: Sprite,
  protos: Protos,
  writeNote: (id: number) => void,
): Part {
  const { model, state, act, history, signal } = context;
  const cards = new WeakMap<Element, Card>();
  const grid = h("div", { class: "cards" });
  const list = h("div", { class: "list" });
  const group = h("div", { class: "deck", role: "group", "aria-label": "Concepts" }, grid, list);
  const empty = h("p", { class: "mut blankcards" });
  const hidden = h("button", { class: "link sm", type: "button" });
  const undo = h("button", { class: "link sm", type: "button", title: "Ctrl+Z" });
  const merge = h("button", { class: "link sm", type: "button", title: "G" });
  const hint = h("span", { class: "sm caution", role: "status" });
  const foot = h("div", { class: "deckfoot" }, hidden, undo, merge, hint);
  const menu = makeMenu(context, writeNote);
  const node = h("div", { class: "what" }, group, empty, foot, menu.node);
  let stop: number | null = null;
  let order: number[] = [];
  let layers: Concept[] = [];
  const others = (concept: Concept) => layers.filter((each) => each !== concept);

  const make = () => {
    const card = makeCard(context);
    cards.set(card.node, card);
    return card.node;
  };
  const cardAt = (target: EventTarget | null) => {
    const found = (target as Element | null)?.closest(".card");
    return found ? cards.get(found) : undefined;
  };
  on(hidden, "click", () => act.toggle("showHidden"), signal);
  on(undo, "click", () => act.undo(), signal);
  on(merge, "click", () => act.merge(layers), signal);
  walkWithArrows(group, (face) => moveStop(cardAt(face)?.concept?.id ?? null), signal, ".face");
  const moveStop = (id: number | null) => {
    stop = id;
    for (const node of [...grid.children, ...list.children]) setStop(cards.get(node), stop);
  };
  on(
    group,
    "click",
    (event) => {
      const card = cardAt(event.target);
      if (!card?.concept) return;
      if (card.more.contains(event.target as Node))
        menu.open(card.concept, others(card.concept), card.more, card.more);
      else if (!card.face.contains(event.target as Node)) return;
      else if (event.ctrlKey || event.metaKey || event.shiftKey) act.toggleConcept(card.concept.id);
      else act.open(card.concept.id);
    },
    signal,
  );
  on(
    group,
    "dblclick",
    (event) => {
      const card = cardAt(event.target);
      if (card?.concept && card.name.contains(event.target as Node))
        act.startRenaming(card.concept.id, "card");
    },
    signal,
  );
  on(
    group,
    "keydown",
    (event) => {
      const card = cardAt(event.target);
      if (!card?.concept || event.target !== card.face || event.altKey || event.ctrlKey || event.metaKey)
        return;
      const { concept } = card;
      const { id } = concept;
      const open = () => menu.open(concept, others(concept), card.more, card.face);
      const run = {
        " ": () => act.toggleConcept(id),
        f2: () => act.startRenaming(id, "card"),
        p: () => act.togglePinned(id),
        h: () => act.toggleHidden(id),
        v: () => protos.some && act.setCards(protos.kind === "crops" ? "prototypes" : "crops"),
        g: () => (event.shiftKey ? act.takeApart(concept) : act.merge([concept, ...others(concept)])),
        m: open,
        contextmenu: open,
      }[event.key.toLowerCase()];
      if (!run) return;
      event.preventDefault();
      run();
    },
    signal,
  );
  // Space acts when it goes down; Firefox would press the button once more when it comes up
  on(group, "keyup", (event) => event.key === " " && event.preventDefault(), signal);

  function fill(place: HTMLElement, concepts: readonly Concept[], shown: Shown): void {
    const keys = concepts.map(({ id }) => String(id));
    patchChildren(place, keys, make).forEach((node, i) => {
      const [card, concept] = [cards.get(node), concepts[i]];
      if (card && concept) updateCard(card, node, concept, shown);
    });
    show(place, concepts.length > 0);
  }

  function updateCard(card: Card, node: HTMLElement, concept: Concept, shown: Shown): void {
    card.concept = concept;
    tint(node, concept, state.dark);
    setAttribute(node, "data-on", concept.on ? 1 : 0);
    setAttribute(node, "data-open", concept === shown.opened ? 1 : 0);
    setAttribute(node, "data-hidden", concept.hidden || null);
    setAttribute(node, "data-pinned", concept.pinned || null);
    setAttribute(node, "data-dead", concept.dead || null);
    setAttribute(card.face, "aria-pressed", concept.on ? "true" : "false");
    setAttribute(card.face, "title", concept.note ? `${concept.title}: ${concept.note}` : concept.title);
    setAttribute(card.more, "aria-label", `Menu of concept ${concept.letter}`);
    setText(card.name, concept.title);
    setAttribute(card.name, "data-named", concept.name ? 1 : 0);
    setText(card.share, shareWords(concept));
    const small = node.parentElement === list;
    const grown = !small && protos.kind === "prototypes" && protos.has(concept);
    setAttribute(node, "data-grown", grown || null);
    setText(card.spoken, cardWords(concept, grown));
    const top = Math.max(...shown.rows.map(({ importance }) => importance));
    card.bar.style.width = `${Math.max(0.8, (100 * concept.importance) / Math.max(top, 1e-9))}%`;
    paintChips(card.chip, concept, state.dark);
    card.field.update(concept);
    setStop(card, stop);
    paintMosaic(card.canvas, concept, small, grown);
  }

  function paintMosaic(canvas: HTMLCanvasElement, concept: Concept, small: boolean, grown: boolean): void {
    const bitmap = sprite.get(model.get("_sprite"));
    const crops = cropsOf(model.get("_crops") ?? [], concept, "active");
    if (!bitmap) return;
    const places: Omit<Tile, "at">[] = small
      ? [{ x: 0, y: 0, side: SMALL }]
      : [
          { x: 0, y: 0, side: LARGE },
          { x: LARGE + GAP, y: 0, side: SMALL },
          { x: LARGE + GAP, y: SMALL + GAP, side: SMALL },
        ];
    const free = grown ? places.slice(1) : places; // crops stay beside a prototype, which is no data
    const tiles = free.flatMap((place, i) => (crops[i] ? [{ ...place, at: crops[i].at }] : []));
    const size = small ? ([SMALL, SMALL] as const) : ([LARGE + GAP + SMALL, LARGE] as const);
    const anew = paintTiles(
      canvas,
      size,
      bitmap,
      model.get("_sprite_side"),
      model.get("_sprite_columns"),
      tiles,
    );
    if (grown) protos.paintSmall(canvas, concept.id, LARGE, anew);
  }

  return {
    node,
    update(shown) {
      const { concepts } = shown;
      const split = concepts.length > CARDS ? CARDS_BEFORE_LIST : concepts.length;
      const focused = (node.getRootNode() as ShadowRoot).activeElement;
      const inside = group.contains(focused);
      const ids = concepts.map(({ id }) => id);
      const left = inside && !ids.includes(cardAt(focused)?.concept?.id ?? -1);
      if (!inside && shown.opened && ids.includes(shown.opened.id)) stop = shown.opened.id;
      // a card that goes hands the focus to its neighbour
      if (!ids.includes(stop ?? -1))
        stop = ids[Math.min(Math.max(0, order.indexOf(stop ?? -1)), ids.length - 1)] ?? null;
      order = ids;
      layers = shown.layers.map(({ concept }) => concept);
      const gone = inside && layers.length === 1 && left ? layers[0]?.id : undefined;
      if (gone !== undefined) stop = gone; // what was merged hands it to the whole
      setAttribute(group, "data-some", shown.layers.length > 0 || null);
      fill(grid, concepts.slice(0, split), shown);
      fill(list, concepts.slice(split), shown);
      if (left) group.querySelector<HTMLElement>('.face[tabindex="0"]')?.focus({ preventScroll: true });
      show(empty, !shown.bank || (model.get("_crops") ?? []).length === 0);
      setText(empty, emptyWords(shown));
      setText(hidden, hiddenWords(shown, state.showHidden));
      show(hidden, shown.hidden > 0);
      setText(undo, history.next ? `Undo: ${history.next}` : "");
      show(undo, history.next !== "");
      setText(merge, layers.length > 1 ? `Merge ${letters(layers)}` : "");
      show(merge, layers.length > 1);
      setText(hint, state.hint);
    },
  };
}

function setStop(card: Card | undefined, stop: number | null): void {
  if (!card) return;
  const here = card.concept?.id === stop;
  setAttribute(card.face, "tabindex", here ? 0 : -1);
  setAttribute(card.more, "tabindex", here ? 0 : -1);
}

function makeCard(context: Context): Card & { node: HTMLElement } {
  const canvas = h("canvas", { "aria-hidden": "true" });
  const chip = h("span", { class: "chips" });
  const name = h("span", { class: "name" });
  const bar = h("i");
  const share = h("span");
  const spoken = h("span", { class: "vh" });
  const face = h(
    "button",
    { class: "face", type: "button" },
    h("span", { class: "mos" }, canvas),
    h("span", { class: "nm" }, chip, " ", name),
    " ",
    h("span", { class: "im" }, h("u", {}, bar), share),
    spoken,
  );
  const more = h(
    "button",
    { class: "more icon", type: "button", "aria-haspopup": "menu", "aria-expanded": "false" },
    icon("more"),
  );
  const field = makeNameField(context, "card", face);
  const node = h("div", { class: "card" }, face, more, field.node);
  return { node, face, more, canvas, chip, name, bar, share, spoken, field, concept: null };
}

function emptyWords(shown: Shown): string {
  if (shown.bank) return NO_CROPS;
  return shown.status.state === "computing" ? "Concepts appear here as they are found." : "No concepts yet.";
}

function hiddenWords(shown: Shown, showing: boolean): string {
  return `${showing ? "Leave out" : "Show"} ${shown.hidden} hidden`;
}
