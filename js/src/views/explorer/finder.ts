/** Photos that are not in the strip: how many there are, and a field that goes to one of them. */
import { h, on, setAttribute, setText, show } from "../../core/dom";
import type { ExplorerReply, Found } from "../../core/explorer_wire";
import { beyondWords } from "./words";

export interface Finder {
  node: HTMLElement;
  update(found: Partial<Found>, disabled: string): void;
}

/**
 * Makes the field.
 *
 * @param find - asks Python for a photo by its name or number
 * @param signal - ends the listening
 */
export function makeFinder(find: (query: string) => Promise<ExplorerReply>, signal: AbortSignal): Finder {
  const words = h("span", { class: "mut" });
  const field = h("input", {
    type: "text",
    class: "find",
    placeholder: "Name or number…",
    "aria-label": "Go to a photo: its name or number, then Enter",
    autocomplete: "off",
    spellcheck: "false",
    enterkeyhint: "go",
  });
  const message = h("span", { class: "mut", role: "status" });
  const near = h("span", { class: "near", role: "group", "aria-label": "Photos with a similar name" });
  const node = h("p", { class: "finder sm" }, words, field, message, near);
  let asked = 0;

  const say = (text: string, names: readonly string[] = []) => {
    setText(message, text);
    near.replaceChildren(...names.map((name) => h("button", { class: "link", type: "button" }, name)));
    show(message, text !== "");
    show(near, names.length > 0);
  };
  async function go(query: string): Promise<void> {
    const mine = ++asked;
    const reply = await find(query);
    if (signal.aborted || mine !== asked) return;
    if (reply.kind === "refused") return say(reply.message, reply.suggestions);
    if (near.contains((node.getRootNode() as ShadowRoot).activeElement)) field.focus();
    field.value = "";
    say("");
  }
  on(
    field,
    "keydown",
    (event) => {
      if (event.key === "Escape") {
        asked += 1;
        field.value = "";
        say("");
      }
      if (event.key !== "Enter" || event.isComposing || field.value.trim() === "") return;
      event.preventDefault();
      void go(field.value.trim());
    },
    signal,
  );
  on(near, "click", (event) => void go((event.target as HTMLElement).textContent ?? ""), signal);
  say("");

  return {
    node,
    update(found, disabled) {
      const text = beyondWords(found);
      show(node, text !== "");
      setText(words, text);
      field.disabled = disabled !== "";
      setAttribute(field, "title", disabled || null);
    },
  };
}
