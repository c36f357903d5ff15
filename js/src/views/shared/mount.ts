/** How a view comes onto a page: in a shadow of its own, drawn again as its model changes, until it is taken away. */
import { h, on } from "../../core/dom";
import { type AnyModel, listen } from "../../core/model";
import { followTheme } from "../../core/theme";
import type { Redraw } from "../../core/timing";
import type { Host } from "./parts";

/** Where a view stands. */
export interface Stand {
  /** Holds the shadow. */
  host: HTMLElement;
  /** Holds the view, inside. */
  root: HTMLElement;
}

/** What keeps a view up to date. */
interface Upkeep {
  model: Pick<AnyModel, "on" | "off">;
  kernel: { poke(): void };
  redraw: Redraw;
  signal: AbortSignal;
}

/** Makes a place for a view's nodes, with its style; the notebook's own shortcuts are not heard in it. */
export function makeStand(style: string, ...nodes: HTMLElement[]): Stand {
  const root = h("div", { class: "ww", role: "region", "data-lm-suppress-shortcuts": "true" }, ...nodes);
  const host = h("div", { "data-lm-suppress-shortcuts": "true" });
  host.attachShadow({ mode: "open" }).append(h("style", {}, style), root);
  return { host, root };
}

/** Puts a view on the page and draws it, then again when one of the traits changes; the signal takes it away. */
export function putUp(
  el: HTMLElement,
  { host, root }: Stand,
  traits: readonly string[],
  { model, kernel, redraw, signal }: Upkeep,
): void {
  for (const name of traits) listen(model, `change:${name}`, redraw.request, signal);
  for (const type of ["pointerenter", "focusin"] as const) on(root, type, () => kernel.poke(), signal);
  el.append(host);
  signal.addEventListener("abort", () => host.remove(), { once: true });
  followTheme(root, redraw.request, signal);
  redraw.now();
  kernel.poke();
}

/** Tells Python that a frame was drawn, each once. */
export function makeAcknowledger(
  model: { get(name: "_seq"): number },
  kernel: { tell(kind: "ack", body: { seq: number }): void },
): () => void {
  let acknowledged = 0;
  return () => {
    const frame = model.get("_seq");
    if (frame <= acknowledged) return;
    acknowledged = frame;
    kernel.tell("ack", { seq: frame });
  };
}

/** Makes what anywidget wants of a view that stays until a signal aborts. */
export function asWidget<Model>(
  mount: (model: Model, el: HTMLElement, signal: AbortSignal, host?: Host) => void,
) {
  return {
    /** anywidget calls this once for each place where the view is displayed; what it returns takes the view away. */
    render({ model, el, host }: { model: unknown; el: HTMLElement; host?: unknown }): () => void {
      const ending = new AbortController();
      mount(model as Model, el, ending.signal, host as Host | undefined);
      return () => ending.abort();
    },
  };
}
