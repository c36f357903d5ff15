/** A choice of a few, in one line: one Tab stop, arrows walk. */
import { h, on, setAttribute } from "../../core/dom";
import { walkWithArrows } from "../../core/roving";

export interface Tabs<K extends string> {
  node: HTMLElement;
  update(chosen: K): void;
}

/** Makes the choice; `titles` say what each means. */
export function makeTabs<K extends string>(
  label: string,
  options: readonly (readonly [K, string, string])[],
  choose: (key: K) => void,
  signal: AbortSignal,
): Tabs<K> {
  const node = h("div", { class: "tabs", role: "radiogroup", "aria-label": label });
  const buttons = options.map(([key, text, title]) =>
    h("button", { type: "button", role: "radio", title, "data-key": key }, text),
  );
  node.append(...buttons);
  const pick = (target: EventTarget | null) => {
    const button = (target as Element | null)?.closest<HTMLElement>("[data-key]");
    if (button) choose(button.dataset.key as K);
  };
  on(node, "click", (event) => pick(event.target), signal);
  walkWithArrows(node, pick, signal);
  return {
    node,
    update(chosen) {
      for (const button of buttons) {
        const here = button.dataset.key === chosen;
        setAttribute(button, "aria-checked", here ? "true" : "false");
        setAttribute(button, "tabindex", here ? 0 : -1);
      }
    },
  };
}
