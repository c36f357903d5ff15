/**
 * Host of exported pages: gives each stored view a model without a kernel, and renders it. Views find the models that
 * they share by their references.
 *
 * Nothing is fetched: state, buffers and modules are in the page.
 */
import { decodeBase64 } from "../core/bytes";
import type { AnyModel } from "../core/model";

interface StoredBuffer {
  path: (string | number)[];
  /** base64 */
  data: string;
}

interface StoredModel {
  state: Record<string, unknown>;
  buffers: StoredBuffer[];
}

interface StoredView extends StoredModel {
  kind: string;
  /** Name that other views refer to it by, where one shows it. */
  id?: string;
}

/** Renders the views that a view shows inside itself, as anywidget's own does. */
export interface Host {
  getWidget(reference: string): Promise<{ render(props: { el: HTMLElement }): Promise<void> }>;
}

interface ViewModule {
  default: {
    initialize?(props: { model: AnyModel }): unknown;
    render(props: { model: AnyModel; el: HTMLElement; host: Host }): unknown;
  };
}

type Manager = NonNullable<AnyModel["widget_manager"]>;
type Handler = (...args: unknown[]) => void;

/** Puts each buffer back at its path. */
export function restoreBuffers(state: Record<string, unknown>, buffers: readonly StoredBuffer[]): void {
  for (const { path, data } of buffers) {
    const last = path[path.length - 1];
    if (last === undefined) continue;
    let holder: Record<string | number, unknown> = state;
    for (const step of path.slice(0, -1)) holder = holder[step] as Record<string | number, unknown>;
    holder[last] = decodeBase64(data);
  }
}

/** Makes a model that lives in the page only: changes are told, never sent. */
export function makeModel(state: Record<string, unknown>, manager?: Manager): AnyModel {
  const handlers = new Map<string, Set<Handler>>();
  const fire = (event: string) => {
    for (const handler of [...(handlers.get(event) ?? [])]) handler();
  };
  const model = {
    get: (name: string) => state[name],
    set(name: string, value: unknown) {
      if (Object.is(state[name], value)) return;
      state[name] = value;
      fire(`change:${name}`);
      fire("change");
    },
    on(event: string, handler: Handler) {
      const known = handlers.get(event) ?? new Set();
      handlers.set(event, known.add(handler));
    },
    off: (event: string, handler: Handler) => void handlers.get(event)?.delete(handler),
    save_changes: () => undefined,
    send: () => undefined,
    widget_manager: manager,
  };
  return model as unknown as AnyModel;
}

/** Finds the models that views share; each is made once. */
export function makeManager(stored: Record<string, StoredModel>): Manager {
  const made = new Map<string, AnyModel>();
  return {
    async get_model(id: string) {
      const known = made.get(id);
      if (known) return known;
      const kept = stored[id];
      if (!kept) throw new Error(`The page lacks the model "${id}".`);
      restoreBuffers(kept.state, kept.buffers);
      const model = makeModel(kept.state);
      made.set(id, model);
      return model;
    },
  };
}

/** Imports a module from its text: from a blob: address, or where that is forbidden from a data: address. */
async function importText(text: string): Promise<ViewModule> {
  const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  try {
    return await import(url);
  } catch {
    return await import(`data:text/javascript;charset=utf-8,${encodeURIComponent(text)}`);
  } finally {
    URL.revokeObjectURL(url);
  }
}

function textOf(id: string): string {
  const node = document.getElementById(id);
  if (!node) throw new Error(`The page lacks its part "${id}".`);
  return node.textContent ?? "";
}

const REFERENCE = "anywidget:";

/** Finds the views inside views; each is shown where it is asked for. */
export function makeHost(
  parts: readonly StoredView[],
  show: (view: StoredView, el: HTMLElement) => Promise<void>,
): Host {
  return {
    async getWidget(reference) {
      const part = parts.find(({ id }) => `${REFERENCE}${id}` === reference);
      if (!part) throw new Error(`The page lacks the view "${reference}".`);
      return { render: ({ el }) => show(part, el) };
    },
  };
}

async function showView(view: StoredView, manager: Manager, host: Host, el: HTMLElement): Promise<void> {
  const { default: widget } = await importText(textOf(`ww-esm-${view.kind}`));
  restoreBuffers(view.state, view.buffers);
  const model = makeModel(view.state, manager);
  await widget.initialize?.({ model });
  await widget.render({ model, el, host });
}

/** Says in plain words that a view cannot be shown. */
function showFailure(el: HTMLElement, error: unknown): void {
  const why = error instanceof Error ? error.message : String(error);
  const note = document.createElement("p");
  note.setAttribute("role", "alert");
  note.textContent = `This view cannot be shown in this browser: ${why} A recent Chrome, Edge, Firefox or Safari should open it; if not, export the page again from the notebook.`;
  el.append(note);
}

/** Shows all views of the page, from top to bottom; one that fails does not take the others with it. */
export async function showPage(): Promise<void> {
  const root = document.getElementById("ww-root") ?? document.body;
  try {
    const {
      views,
      parts = [],
      models,
    } = JSON.parse(textOf("ww-state")) as {
      views: StoredView[];
      parts?: StoredView[];
      models: Record<string, StoredModel>;
    };
    const manager = makeManager(models);
    const host = makeHost(parts, (view, el) => showView(view, manager, host, el));
    for (const view of views) {
      const el = document.createElement("div");
      root.append(el);
      await showView(view, manager, host, el).catch((error) => showFailure(el, error));
    }
  } catch (error) {
    showFailure(root, error);
  }
}

if (typeof document !== "undefined" && document.getElementById("ww-state")) void showPage();
