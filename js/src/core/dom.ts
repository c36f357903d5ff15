/** Making and patching elements. Patches touch the page only where something changed, so that focus survives. */

type Child = Node | string;
type Attributes = Record<string, string | number | boolean | null>;

/**
 * Makes an element.
 *
 * @param tag - such as `div`
 * @param attributes - false and null leave an attribute out, true sets it empty
 * @param children - nodes and texts
 */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) setAttribute(node, name, value);
  node.append(...children);
  return node;
}

/** Sets, or with false and null removes, an attribute if it differs. */
export function setAttribute(node: Element, name: string, value: string | number | boolean | null): void {
  if (value === false || value === null) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : String(value);
  if (node.getAttribute(name) !== text) node.setAttribute(name, text);
}

/** Sets a text if it differs. */
export function setText(node: Element, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

/** Shows or hides an element. */
export function show(node: HTMLElement, shown: boolean): void {
  if (node.hidden === shown) node.hidden = !shown;
}

/** Listens to an element until a signal aborts. */
export function on<K extends keyof HTMLElementEventMap>(
  node: EventTarget,
  type: K,
  callback: (event: HTMLElementEventMap[K]) => void,
  signal: AbortSignal,
): void {
  node.addEventListener(type, callback as EventListener, { signal });
}

/**
 * Brings a parent's children to a list of keys, reusing those that stay.
 *
 * @param parent - each of its children has `data-key`
 * @param keys - unique, in order
 * @param make - makes the child of a key
 * @returns the children, in order
 */
export function patchChildren(
  parent: Element,
  keys: readonly string[],
  make: (key: string) => HTMLElement,
): HTMLElement[] {
  const old = new Map<string, HTMLElement>();
  for (const child of parent.children)
    old.set((child as HTMLElement).dataset.key ?? "", child as HTMLElement);
  const wanted = keys.map((key) => {
    const node = old.get(key) ?? make(key);
    node.dataset.key = key;
    old.delete(key);
    return node;
  });
  const focused = (parent.getRootNode() as Document | ShadowRoot).activeElement as HTMLElement | null;
  for (const node of old.values()) node.remove();
  wanted.forEach((node, place) => {
    if (parent.children[place] !== node) parent.insertBefore(node, parent.children[place] ?? null);
  });
  // a node that was moved loses the focus
  if (focused && parent.contains(focused)) focused.focus({ preventScroll: true });
  return wanted;
}

const ICONS = {
  info: '<circle cx="7" cy="7" r="5.6" fill="none" stroke="currentColor" stroke-width="1.2"/><path d="M7 6.3v3.6" stroke="currentColor" stroke-width="1.4"/><circle cx="7" cy="4.2" r=".85" fill="currentColor"/>',
  keys: '<path d="M4.6 5.2a2.4 2.4 0 1 1 3.7 2c-.9.6-1.3 1-1.3 2" fill="none" stroke="currentColor" stroke-width="1.3"/><circle cx="7" cy="11.4" r=".9" fill="currentColor"/>',
  note: '<path d="M2.5 11.5l.6-2.4 6-6a1 1 0 0 1 1.4 0l.4.4a1 1 0 0 1 0 1.4l-6 6z" fill="none" stroke="currentColor" stroke-width="1.2"/>',
  more: '<circle cx="2.6" cy="7" r="1.2" fill="currentColor"/><circle cx="7" cy="7" r="1.2" fill="currentColor"/><circle cx="11.4" cy="7" r="1.2" fill="currentColor"/>',
  kernel:
    '<circle cx="7" cy="7" r="4.4" fill="none" stroke="currentColor" stroke-width="1.3" stroke-dasharray="2.2 1.6"/>',
};

/** Makes a small drawing that takes the colour of the text. */
export function icon(name: keyof typeof ICONS): SVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [key, value] of Object.entries({ width: "14", height: "14", viewBox: "0 0 14 14" }))
    svg.setAttribute(key, value);
  svg.setAttribute("aria-hidden", "true");
  svg.innerHTML = ICONS[name];
  return svg;
}
