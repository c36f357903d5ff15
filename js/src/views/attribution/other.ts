/** Asking for a class that is not in the list. */
import { h, on, setAttribute, setText, show } from "../../core/dom";
import type { Context, Part } from "./context";
import { kernelWords } from "./words";

const ASKING = "Asking…";

/** Makes the field, and the answers below it. */
export function makeOther(context: Context): Part {
  const { kernel, act, signal } = context;
  const field = h("input", {
    type: "text",
    class: "other",
    placeholder: "Other class…",
    "aria-label": "Other class: name or id, then Enter",
    autocomplete: "off",
    spellcheck: "false",
    enterkeyhint: "go",
  });
  const message = h("p", { class: "sm mut", role: "status" });
  const near = h("div", { class: "near", role: "group", "aria-label": "Classes with a similar name" });
  const node = h("div", { class: "otherbox" }, field, message, near);
  let image = "";
  let asked = 0;

  const say = (text: string, suggestions: readonly { id: number; name: string }[] = []) => {
    setText(message, text);
    near.replaceChildren(
      ...suggestions.map(({ id, name }) =>
        h("button", { class: "link", type: "button", "data-id": id }, name),
      ),
    );
    show(message, text !== "");
    show(near, suggestions.length > 0);
  };

  async function explain(query: string | number): Promise<void> {
    const mine = ++asked;
    say(ASKING);
    const reply = await kernel.ask("explain", { image, query, select: true });
    if (signal.aborted || mine !== asked) return;
    if (reply.kind === "refused") {
      say(reply.message, reply.suggestions ?? []);
      return;
    }
    if (near.contains((node.getRootNode() as ShadowRoot).activeElement)) field.focus();
    field.value = "";
    say("");
    act.redraw();
  }

  on(
    field,
    "keydown",
    (event) => {
      if (event.key === "Escape" && (field.value !== "" || message.textContent !== "")) {
        event.stopPropagation();
        asked += 1;
        field.value = "";
        say("");
      }
      if (event.key !== "Enter" || event.isComposing) return;
      event.preventDefault();
      const query = field.value.trim();
      if (query !== "") void explain(/^\d+$/.test(query) ? Number(query) : query);
    },
    signal,
  );
  on(
    near,
    "click",
    (event) => {
      const id = (event.target as HTMLElement).dataset.id;
      if (id !== undefined) void explain(Number(id));
    },
    signal,
  );
  say("");

  return {
    node,
    update(shown) {
      image = shown.image?.name ?? "";
      field.disabled = !kernel.reachable;
      if (field.disabled && message.textContent === ASKING) say("");
      setAttribute(field, "title", kernelWords(kernel) || null);
    },
  };
}
