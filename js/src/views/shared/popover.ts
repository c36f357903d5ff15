/** Small windows that hang from a button: the keys, and how a map was made. */
import { h, on, setText } from "../../core/dom";

export interface Popover {
  node: HTMLElement;
  toggle(): void;
}

/** Room to the edge of the view, in pixels. */
const MARGIN = 4;

/**
 * Makes a popover.
 *
 * @param button - opens and closes it, and gets the focus back
 * @param title - its heading and name
 * @param content - what it holds
 * @param signal - ends the listening
 */
export function makePopover(
  button: HTMLElement,
  title: string,
  content: HTMLElement,
  signal: AbortSignal,
): Popover {
  const node = h(
    "div",
    { class: "pop", role: "dialog", "aria-label": title, tabindex: -1, hidden: true },
    h("h2", {}, title),
    content,
  );
  let opened: AbortController | null = null;

  const close = (focus: boolean) => {
    if (!opened) return;
    opened.abort();
    opened = null;
    node.hidden = true;
    button.setAttribute("aria-expanded", "false");
    if (focus) button.focus();
  };
  const open = () => {
    opened = new AbortController();
    node.hidden = false;
    button.setAttribute("aria-expanded", "true");
    hang(node, button);
    node.focus({ preventScroll: true });
    const outside = (event: Event) => {
      const path = event.composedPath();
      if (!path.includes(node) && !path.includes(button)) close(false);
    };
    on(document, "pointerdown" as keyof HTMLElementEventMap, outside, opened.signal);
    on(
      node,
      "focusout",
      (event) => {
        const to = event.relatedTarget as Node | null;
        if (to && !node.contains(to) && to !== button) close(false);
      },
      opened.signal,
    );
  };
  const toggle = () => (opened ? close(true) : open());
  button.setAttribute("aria-expanded", "false");
  on(button, "click", toggle, signal);
  on(
    node,
    "keydown",
    (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      close(true);
    },
    signal,
  );
  on(
    button,
    "keydown",
    (event) => {
      if (event.key !== "Escape" || !opened) return;
      event.stopPropagation();
      close(true);
    },
    signal,
  );
  signal.addEventListener("abort", () => close(false), { once: true });
  return { node, toggle };
}

/** Hangs a popover under its button, inside the view's width. */
export function hang(node: HTMLElement, button: HTMLElement): void {
  const root = node.closest<HTMLElement>(".ww");
  const parent = node.offsetParent;
  if (!root || !parent) return;
  const edges = root.getBoundingClientRect();
  const origin = parent.getBoundingClientRect();
  const at = button.getBoundingClientRect();
  const left = Math.min(at.right - node.offsetWidth + 12, edges.right - node.offsetWidth - MARGIN);
  node.style.left = `${Math.max(edges.left + MARGIN, left) - origin.left}px`;
  node.style.top = `${at.bottom - origin.top + MARGIN}px`;
}

/** Copies a text; without the clipboard's permission (plain http) by way of a selection. */
export async function copyText(text: string, near: HTMLElement): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h("textarea", { class: "vh", "aria-hidden": "true", tabindex: -1 });
    area.value = text;
    near.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/** Writes labels and what stands behind them, where they are others. */
export function listTerms(list: HTMLElement, rows: readonly [string, string][]): void {
  const texts = [...list.children].map((each) => each.textContent);
  if (JSON.stringify(texts) === JSON.stringify(rows.flat())) return;
  list.replaceChildren(...rows.flatMap(([label, value]) => [h("dt", {}, label), h("dd", {}, value)]));
}

/** The content of the provenance popover: a table, and the code that makes the same map. */
export function makeAbout(signal: AbortSignal): {
  node: HTMLElement;
  update(rows: [string, string][], code: string): void;
} {
  const list = h("dl");
  const code = h("code", { tabindex: 0, role: "group", "aria-label": "Code" });
  const copy = h("button", { class: "link", type: "button" }, "Copy code");
  const node = h("div", {}, list, code, copy);
  let key = "";
  on(
    copy,
    "click",
    async () => {
      const done = await copyText(code.textContent ?? "", node);
      if (signal.aborted) return;
      setText(copy, done ? "Copied" : "Select the code and copy it by hand");
      copy.focus();
    },
    signal,
  );
  return {
    node,
    update(rows, text) {
      const now = JSON.stringify([rows, text]);
      if (now === key) return;
      key = now;
      listTerms(list, rows);
      setText(code, text);
      setText(copy, "Copy code");
    },
  };
}
