/** A choice of one of a few words. */
import { h, on, setAttribute, show } from "../../core/dom";
import { walkWithArrows } from "../../core/roving";

export interface Segments<T extends string> {
  node: HTMLElement;
  /** Marks the choice, and hides what cannot be chosen. */
  update(chosen: T, possible?: (value: T) => boolean): void;
}

/**
 * Makes it: one Tab stop, arrows walk.
 *
 * @param label - what is chosen
 * @param options - value, word, and what it means
 * @param choose - called with the choice
 * @param signal - ends the listening
 */
export function makeSegments<T extends string>(
  label: string,
  options: readonly [T, string, string][],
  choose: (value: T) => void,
  signal: AbortSignal,
): Segments<T> {
  const buttons = options.map(([value, text, title]) =>
    h("button", { type: "button", role: "radio", "data-key": value, "data-t": text, title }, text),
  );
  const node = h("div", { class: "seg", role: "radiogroup", "aria-label": label }, ...buttons);
  const pick = (target: EventTarget | null) => {
    const place = buttons.indexOf(target as HTMLButtonElement);
    const option = options[place];
    if (option) choose(option[0]);
  };
  on(node, "click", (event) => pick(event.target), signal);
  walkWithArrows(node, pick, signal, "button:not([hidden])");
  return {
    node,
    update(chosen, possible = () => true) {
      options.forEach(([value], place) => {
        const button = buttons[place] as HTMLElement;
        show(button, possible(value));
        setAttribute(button, "aria-checked", value === chosen ? "true" : "false");
        setAttribute(button, "tabindex", value === chosen ? 0 : -1);
      });
    },
  };
}
