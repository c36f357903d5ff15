/** Explorer on a page without layout: its parts come from the host, and the chooser tells Python. */
import { afterEach, describe, expect, it, vi } from "vitest";
import type { Found } from "../src/core/explorer_wire";
import widget from "../src/views/explorer";
import { explainedWords, subtitle } from "../src/views/explorer/words";
import { FakeModel, makeSelection, managerOf } from "./fake";

const FOUND: Found = {
  photos: 60,
  strip: 60,
  unreadable: [],
  classes: [
    { id: 0, name: "tench", photos: 44 },
    { id: 1, name: "goldfish", photos: 9 },
  ],
  explained: 0,
  settled: true,
  note: "",
};
const PARTS = { where: "IPY_MODEL_a", what: "IPY_MODEL_b", why: "IPY_MODEL_c" };

let cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups) cleanup();
  cleanups = [];
  document.body.replaceChildren();
});

const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));

function makeHost() {
  const shown: string[] = [];
  const signals: AbortSignal[] = [];
  const host = {
    getWidget: vi.fn(async (reference: string) => ({
      render: async ({ el, signal }: { el: HTMLElement; signal: AbortSignal }) => {
        shown.push(reference);
        signals.push(signal);
        el.textContent = reference;
      },
    })),
  };
  return { host, shown, signals };
}

async function show(more: Record<string, unknown> = {}, host: unknown = makeHost().host, shared?: FakeModel) {
  const fake = new FakeModel({
    selected_class: null,
    selected_image: "pond",
    concepts_of: "class",
    _title: "EfficientNet-Lite0",
    _parts: PARTS,
    _found: FOUND,
    _kernel: true,
    ...(shared && { _selection: "IPY_MODEL_selection" }),
    ...more,
  });
  if (shared) fake.widget_manager = managerOf(shared);
  const el = document.createElement("div");
  document.body.append(el);
  const cleanup = widget.render({ model: fake as never, el, host });
  cleanups.push(cleanup);
  await frame();
  const root = el.firstElementChild?.shadowRoot?.querySelector(".ww") as HTMLElement;
  const find = <T extends HTMLElement = HTMLElement>(selector: string) => root.querySelector(selector) as T;
  return { fake, el, root, find, cleanup };
}

describe("its parts", () => {
  it("are rendered by the host, each once, where they belong", async () => {
    const { host, shown } = makeHost();
    const { fake, find } = await show({}, host);
    expect(shown).toEqual(["anywidget:a", "anywidget:b", "anywidget:c"]);
    expect(find(".what").textContent).toBe("anywidget:b");
    fake.set("_found", { ...FOUND, note: "x" });
    await frame();
    expect(host.getWidget).toHaveBeenCalledTimes(3);
  });

  it("make room for those of another class, and end", async () => {
    const { host, signals } = makeHost();
    const { fake, find, cleanup } = await show({}, host);
    fake.set("_parts", { ...PARTS, what: "IPY_MODEL_d" });
    await frame();
    await frame();
    expect(find(".what").textContent).toBe("anywidget:d");
    expect(signals[1]?.aborted).toBe(true);
    expect(signals[0]?.aborted).toBe(false);
    cleanup();
    expect(signals.every(({ aborted }) => aborted)).toBe(true);
  });

  it("come from the widget manager where there is no host", async () => {
    const removed = vi.fn();
    const fake = new FakeModel({});
    const manager = {
      get_model: vi.fn(async (id: string) => ({ id })),
      create_view: vi.fn(async (model: { id: string }) => {
        const el = document.createElement("b");
        el.textContent = model.id;
        return { el, remove: removed };
      }),
    };
    fake.state = { _title: "net", _parts: PARTS, _found: FOUND, _kernel: true };
    fake.widget_manager = manager as never;
    const el = document.createElement("div");
    document.body.append(el);
    const cleanup = widget.render({ model: fake as never, el });
    await frame();
    await frame();
    expect(el.firstElementChild?.shadowRoot?.querySelector(".why b")?.textContent).toBe("c");
    cleanup();
    expect(removed).toHaveBeenCalledTimes(3);
  });

  it("say where else they are to be seen where nobody renders them", async () => {
    const { find } = await show({}, null);
    await frame();
    expect(find(".what [role=alert]").textContent).toContain("Show explorer.what in a cell of its own");
  });
});

