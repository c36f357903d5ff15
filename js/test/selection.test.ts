/** Views that share a selection: without the kernel, with a busy one, and with one that answers late. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Selection } from "../src/core/selection";
import { makeManager } from "../src/standalone/host";
import widget from "../src/views/attribution";
import { FakeHost, FakeModel, makeSelection, makeState, managerOf } from "./fake";

let ending = new AbortController();
beforeEach(() => {
  ending = new AbortController();
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);
});
afterEach(() => {
  ending.abort();
  document.body.replaceChildren();
  vi.restoreAllMocks();
});

const settle = () => new Promise((resolve) => setTimeout(resolve));

/** Views of one selection, each with a model of its own, as separate cells have them. */
async function share(count: number, more = {}) {
  const shared = makeSelection();
  const views = Array.from({ length: count }, () => {
    const fake = new FakeModel({ ...makeState(), ...more });
    fake.widget_manager = managerOf(shared);
    const el = document.createElement("div");
    document.body.append(el);
    const cleanup = widget.render({ model: fake.model, el });
    ending.signal.addEventListener("abort", cleanup);
    const root = el.firstElementChild?.shadowRoot?.querySelector(".ww") as HTMLElement;
    return { fake, root, all: (selector: string) => [...root.querySelectorAll<HTMLElement>(selector)] };
  });
  await settle();
  return { shared, views };
}

/** As if Python had applied a request, or changed something by itself. */
function python(shared: FakeModel, traits: Record<string, unknown>) {
  Object.assign(shared.state, traits);
  for (const name of Object.keys(traits)) shared.fire(`change:${name}`);
}

describe("views of one selection", () => {
  it("follow each other by click, and Python hears of it once", async () => {
    const { shared, views } = await share(2);
    const [first, second] = views as [(typeof views)[0], (typeof views)[0]];
    first.fake.sent = [];
    second.fake.sent = [];
    first.all(".pred button")[1]?.click();
    await new Promise((resolve) => requestAnimationFrame(resolve));
    expect([first.root.dataset.class, second.root.dataset.class]).toEqual(["968", "968"]);
    expect(shared.sent).toMatchObject([{ kind: "set", traits: { class_id: 968 } }]);
    expect([...first.fake.sent, ...second.fake.sent].filter(({ kind }) => kind === "set")).toEqual([]);
    second.all(".strip button")[1]?.click();
    await new Promise((resolve) => requestAnimationFrame(resolve));
    expect([first.root.dataset.image, second.root.dataset.image]).toEqual(["cat", "cat"]);
    expect(shared.saved).toEqual([{ class_id: 968 }, { images: ["cat"] }]);
    expect(shared.get("by")).toBe("user");
  });

  it("show what Python selects, and send nothing back", async () => {
    const { shared, views } = await share(2);
    python(shared, { class_id: 925, images: ["nowhere", "cat", "coffee"], by: "program" });
    await new Promise((resolve) => requestAnimationFrame(resolve));
    expect(views.map(({ root }) => root.dataset.image)).toEqual(["cat", "cat"]);
    expect(views.map(({ fake }) => fake.get("selected_class"))).toEqual([925, 925]);
    expect(shared.sent).toEqual([]);
    expect(views.flatMap(({ fake }) => fake.saved)).toEqual([]);
  });

  it("stay as they are where they do not have what is selected", async () => {
    const { shared, views } = await share(1, { _class_count: 1000 });
    python(shared, { class_id: 5000, images: ["nowhere"] });
    await new Promise((resolve) => requestAnimationFrame(resolve));
    expect(views[0]?.root.dataset.image).toBe("coffee");
    expect(views[0]?.root.dataset.class).toBe("967");
  });

  it("leave nothing on the selection when they go", async () => {
    const { shared } = await share(3);
    expect(shared.listeners).toBeGreaterThan(0);
    ending.abort();
    expect(shared.listeners).toBe(0);
  });

  it("forget the cell that was read in another photo", async () => {
    const { shared, views } = await share(1);
    const frame = views[0]?.all(".pic")[0] as HTMLElement;
    frame.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
    await vi.waitFor(() => expect(views[0]?.all(".tag")[0]?.textContent).toContain("row 2"));
    python(shared, { images: ["cat"] });
    await vi.waitFor(() => expect(views[0]?.all(".tag")[0]?.textContent).not.toContain("row 2"));
  });
});

