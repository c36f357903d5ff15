/** The opened concept: what it weighs, its crops, the classes it speaks for, and a note. */
import { LONGEST_NOTE } from "../../core/concept_wire";
import { h, icon, on, patchChildren, setAttribute, setText, show } from "../../core/dom";
import { amount } from "../../core/format";
import { walkWithArrows } from "../../core/roving";
import { debounce } from "../../core/timing";
import type { PhotoStore } from "../shared/photos";
import { paintChips } from "./chip";
import type { Context, Part } from "./context";
import { makeMerged } from "./merged";
import { makeNameField } from "./names";
import { makePeek } from "./peek";
import type { Protos } from "./protos";
import { makeProto } from "./prototypes";
import { makeSegments } from "./segments";
import { makeSplit } from "./split";
import { paintTiles, type Sprite } from "./sprite";
import { cropsOf, type Shown } from "./state";
import { closestClasses } from "./whatif";
import { letters, NO_CROPS, presentWords, TABS, weightWords } from "./words";

/** Crops that are shown. */
const CROPS = 12;
/** Time after the last key until a note is kept, in milliseconds. */
const NOTE_AFTER = 600;

export interface DetailPart extends Part {
  /** Begins to write a note of a concept. */
  writeNote(id: number): void;
}

/** Makes the band. */
export function makeDetail(context: Context, sprite: Sprite, photos: PhotoStore, protos: Protos): DetailPart {
  const { state, act, signal } = context;
  const chip = h("span", { class: "chips" });
  const name = h("button", { class: "nameit", type: "button", title: "Rename (F2)" });
  const field = makeNameField(context, "detail", name);
  const weight = h("span", { class: "mut" });
  const tabs = makeTabs(context);
  const head = h(
    "div",
    { class: "dh" },
    h("h2", {}, chip, name, field.node),
    weight,
    h("span", { class: "sp" }),
    tabs.node,
  );
  const merged = makeMerged(context, name);
  const crops = makeCrops(context, sprite, photos);
  const proto = makeProto(context, protos);
  const facts = makeFacts(context);
  const split = makeSplit(context);
  const note = makeNote(context, name);
  const told = h("div", {}, crops.node, facts.node, note.node, split.node);
  const shows = h("div", { class: "shows" }, proto.node, told);
  const node = h("section", { class: "band", "aria-label": "The opened concept" }, head, merged.node, shows);
  const parts = [tabs, merged, proto, crops, facts, note, split];
  let opened: number | null = null;

  on(name, "click", () => opened !== null && act.startRenaming(opened, "detail"), signal);
  on(
    name,
    "keydown",
    (event) => {
      if (event.key === "F2" && opened !== null) act.startRenaming(opened, "detail");
    },
    signal,
  );

  return {
    node,
    writeNote(id) {
      act.open(id);
      note.begin();
    },
    update(shown) {
      show(node, shown.opened !== null);
      if (!shown.opened) return;
      opened = shown.opened.id;
      paintChips(chip, shown.opened, state.dark);
      setText(name, shown.opened.name || `Name concept ${letters([shown.opened])}`);
      setAttribute(name, "data-named", shown.opened.name ? 1 : 0);
      show(name, state.renaming?.where !== "detail");
      field.update(shown.opened);
      setText(weight, weightWords(shown.opened));
      for (const part of parts) part.update(shown);
      setAttribute(shows, "data-grown", proto.node.hidden ? null : 1);
    },
  };
}

function makeTabs({ model, state, act, signal }: Context): Part {
  const { node, update } = makeSegments("Which crops", TABS, act.setTab, signal);
  return {
    node,
    update() {
      const known = new Set((model.get("_crops") ?? []).flat().map(({ kind }) => kind));
      update(known.has(state.tab) ? state.tab : "active", (kind) => known.has(kind));
      show(node, known.size > 1);
    },
  };
}