describe("whose concepts are shown", () => {
  it("is chosen among classes with enough photos, and told to Python", async () => {
    const { fake, find, root } = await show();
    const select = find<HTMLSelectElement>("select");
    expect([...select.options].map(({ text }) => text)).toEqual([
      "all photos (60)",
      "tench (44)",
      "goldfish (9)",
    ]);
    expect(select.value).toBe("0");
    expect(root.dataset.explained).toBe("0");
    select.value = "1";
    select.dispatchEvent(new Event("change"));
    expect(fake.saved.at(-1)).toEqual({ concepts_of: "class", selected_class: 1 });
    select.value = "all";
    select.dispatchEvent(new Event("change"));
    expect(fake.saved.at(-1)).toEqual({ concepts_of: "all" });
  });

  it("is told to all views by the selection, where there is one", async () => {
    const shared = makeSelection({});
    const { fake, find } = await show({}, null, shared);
    const select = find<HTMLSelectElement>("select");
    select.value = "1";
    select.dispatchEvent(new Event("change"));
    expect(shared.saved).toEqual([{ class_id: 1 }]);
    expect(fake.saved).toEqual([{ concepts_of: "class" }]);
    await frame();
    expect(fake.get("selected_class")).toBe(1);
  });

  it("is not known before all photos were looked at", async () => {
    const { fake, find } = await show({ _found: { ...FOUND, classes: [], settled: false, explained: null } });
    expect(find("select").hidden).toBe(true);
    expect(find(".chooser").textContent).toContain("once all photos were looked at");
    fake.set("_found", FOUND);
    await frame();
    expect(find("select").hidden).toBe(false);
  });

  it("cannot be changed in a page without a kernel", async () => {
    const { find } = await show({ _kernel: false });
    expect(find<HTMLSelectElement>("select").disabled).toBe(true);
    expect(find("select").title).toBe("Another class needs a notebook.");
  });

  it("says why a class has none", async () => {
    const { find } = await show({ _found: { ...FOUND, note: "1 photo is read as puffer" } });
    expect(find(".note").textContent).toBe("1 photo is read as puffer");
    expect(find(".note").hidden).toBe(false);
  });
});

describe("the field for photos that are not in the strip", () => {
  const MANY: Found = { ...FOUND, photos: 20_000, strip: 2000 };

  it("is there where there are some, and says how many", async () => {
    expect((await show()).find(".finder").hidden).toBe(true);
    const { find } = await show({ _found: { ...MANY, unreadable: ["x"] } });
    expect(find(".finder").hidden).toBe(false);
    expect(find(".finder").textContent).toBe("The strip has 2,000 of 19,999 photos. Go to another:");
  });

  it("asks Python, and offers what it may stand for", async () => {
    const { fake, find } = await show({ _found: MANY });
    const field = find<HTMLInputElement>(".find");
    const type = (text: string) => {
      field.value = text;
      field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
    };
    const answer = async (content: object) => {
      fake.receive({ ...content, rid: fake.sent.filter(({ kind }) => kind === "find").at(-1)?.rid });
      await frame();
    };
    type(" cat ");
    await answer({
      kind: "refused",
      message: "2 names have 'cat' in them:",
      suggestions: ["cat 1", "cat 2"],
    });
    expect(find(".finder [role=status]").textContent).toContain("2 names");
    find(".near button:last-child").click();
    expect(fake.sent.filter(({ kind }) => kind === "find").map(({ query }) => query)).toEqual([
      "cat",
      "cat 2",
    ]);
    await answer({ kind: "applied" });
    expect([field.value, find(".near").hidden]).toEqual(["", true]);
  });

  it("needs the kernel", async () => {
    const { find } = await show({ _found: MANY, _kernel: false });
    expect(find<HTMLInputElement>(".find").disabled).toBe(true);
    expect(find(".find").title).toContain("needs a notebook");
  });
});

describe("its words", () => {
  it("count photos, and name what a screen reader hears", () => {
    expect(subtitle({ photos: 1 })).toBe("1 photo");
    expect(subtitle({ photos: 1200, unreadable: ["a", "b"] })).toBe("1,200 photos, 2 of them unreadable");
    expect(explainedWords(FOUND)).toBe("Concepts of tench, from 44 photos.");
    expect(explainedWords({ ...FOUND, explained: null })).toBe("Concepts of all photos.");
    expect(explainedWords({ ...FOUND, settled: false })).toBe("");
  });

  it("list the keys on ?", async () => {
    const { root, find } = await show();
    root.dispatchEvent(new KeyboardEvent("keydown", { key: "?", bubbles: true, cancelable: true }));
    expect(find("[role=dialog]").hidden).toBe(false);
  });
});
