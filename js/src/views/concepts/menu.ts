/** What can be done with a concept: one small menu that hangs from the card it is asked for. */
import { h, on, setText, show } from "../../core/dom";
import { hang } from "../shared/popover";
import type { Context } from "./context";
import type { Concept } from "./state";
import { letters } from "./words";

export interface Menu {
  node: HTMLElement;
  /**
   * Opens, or closes again.
   *
   * @param concept - what it is for
   * @param others - what lies over the photo besides
   * @param button - what it hangs from
   * @param back - gets the focus afterwards
   */
  open(concept: Concept, others: readonly Concept[], button: HTMLElement, back: HTMLElement): void;
}

type Verb = "on" | "rename" | "note" | "pin" | "hide" | "merge" | "apart";

const VERBS: readonly [Verb, string][] = [
  ["on", "Space"],
  ["rename", "F2"],
  ["note", ""],
  ["merge", "G"],
  ["apart", "Shift+G"],
  ["pin", "P"],
  ["hide", "H"],
];

function verbWords(verb: Verb, concept: Concept, others: readonly Concept[]): string {
  switch (verb) {
    case "merge":
      return others.length ? `Merge with ${letters(others)}` : "Merge …";
    case "apart":
      return "Take apart";
    case "on":
      return concept.on ? "Take off the photo" : "Add to the photo";
    case "rename":
      return "Rename";
    case "note":
      return concept.note ? "Edit note" : "Add a note";
    case "pin":
      return concept.pinned ? "Unpin" : "Pin first";
    case "hide":
      return concept.hidden ? "Show again" : "Hide";
  }
}

/**
 * Makes the menu.
 *
 * @param context - the view
 * @param writeNote - begins to write a note
 */
export function makeMenu(context: Context, writeNote: (id: number) => void): Menu {
  const { act, signal } = context;
  const items = VERBS.map(([verb, key]) => {
    const words = h("span");
    const item = h(
      "button",
      { type: "button", role: "menuitem", tabindex: -1 },
      words,
      ...(key ? [h("kbd", { "aria-hidden": "true" }, key)] : []),
    );
    on(item, "click", () => choose(verb), signal);
    return { verb, words, item };
  });
  const node = h("div", { class: "pop menu", role: "menu", hidden: true }, ...items.map(({ item }) => item));
  let opened: {
    concept: Concept;
    others: readonly Concept[];
    button: HTMLElement;
    back: HTMLElement;
    ending: AbortController;
  } | null = null;

  const close = (focus: boolean) => {
    if (!opened) return;
    const { button, back, ending } = opened;
    opened = null;
    ending.abort();
    show(node, false);
    button.setAttribute("aria-expanded", "false");
    if (focus) back.focus({ preventScroll: true });
  };
  const choose = (verb: Verb) => {
    if (!opened) return;
    const { concept, others } = opened;
    const { id } = concept;
    close(verb !== "rename" && verb !== "note");
    if (verb === "on") act.toggleConcept(id);
    else if (verb === "rename") act.startRenaming(id, "card");
    else if (verb === "note") writeNote(id);
    else if (verb === "pin") act.togglePinned(id);
    else if (verb === "merge") act.merge([concept, ...others]);
    else if (verb === "apart") act.takeApart(concept);
    else act.toggleHidden(id);
  };
  on(
    node,
    "keydown",
    (event) => {
      const there = items.filter(({ item }) => !item.hidden);
      const here = there.findIndex(({ item }) => item === event.target);
      const step = { ArrowDown: 1, ArrowUp: -1, Home: -here, End: there.length - 1 - here }[event.key];
      if (event.key === "Escape" || event.key === "Tab") close(true);
      else if (step !== undefined) there[(here + step + there.length) % there.length]?.item.focus();
      else return;
      event.preventDefault();
      event.stopPropagation();
    },
    signal,
  );
  signal.addEventListener("abort", () => close(false), { once: true });

  return {
    node,
    open(concept, others, button, back) {
      const again = opened?.button === button;
      close(again);
      if (again) return;
      const ending = new AbortController();
      opened = { concept, others, button, back, ending };
      for (const { verb, words, item } of items) {
        setText(words, verbWords(verb, concept, others));
        show(item, verb !== "apart" || concept.parts.length > 1);
      }
      node.setAttribute("aria-label", `Concept ${concept.letter}`);
      button.setAttribute("aria-expanded", "true");
      show(node, true);
      hang(node, button);
      items[0]?.item.focus({ preventScroll: true });
      const outside = (event: Event) => {
        const path = event.composedPath();
        if (!path.includes(node) && !path.includes(button)) close(false);
      };
      on(document, "pointerdown" as keyof HTMLElementEventMap, outside, ending.signal);
    },
  };
}