function makeCrops({ model, state, act, kernel, signal }: Context, sprite: Sprite, photos: PhotoStore): Part {
  const group = h("div", { class: "crops", role: "group" });
  const empty = h("p", { class: "mut" });
  const peek = makePeek();
  const node = h("div", { class: "cropbox" }, group, empty, peek.node);
  let shown: Shown | null = null;
  let list: ReturnType<typeof cropsOf> = [];
  let stop = 0;

  const at = (target: EventTarget | null) => {
    const button = (target as Element | null)?.closest<HTMLElement>("[data-key]");
    const place = button ? [...group.children].indexOf(button) : -1;
    return button && list[place] ? { button, place, crop: list[place].crop } : null;
  };
  const look = (target: EventTarget | null) => {
    const found = at(target);
    if (!found) return peek.close();
    const images = model.get("_images") ?? [];
    const place = images.findIndex(({ name }) => name === found.crop.image);
    peek.open(found.button, found.crop, images[place], place < 0 ? null : photos.get(place));
  };
  on(group, "pointerover", (event) => look(event.target), signal);
  on(group, "pointerleave", () => peek.close(), signal);
  on(
    group,
    "focusin",
    (event) => {
      stop = at(event.target)?.place ?? 0;
      setStops();
      if ((event.target as Element).matches(":focus-visible")) look(event.target);
    },
    signal,
  );
  on(group, "focusout", () => peek.close(), signal);
  on(
    group,
    "keydown",
    (event) => {
      if (event.key !== "Escape" || peek.node.hidden) return;
      event.stopPropagation();
      peek.close();
    },
    signal,
  );
  on(
    group,
    "click",
    (event) => {
      const found = at(event.target);
      const images = model.get("_images") ?? [];
      // Python brings a photo into the strip that is not there yet
      const there = images.some(({ name }) => name === found?.crop.image);
      if (found && (there || (kernel.reachable && !model.get("_model")?.photos)))
        act.selectImage(found.crop.image);
    },
    signal,
  );
  walkWithArrows(group, () => undefined, signal);

  function setStops(): void {
    [...group.children].forEach((button, i) => {
      setAttribute(button, "tabindex", i === Math.min(stop, list.length - 1) ? 0 : -1);
    });
  }

  const make = () => h("button", { type: "button" }, h("canvas", { "aria-hidden": "true" }));
  return {
    node,
    update(now) {
      shown = now;
      const concept = shown.opened;
      if (!concept) return;
      const all = model.get("_crops") ?? [];
      const tab = cropsOf(all, concept, state.tab).length ? state.tab : "active";
      list = cropsOf(all, concept, tab).slice(0, CROPS);
      setAttribute(group, "aria-label", `Crops of ${concept.title}`);
      const buttons = patchChildren(
        group,
        list.map((_, i) => String(i)),
        make,
      );
      const bitmap = sprite.get(model.get("_sprite"));
      const side = model.get("_sprite_side");
      buttons.forEach((button, i) => {
        const each = list[i];
        if (!each) return;
        const { crop, at, part } = each;
        const of = concept.parts.length > 1 ? ` ${part.letter}` : "";
        setAttribute(
          button,
          "aria-label",
          `Crop ${i + 1}, ${amount(crop.activation)} of code${of}, from ${crop.image}`,
        );
        setAttribute(button, "data-here", crop.image === shown?.image?.name || null);
        const canvas = button.firstElementChild as HTMLCanvasElement;
        if (bitmap)
          paintTiles(canvas, [side, side], bitmap, side, model.get("_sprite_columns"), [
            { at, x: 0, y: 0, side },
          ]);
      });
      setStops();
      show(group, list.length > 0);
      show(empty, list.length === 0);
      setText(empty, concept.dead ? "No photo uses this concept." : NO_CROPS);
      if (!peek.node.hidden && !group.matches(":hover, :focus-within")) peek.close();
    },
  };
}

function makeFacts({ model }: Context): Part {
  const classes = h("span");
  const present = h("span", {
    title: "A concept is in a photo if it is at least 8 % of what its concepts add and take",
  });
  const node = h("p", { class: "facts2 sm mut" }, classes, present);
  let key = "";
  return {
    node,
    update({ bank, opened }) {
      if (!bank || !opened) return;
      const onPage = model.get("_embedded") === "page"; // which lists them, with the way to each
      const close = onPage ? [] : (closestClasses(model, bank, opened) ?? []);
      setText(present, presentWords(bank, opened, model.get("_images") ?? []));
      const now = JSON.stringify(close);
      if (now === key) return;
      key = now;
      const told = close
        .slice(0, 4)
        .flatMap(({ name, value }, i) => [
          i ? ", " : "Speaks for: ",
          h("b", {}, name),
          ` ${value.toFixed(2)}`,
        ]);
      classes.replaceChildren(...told);
      setAttribute(classes, "title", "Classes to whose logit it adds most, on average");
    },
  };
}

function makeNote({ act, signal }: Context, back: HTMLElement): Part & { begin(): void } {
  const text = h("textarea", {
    rows: 2,
    "aria-label": "Note",
    placeholder: "A note on this concept",
    maxlength: LONGEST_NOTE,
    hidden: true,
  });
  const add = h("button", { class: "link sm", type: "button" }, icon("note"), "Add a note");
  const node = h("div", { class: "note" }, add, text);
  let id: number | null = null;
  let writing = false;
  const keep = () => {
    if (id !== null) act.note(id, text.value);
  };
  const keepSoon = debounce(keep, NOTE_AFTER, signal);
  const begin = () => {
    writing = true;
    show(text, true);
    show(add, false);
    text.focus();
  };
  on(add, "click", begin, signal);
  on(text, "input", keepSoon, signal);
  on(
    text,
    "blur",
    () => {
      keep();
      writing = false;
      act.redraw();
    },
    signal,
  );
  on(
    text,
    "keydown",
    (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      writing = false;
      back.focus({ preventScroll: true });
    },
    signal,
  );
  return {
    node,
    begin,
    update({ opened }) {
      if (!opened) return;
      if (id !== opened.id) {
        if (writing) keep();
        id = opened.id;
        text.value = opened.note;
      }
      const focused = (node.getRootNode() as ShadowRoot).activeElement === text;
      if (!focused && text.value !== opened.note) text.value = opened.note;
      const open = writing || focused || opened.note !== "";
      show(text, open);
      show(add, !open);
    },
  };
}
