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
}

/** A view inside another one; its state lies in an element of its own, and is read once it is shown. */
interface StoredPart {
  kind: string;
  /** Name that the other view refers to it by. */
  id: string;
}

/** Renders the views that a view shows inside itself, as anywidget's own does. */
export interface Host {
  getWidget(
    reference: string,
  ): Promise<{ render(props: { el: HTMLElement; signal?: AbortSignal }): Promise<void> }>;
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
  parts: readonly StoredPart[],
  show: (part: StoredPart, el: HTMLElement, signal?: AbortSignal) => Promise<void>,
): Host {
  return {
    async getWidget(reference) {
      const part = parts.find(({ id }) => `${REFERENCE}${id}` === reference);
      if (!part) throw new Error(`The page lacks the view "${reference}".`);
      return { render: ({ el, signal }) => show(part, el, signal) };
    },
  };
}

/** Shows stored views; a module is unpacked once, and a part read once: what was chosen in it stays while it is away. */
function makeShows(manager: Manager, parts: readonly StoredPart[]) {
  const modules = new Map<string, Promise<ViewModule>>();
  const read = new Map<string, AnyModel>();
  const host = makeHost(parts, showPart);

  async function put(kind: string, model: AnyModel, el: HTMLElement, signal?: AbortSignal): Promise<void> {
    const module = modules.get(kind) ?? importText(textOf(`ww-esm-${kind}`));
    modules.set(kind, module);
    const { default: widget } = await module;
    await widget.initialize?.({ model });
    if (signal?.aborted) return;
    const leave = await widget.render({ model, el, host });
    if (typeof leave !== "function" || !signal) return;
    if (signal.aborted) leave();
    else signal.addEventListener("abort", () => leave(), { once: true });
  }

  async function showPart({ kind, id }: StoredPart, el: HTMLElement, signal?: AbortSignal): Promise<void> {
    let model = read.get(id);
    if (!model) {
      const { state, buffers } = JSON.parse(textOf(`ww-${id}`)) as StoredModel;
      document.getElementById(`ww-${id}`)?.remove(); // it lives in the model from now on
      restoreBuffers(state, buffers);
      model = makeModel(state, manager);
      read.set(id, model);
    }
    await put(kind, model, el, signal);
  }

  async function showView({ kind, state, buffers }: StoredView, el: HTMLElement): Promise<void> {
    restoreBuffers(state, buffers);
    await put(kind, makeModel(state, manager), el);
  }

  return showView;
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
      parts?: StoredPart[];
      models: Record<string, StoredModel>;
    };
    const manager = makeManager(models);
    const showView = makeShows(manager, parts);
    for (const view of views) {
      const el = document.createElement("div");
      root.append(el);
      await showView(view, el).catch((error) => showFailure(el, error));
    }
  } catch (error) {
    showFailure(root, error);
  }
}

if (typeof document !== "undefined" && document.getElementById("ww-state")) void showPage();
