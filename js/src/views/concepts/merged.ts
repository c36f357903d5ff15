/** What a merged concept is made of, and taking it apart. */
import { h, on, setText, show } from "../../core/dom";
import type { Context, Part } from "./context";
import type { Concept } from "./state";
import { mergedWords } from "./words";

/** Makes the line; it hides itself where nothing is merged. */
export function makeMerged({ model, act, signal }: Context, back: HTMLElement): Part {
  const words = h("span");
  const apart = h("button", { class: "link sm", type: "button", title: "Shift+G on its card" }, "Take apart");
  const node = h("p", { class: "ifrow sm mut" }, words, apart);
  let concept: Concept | null = null;
  on(
    apart,
    "click",
    () => {
      if (concept) act.takeApart(concept);
      back.focus({ preventScroll: true }); // the button goes
    },
    signal,
  );
  return {
    node,
    update({ opened }) {
      concept = opened;
      const many = opened !== null && opened.parts.length > 1;
      show(node, many);
      if (opened && many) {
        const grown = model.get("_prototypes")?.ids ?? [];
        const theirs = opened.parts.some(({ id }) => grown.includes(id));
        setText(words, mergedWords(opened, theirs));
      }
    },
  };
}
