/**
 * What several views have chosen together, as a model of its own that each of them finds by a reference.
 *
 * A choice is set on that model at once, so that all views of the page follow without the kernel, and is sent to Python
 * as one message. Python's change, which carries the request's stamp, is the answer.
 */
import { HostWatch } from "./host_kernel";
import { makeRid } from "./kernel";
import { type AnyModel, listen } from "./model";
import { type LayerName, VERSION } from "./wire";

export interface SelectionTraits extends Record<string, unknown> {
  class_id: number | null;
  concepts: number[];
  images: string[];
  /** What is looked at of maps; none: each view has its own. */
  layers: LayerName[];
  by: "program" | "user";
  /** The last request from a browser that Python has applied. */
  _stamp: string;
}

export type Chosen = Partial<Pick<SelectionTraits, "class_id" | "concepts" | "images" | "layers">>;
type Field = keyof Chosen;

const FIELDS: readonly Field[] = ["class_id", "concepts", "images", "layers"];
const REFERENCE = "IPY_MODEL_";
/** How long a choice is held against changes that were made before Python heard of it, in milliseconds. */
const HOLD = 5_000;

/** `alone`: the host does not find other models, so that a view has only its own traits. */
export type SelectionState = "pending" | "shared" | "alone";

/** What the page has chosen and Python not yet applied. It lies on the model: every view has a copy of this module. */
interface Desk {
  /** Choices that were sent, the oldest first. */
  sent: { rid: string; chosen: Chosen }[];
  /** What was chosen while there was no connection. */
  unsent: Chosen;
  /** All of them together. */
  wanted: Chosen;
  at: number;
  /** One of the views is sending again what was not answered. */
  again: boolean;
}
const DESK = Symbol.for("whatwhere.selection");

export class Selection {
  #model: AnyModel<SelectionTraits> | null = null;
  #state: SelectionState = "pending";
  #changed: () => void;
  #signal: AbortSignal;
  #host: HostWatch;

  /**
   * @param view - the view's model; its `_selection` is the reference
   * @param changed - called when the selection is found, or is not to be found, and after each change of it
   * @param signal - ends all listening
   */
  constructor(view: AnyModel, changed: () => void, signal: AbortSignal) {
    this.#changed = changed;
    this.#signal = signal;
    this.#host = new HostWatch(view.widget_manager, { back: () => this.#sendAgain() }, signal);
    void this.#find(view);
  }

  get state(): SelectionState {
    return this.#state;
  }

  /** What is selected; undefined until the selection is found. */
  get<K extends Field>(name: K): SelectionTraits[K] | undefined {
    return this.#model?.get(name);
  }

  /** Selects on this page, for all views, and tells Python, now or once there is a connection. */
  set(chosen: Chosen): void {
    const model = this.#model;
    if (!model || this.#signal.aborted) return;
    this.#host.look();
    const desk = deskOf(model);
    Object.assign(desk.wanted, chosen);
    desk.at = performance.now();
    const { cut } = this.#host;
    const rid = cut ? "" : note(desk, chosen);
    if (cut) Object.assign(desk.unsent, chosen);
    model.set("by", "user");
    apply(model, chosen);
    if (!cut) send(model, { rid, traits: chosen });
  }

  /** Sends what Python has not applied, in order, since it may have been lost; Python does once what it heard twice. */
  #sendAgain(): void {
    const model = this.#model;
    if (!model || this.#signal.aborted) return;
    const desk = deskOf(model);
    if (desk.again) return;
    desk.again = true;
    queueMicrotask(() => {
      desk.again = false; // all views hear of the connection before this
    });
    desk.at = performance.now(); // Python's older values come back with the connection
    for (const { rid, chosen } of desk.sent) send(model, { rid, again: true, traits: chosen });
    const chosen = desk.unsent;
    desk.unsent = {};
    if (Object.keys(chosen).length > 0) send(model, { rid: note(desk, chosen), traits: chosen });
    send(model, { kind: "back", rid: makeRid() });
  }

  async #find(view: AnyModel): Promise<void> {
    const found = await findModel(view);
    if (this.#signal.aborted) return;
    this.#model = found;
    this.#state = found ? "shared" : "alone";
    if (found) {
      const heed = () => {
        holdChoice(found);
        this.#changed();
      };
      for (const name of [...FIELDS, "_stamp"]) listen(found, `change:${name}`, heed, this.#signal);
    }
    this.#changed();
  }
}

async function findModel(view: AnyModel): Promise<AnyModel<SelectionTraits> | null> {
  const reference = view.get("_selection");
  if (typeof reference !== "string" || !reference.startsWith(REFERENCE)) return null;
  try {
    const found = await view.widget_manager?.get_model(reference.slice(REFERENCE.length));
    return (found as AnyModel<SelectionTraits> | undefined) ?? null;
  } catch (error) {
    console.debug("[whatwhere] this host finds no other models", error);
    return null;
  }
}

function deskOf(model: AnyModel<SelectionTraits>): Desk {
  const holder = model as { [DESK]?: Desk };
  holder[DESK] ??= { sent: [], unsent: {}, wanted: {}, at: Number.NEGATIVE_INFINITY, again: false };
  return holder[DESK];
}

/** Notes what is sent, before any view hears of it, and gives it a mark. */
function note(desk: Desk, chosen: Chosen): string {
  const rid = makeRid();
  desk.sent.push({ rid, chosen });
  return rid;
}

function send(model: AnyModel<SelectionTraits>, body: object): void {
  try {
    model.send({ kind: "set", v: VERSION, ...body });
  } catch (error) {
    console.debug("[whatwhere] could not send a selection", error);
  }
}

/** Takes back what Python applied before it heard of the page's last choice. */
function holdChoice(model: AnyModel<SelectionTraits>): void {
  const desk = deskOf(model);
  const place = desk.sent.findIndex(({ rid }) => rid === model.get("_stamp"));
  desk.sent.splice(0, place + 1);
  const settled = desk.sent.length === 0 && Object.keys(desk.unsent).length === 0;
  if (settled) desk.wanted = {};
  else if (place >= 0 || performance.now() - desk.at < HOLD) apply(model, desk.wanted);
}

function apply(model: AnyModel<SelectionTraits>, chosen: Chosen): void {
  for (const name of FIELDS) {
    const value = chosen[name];
    if (value !== undefined && !same(model.get(name), value)) model.set(name, value);
  }
}

/** Whether two values of a field are equal. */
export function same(a: unknown, b: unknown): boolean {
  return a === b || (Array.isArray(a) && JSON.stringify(a) === JSON.stringify(b));
}