describe("layers of one selection", () => {
  const seen = (views: Awaited<ReturnType<typeof share>>["views"]) =>
    views.map(({ root }) => root.dataset.layers || root.dataset.index);
  /** What the views' traits are, which may be had although nothing of it is drawn yet. */
  const traits = (views: Awaited<ReturnType<typeof share>>["views"]) =>
    views.map(({ fake }) => [fake.get("index"), fake.get("layers")]);
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));

  it("are followed both ways, alone and side by side, and Python hears of it once", async () => {
    const { shared, views } = await share(2);
    const [first, second] = views as [(typeof views)[0], (typeof views)[0]];
    first.all('[data-key="error"]')[0]?.click();
    await frame();
    expect(seen(views)).toEqual(["error", "error"]);
    expect(shared.saved).toEqual([{ layers: ["error"] }]);
    expect(shared.get("by")).toBe("user");
    const spread = second.all(".controls button").find(({ textContent }) => textContent === "Side by side");
    spread?.click();
    await frame();
    expect(seen(views)).toEqual(["total slope error", "total slope error"]);
    expect(views.map(({ root }) => root.dataset.panels)).toEqual(["3", "3"]);
    first.all('[data-key="slope"]')[0]?.click();
    await frame();
    expect(seen(views)).toEqual(["total error", "total error"]);
    first.all('[data-key="total"]')[0]?.click();
    await frame();
    expect(seen(views)).toEqual(["error", "error"]);
    expect(shared.saved.map((each) => (each as { layers: string[] }).layers.join(" "))).toEqual([
      "error",
      "total slope error",
      "total error",
      "error",
    ]);
    expect(views.flatMap(({ fake }) => fake.saved)).toEqual([]);
  });

  it("go back to the one that was shown alone before", async () => {
    const { shared, views } = await share(2);
    python(shared, { layers: ["error"] });
    python(shared, { layers: ["slope", "total"] });
    await frame();
    expect(seen(views)).toEqual(["total slope", "total slope"]);
    const target = views[1]?.all(".panels .pic")[0];
    target?.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
    await frame();
    expect(seen(views)).toEqual(["error", "error"]);
    expect(shared.saved).toEqual([{ layers: ["error"] }]);
  });

  it("that a view lacks leave it as it is, and it shows those that it has", async () => {
    const { shared, views } = await share(1);
    python(shared, { layers: ["first"] });
    expect(traits(views)).toEqual([["total", []]]);
    python(shared, { layers: ["first", "slope"] });
    expect(traits(views)).toEqual([["slope", []]]);
    python(shared, { layers: ["error", "first", "total"] });
    expect(traits(views)).toEqual([["slope", ["total", "error"]]]);
    python(shared, { layers: [] });
    expect(traits(views)).toEqual([["slope", ["total", "error"]]]);
    expect(shared.saved).toEqual([]);
  });

  it("are each view's own until one is chosen", async () => {
    const { shared, views } = await share(2);
    views[0]?.fake.set("index", "error"); // Python's view was made with it
    python(shared, { class_id: 968 });
    await frame();
    expect(traits(views).map(([index]) => index)).toEqual(["error", "total"]);
    views[1]?.all('[data-key="slope"]')[0]?.click();
    expect(traits(views).map(([index]) => index)).toEqual(["slope", "slope"]);
  });

  it("leave a search for partners, as a click in the view itself does", async () => {
    const { shared, views } = await share(1);
    const { fake } = views[0] as (typeof views)[0];
    fake.receive({ kind: "welcome", rid: "r" });
    const search = { rid: "s", image: "coffee", cell: [0, 0], state: "done", done: 1, total: 1, why: "" };
    fake.set("_pairs", { ...search, found: null });
    python(shared, { class_id: 968 });
    expect(fake.kinds()).not.toContain("pairs");
    python(shared, { layers: ["error"] });
    expect(fake.sent.filter(({ kind }) => kind === "pairs")).toMatchObject([{ image: "coffee", cell: null }]);
  });

  it("beside methods that stand side by side are chosen alone, and kept for one method", async () => {
    const { shared, views } = await share(1, { _methods: ["fine", "coarse"] });
    python(shared, { layers: ["total", "error"] });
    await frame();
    expect(seen(views)).toEqual(["total"]);
    views[0]?.all('[data-key="error"]')[0]?.click();
    expect(shared.saved).toEqual([{ layers: ["error"] }]);
  });
});

