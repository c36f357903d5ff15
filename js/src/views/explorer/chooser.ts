/** Whose concepts are shown: a class with enough photos, or all photos. */
import { h, on, setText, show } from "../../core/dom";
import type { Found } from "../../core/explorer_wire";
import { choice } from "./words";

const ALL = "all";

export interface Chooser {
  node: HTMLElement;
  update(found: Partial<Found>, disabled: string): void;
}

/**
 * Makes the chooser.
 *
 * @param choose - called with a class, or null for all photos
 * @param signal - ends the listening
 */
export function makeChooser(choose: (target: number | null) => void, signal: AbortSignal): Chooser {
  const select = h("select", { "aria-label": "Concepts of" });
  const waiting = h("span", { class: "mut" }, "chosen once all photos were looked at");
  const node = h("label", { class: "chooser" }, h("span", { class: "mut" }, "Concepts of"), select, waiting);
  let listed = "";
  on(select, "change", () => choose(select.value === ALL ? null : Number(select.value)), signal);

  return {
    node,
    update(found, disabled) {
      const { classes = [], photos = 0, settled = false, explained = null } = found;
      const entries: [string, string][] = [
        [ALL, choice("all photos", photos)],
        ...classes.map(({ id, name, photos: count }): [string, string] => [String(id), choice(name, count)]),
      ];
      const list = JSON.stringify(entries);
      if (list !== listed) {
        listed = list;
        select.replaceChildren(...entries.map(([value, text]) => h("option", { value }, text)));
      }
      show(select, settled);
      show(waiting, !settled);
      select.value = explained === null ? ALL : String(explained);
      select.disabled = disabled !== "" || entries.length < 2;
      select.title = disabled;
      setText(waiting, "chosen once all photos were looked at");
    },
  };
}
