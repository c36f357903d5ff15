/** The views inside a view: widgets of their own, which the host renders where they belong. */
import { h } from "../../core/dom";

const REFERENCE = "IPY_MODEL_";

/** What anywidget hands to `render` from 0.11 on, and exported pages as well. */
export interface Host {
  getWidget(
    reference: string,
  ): Promise<{ render(props: { el: HTMLElement; signal: AbortSignal }): Promise<void> }>;
}

/** The hosts' widget manager, where there is no such `host`. */
export interface Manager {
  get_model(id: string): Promise<unknown>;
  create_view?(model: unknown): Promise<{ el: HTMLElement; remove(): void }>;
}

export interface Part {
  node: HTMLElement;
  /** Shows the view behind a reference, in place of another; resolves once it stands there. */
  update(reference: string | undefined): Promise<void>;
}

/**
 * Makes the place of a view.
 *
 * @param name - which
 * @param attribute - how Python reaches it, such as `explorer.where`
 * @param host - renders views, if it can
 * @param manager - finds and makes views, where `host` cannot
 * @param signal - takes the view away
 */
export function makePart(
  name: string,
  attribute: string,
  host: Host | undefined,
  manager: Manager | undefined,
  signal: AbortSignal,
): Part {
  const node = h("div", { class: `part ${name}` });
  let shown: string | undefined;
  let ending = new AbortController();
  signal.addEventListener("abort", () => ending.abort(), { once: true });

  return {
    node,
    async update(reference) {
      if (reference === shown || reference === undefined || signal.aborted) return;
      shown = reference;
      ending.abort();
      ending = new AbortController();
      const el = h("div");
      node.replaceChildren(el);
      try {
        await renderInto(el, reference.slice(REFERENCE.length), host, manager, ending.signal);
      } catch (error) {
        if (!el.isConnected) return; // another view has come meanwhile
        console.debug("[whatwhere] a view inside a view", error);
        el.replaceChildren(
          h(
            "p",
            { class: "sm mut", role: "alert" },
            `This part cannot be shown inside another view here. Show ${attribute} in a cell of its own.`,
          ),
        );
      }
    },
  };
}

async function renderInto(
  el: HTMLElement,
  id: string,
  host: Host | undefined,
  manager: Manager | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (host?.getWidget) {
    const widget = await host.getWidget(`anywidget:${id}`);
    if (!signal.aborted) await widget.render({ el, signal });
    return;
  }
  const model = await manager?.get_model(id);
  const view = await manager?.create_view?.(model);
  if (!view) throw new Error("This host makes no views of other models.");
  if (signal.aborted) return view.remove();
  el.append(view.el);
  signal.addEventListener("abort", () => view.remove(), { once: true });
}
