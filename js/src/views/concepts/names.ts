/** Writing a concept's name in place. */
import { LONGEST_NAME } from "../../core/concept_wire";
import { h, on, show } from "../../core/dom";
import type { Context } from "./context";
import type { Concept } from "./state";

export interface NameField {
  node: HTMLInputElement;
  /** Shows the field while this concept's name is written here. */
  update(concept: Concept): void;
}

/**
 * Makes a field that hides itself until a name is written.
 *
 * @param context - the view
 * @param where - which of a concept's two names it stands for
 * @param instead - hidden meanwhile, and gets the focus back
 */
export function makeNameField(context: Context, where: "card" | "detail", instead: HTMLElement): NameField {
  const { state, act, signal } = context;
  const node = h("input", {
    type: "text",
    class: "namefield",
    maxlength: LONGEST_NAME,
    autocomplete: "off",
    spellcheck: "false",
    hidden: true,
  });
  let concept: Concept | null = null;

  const finish = (keep: boolean, focus: boolean) => {
    if (!concept || node.hidden) return;
    act.rename(concept.id, keep ? node.value.trim() : null);
    if (focus) instead.focus({ preventScroll: true });
  };
  on(
    node,
    "keydown",
    (event) => {
      if (event.isComposing || (event.key !== "Enter" && event.key !== "Escape")) return;
      event.preventDefault();
      event.stopPropagation();
      finish(event.key === "Enter", true);
    },
    signal,
  );
  on(node, "blur", () => finish(true, false), signal);

  return {
    node,
    update(now) {
      concept = now;
      const writing = state.renaming?.where === where && state.renaming.id === now.id;
      if (writing === !node.hidden) return;
      if (writing) {
        node.value = now.name;
        node.placeholder = `Name of ${now.letter}`;
        node.setAttribute("aria-label", `Name of concept ${now.letter}; Enter keeps it, Escape does not`);
      }
      show(node, writing);
      if (writing) {
        node.focus({ preventScroll: true });
        node.select();
      }
    },
  };
}
