/** A model without a kernel, a page without layout, and a realistic state. */
import type { AnyModel } from "../src/core/model";
import type { SelectionTraits } from "../src/core/selection";
import type { ClassMap, MapInfo, Status, Traits } from "../src/core/wire";

type Handler = (...args: unknown[]) => void;

export interface Message {
  kind: string;
  rid: string;
  v: number;
  [name: string]: unknown;
}

/** Behaves as anywidget's model, and remembers what was sent. */
export class FakeModel {
  handlers = new Map<string, Handler[]>();
  sent: Message[] = [];
  broken = false;
  widget_manager: AnyModel["widget_manager"];

  constructor(public state: Partial<Traits> & Record<string, unknown>) {}

  get(name: string): unknown {
    return this.state[name];
  }
  set(name: string, value: unknown): void {
    if (this.state[name] === value) return;
    this.state[name] = value;
    this.fire(`change:${name}`);
  }
  on(event: string, handler: Handler): void {
    this.handlers.set(event, [...(this.handlers.get(event) ?? []), handler]);
  }
  off(event: string, handler: Handler): void {
    this.handlers.set(
      event,
      (this.handlers.get(event) ?? []).filter((each) => each !== handler),
    );
  }
  send(content: unknown): void {
    if (this.broken) throw new Error("the comm is closed");
    this.sent.push(content as Message);
  }
  fire(event: string, ...args: unknown[]): void {
    for (const handler of this.handlers.get(event) ?? []) handler(...args);
  }
  /** As if Python had sent a message. */
  receive(content: unknown): void {
    this.fire("msg:custom", content, []);
  }
  kinds(): string[] {
    return this.sent.map(({ kind }) => kind);
  }
  /** Traits that the view sent to Python, newest last. */
  get saved(): unknown[] {
    return this.sent.filter(({ kind }) => kind === "set").map(({ traits }) => traits);
  }
  get listeners(): number {
    return [...this.handlers.values()].reduce((sum, list) => sum + list.length, 0);
  }
  get model(): AnyModel {
    return this as unknown as AnyModel;
  }
}

/** The model of what is selected, and the manager that finds it, as the host has it. */
export function makeSelection(more: Partial<SelectionTraits> = {}): FakeModel {
  return new FakeModel({
    class_id: null,
    concepts: [],
    images: ["coffee"],
    layers: [],
    by: "program",
    _stamp: "",
    ...more,
  });
}

type Slot = (sender: unknown, told?: unknown) => void;

/** A host's manager of widgets, with a kernel whose state a test tells. */
export class FakeHost {
  slots = {
    statusChanged: new Set<Slot>(),
    connectionStatusChanged: new Set<Slot>(),
    disposed: new Set<Slot>(),
    restored: new Set<Slot>(),
  };
  kernel = {
    status: "idle",
    statusChanged: this.#signal("statusChanged"),
    connectionStatusChanged: this.#signal("connectionStatusChanged"),
    disposed: this.#signal("disposed"),
  };
  restored = this.#signal("restored");

  constructor(private selection?: FakeModel) {}

  async get_model(id: string) {
    if (id !== "selection" || !this.selection) throw new Error("widget model not found");
    return this.selection.model;
  }
  tell(what: keyof FakeHost["slots"], told?: string): void {
    if (what === "statusChanged") this.kernel.status = told ?? "";
    for (const slot of [...this.slots[what]]) slot(this, told);
  }
  cut(): void {
    this.tell("connectionStatusChanged", "connecting");
  }
  /** The connection is back, and the host has read all states. */
  back(): void {
    this.tell("connectionStatusChanged", "connected");
    this.tell("restored");
  }
  get listeners(): number {
    return Object.values(this.slots).reduce((sum, set) => sum + set.size, 0);
  }
  #signal(name: keyof FakeHost["slots"]) {
    return {
      connect: (slot: Slot) => void this.slots[name].add(slot),
      disconnect: (slot: Slot) => void this.slots[name].delete(slot),
    };
  }
}

export function managerOf(selection: FakeModel): NonNullable<AnyModel["widget_manager"]> {
  return {
    async get_model(id: string) {
      if (id !== "selection") throw new Error("widget model not found");
      return selection.model;
    },
  };
}

export function makeStatus(state: Status["state"], more: Partial<Status> = {}): Status {
  return {
    state,
    stage: null,
    done: 0,
    total: 0,
    rows: 0,
    rows_wanted: 32,
    eta: null,
    seconds: 0,
    error: null,
    ...more,
  };
}

export function makeClass(id: number, name: string, p: number, more: Partial<ClassMap> = {}): ClassMap {
  return { id, name, p, max: 0.4, se_max: 0.1, flat: false, agreement: 0.8, top: true, ...more };
}

const CLASSES = [
  makeClass(967, "espresso", 0.94),
  makeClass(968, "cup", 0.02),
  makeClass(925, "consomme", 0.01),
];

export function makeMap(classes: ClassMap[] = CLASSES, more: Partial<MapInfo> = {}): MapInfo {
  return {
    grid: [2, 3],
    rows: 32,
    preview: false,
    unit: "of the variance",
    classes,
    about: [["Method", "Sobol"]],
    code: "a = ww.Sobol().run(model, photo)",
    score: "logit",
    missing: { first: "First order needs one more forward a row" },
    ...more,
  };
}

/** Planes whose values rise from cell to cell, in a message that starts at an odd offset. */
export function makePlanes(classes: number, cells: number): DataView {
  const buffer = new ArrayBuffer(classes * cells * 4 + 3);
  const view = new DataView(buffer, 3);
  for (let i = 0; i < classes * cells * 2; i++)
    view.setUint16(2 * i, ((i % cells) * 65535) / (cells - 1), true);
  return view;
}

export function makeState(more: Partial<Traits> = {}): Traits {
  return {
    selected_image: "coffee",
    selected_class: null,
    selected_method: "",
    opacity: 0.8,
    threshold: 0.1,
    colormap: "magma",
    index: "total",
    layers: [],
    score: "logit",
    scale: "image",
    _pairs: {},
    _selection: "IPY_MODEL_selection",
    _class_count: 1000,
    _missing: { first: "First order needs one more forward a row" },
    _title: "EfficientNet-Lite0",
    _methods: ["Sobol"],
    _images: [
      { name: "coffee", width: 600, height: 400, seen: [125, 25, 475, 375] },
      { name: "cat", width: 400, height: 400, seen: [0, 0, 400, 400] },
    ],
    _photos: [],
    _large: {},
    _strip: { total: 2, mark: 1 },
    _status: { coffee: makeStatus("done", { rows: 32, done: 2145, seconds: 41 }), cat: makeStatus("empty") },
    _maps: { coffee: makeMap() },
    _planes: { coffee: makePlanes(3, 6) },
    _seq: 1,
    _kernel: true,
    ...more,
  };
}