describe("late answers", () => {
  function hold() {
    const shared = makeSelection();
    const view = new FakeModel(makeState());
    view.widget_manager = managerOf(shared);
    const make = () => new Selection(view.model, () => undefined, ending.signal);
    return { shared, first: make(), second: make() };
  }

  it("the latest choice wins, whichever view made it", async () => {
    const { shared, first, second } = hold();
    await settle();
    first.set({ class_id: 1 });
    second.set({ class_id: 2 });
    const [one, two] = shared.sent.map(({ rid }) => rid);
    python(shared, { class_id: 1, _stamp: one });
    expect(shared.get("class_id")).toBe(2);
    python(shared, { _stamp: two });
    python(shared, { class_id: 3, by: "program" });
    expect(first.get("class_id")).toBe(3);
  });

  it("a kernel that was busy for long does not take old choices up again", async () => {
    vi.useFakeTimers({ toFake: ["performance", "setTimeout"] });
    const { shared, first } = hold();
    await vi.runAllTimersAsync();
    first.set({ images: ["a"] });
    first.set({ images: ["b"] });
    vi.advanceTimersByTime(60_000);
    python(shared, { images: ["a"], _stamp: shared.sent[0]?.rid });
    expect(first.get("images")).toEqual(["b"]);
    python(shared, { images: ["b"], _stamp: shared.sent[1]?.rid });
    expect(first.get("images")).toEqual(["b"]);
    vi.useRealTimers();
  });

  it("an answer that was lost does not hold the selection for ever", async () => {
    vi.useFakeTimers({ toFake: ["performance", "setTimeout"] });
    const { shared, first } = hold();
    await vi.runAllTimersAsync();
    first.set({ class_id: 1 });
    python(shared, { class_id: 3, by: "program" });
    expect(first.get("class_id")).toBe(1);
    vi.advanceTimersByTime(6_000);
    python(shared, { class_id: 4, by: "program" });
    expect(first.get("class_id")).toBe(4);
    vi.useRealTimers();
  });
});

describe("a connection that is lost", () => {
  async function hold() {
    const shared = makeSelection();
    const host = new FakeHost(shared);
    const make = () => {
      const view = new FakeModel(makeState());
      view.widget_manager = host as never;
      return new Selection(view.model, () => undefined, ending.signal);
    };
    const both = [make(), make()] as const;
    await settle();
    return { shared, host, first: both[0], second: both[1] };
  }

  it("keeps what is chosen, and Python hears the newest of it once", async () => {
    const { shared, host, first, second } = await hold();
    host.cut();
    first.set({ class_id: 1 });
    second.set({ class_id: 2 });
    first.set({ layers: ["slope"] });
    expect([shared.get("class_id"), shared.sent]).toEqual([2, []]);
    host.back();
    python(shared, { class_id: null, layers: [] }); // as Python had it
    expect([shared.get("class_id"), shared.get("layers")]).toEqual([2, ["slope"]]);
    expect(shared.sent).toMatchObject([
      { kind: "set", traits: { class_id: 2, layers: ["slope"] } },
      { kind: "back" },
    ]);
    python(shared, { class_id: 2, layers: ["slope"], _stamp: shared.sent[0]?.rid });
    python(shared, { class_id: 3, by: "program" });
    expect(first.get("class_id")).toBe(3);
    first.set({ class_id: 4 });
    expect(shared.saved.at(-1)).toEqual({ class_id: 4 });
  });

  it("has what was not answered sent again, under its mark, by one of the views", async () => {
    const { shared, host, first, second } = await hold();
    first.set({ class_id: 1 });
    second.set({ class_id: 2 });
    const sent = [...shared.sent];
    host.cut();
    host.back();
    await settle();
    expect(shared.sent.slice(2)).toMatchObject([
      { rid: sent[0]?.rid, again: true, traits: { class_id: 1 } },
      { rid: sent[1]?.rid, again: true, traits: { class_id: 2 } },
      { kind: "back" },
    ]);
    expect(first.get("class_id")).toBe(2);
    python(shared, { _stamp: sent[1]?.rid });
    host.cut();
    host.back();
    expect(shared.kinds().slice(5)).toEqual(["back"]);
  });
});

describe("hosts", () => {
  it("that find no other models: the view keeps its own traits, and says so", async () => {
    vi.spyOn(console, "debug").mockImplementation(() => undefined);
    const fake = new FakeModel({ ...makeState(), _selection: "IPY_MODEL_gone" });
    fake.widget_manager = managerOf(makeSelection());
    const el = document.createElement("div");
    const cleanup = widget.render({ model: fake.model, el });
    await settle();
    expect(fake.kinds()).toContain("alone");
    el.firstElementChild?.shadowRoot?.querySelectorAll<HTMLElement>(".pred button")[1]?.click();
    expect(fake.saved).toEqual([{ selected_class: 968 }]);
    cleanup();
  });

  it("of exported pages make each shared model once", async () => {
    const state = makeSelection().state as Record<string, unknown>;
    const manager = makeManager({ "model-0": { state, buffers: [] } });
    expect(await manager.get_model("model-0")).toBe(await manager.get_model("model-0"));
    await expect(manager.get_model("model-1")).rejects.toThrow('lacks the model "model-1"');
  });

  it("an abort before the selection is found leaves nothing", async () => {
    const shared = makeSelection();
    const view = new FakeModel(makeState());
    view.widget_manager = managerOf(shared);
    const changed = vi.fn();
    new Selection(view.model, changed, ending.signal);
    ending.abort();
    await settle();
    expect(changed).not.toHaveBeenCalled();
    expect(shared.listeners).toBe(0);
  });
});
