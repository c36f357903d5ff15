/** AtlasView on a page without layout: the search, the list, the ways, and what is followed, without a kernel. */
import { afterEach, describe, expect, it, vi } from "vitest";
import type { AtlasTraits, ClassList, Closest, PageInfo, Similar } from "../src/core/atlas_wire";
import widget from "../src/views/atlas";
import { draw, findByPrefix, neighbours, readRows, search } from "../src/views/atlas/classes";
import { factWords, farWords, foundWords, refusal, silence, subtitle } from "../src/views/atlas/words";
import { FakeModel, makeSelection } from "./fake";

const LIST: ClassList = {
  ids: [0, 134, 217, 517, 900],
  names: ["tench", "crane", "English springer", "crane", "water_tower"],
  photos: [44, 12, 60, null, 30],
  important: [4, 1, 3, null, 2],
  accuracy: [0.91, null, 1, null, 0.5],
  why: { 517: "3 photos are read as it, and 10 are needed." },
};
const ROWS = readRows(LIST);

const concept = (id: number, letter: string) => ({
  id,
  letter,
  hue: "#E69F00",
  name: "",
  importance: 0.5,
  counts: true,
});
const CLOSEST: Closest = {
  rows: {
    0: [
      { class: 0, name: "tench", cosine: 0.41, effect: 3.2 },
      { class: 134, name: "crane (134)", cosine: 0.22, effect: 0.5 },
      { class: 7, name: "cock", cosine: 0.2, effect: 0.4 },
      { class: 517, name: "crane (517)", cosine: -0.1, effect: -0.25 },
    ],
    1: [],
  },
  note: "",
  about: [["Cosine", "of two directions"]],
  code: "atlas.alignment(0, concept)",
};
const pageOf = (id: number, name: string): PageInfo => ({
  id,
  name,
  words: `2 concepts from photos read as ${name}.`,
  about: [["Important", "By this rule."]],
  concepts: [concept(0, "A"), concept(1, "B")],
  groups: [],
  closest: CLOSEST,
});
const PAGES = { 0: pageOf(0, "tench"), 134: pageOf(134, "crane (134)") };
const PARTS = {
  0: { what: "IPY_MODEL_a", why: "IPY_MODEL_b", selection: "IPY_MODEL_s0" },
  134: { what: "IPY_MODEL_c", selection: "IPY_MODEL_s134" },
};
const SIMILAR: Similar = {
  rows: [
    {
      here: 0,
      there: { class: 134, name: "crane (134)", concept: concept(1, "B") },
      cosine: 0.6,
      words: "cosine 0.60, z 5.2",
      mutual: true,
      tiles: [],
    },
    {
      here: 1,
      there: { class: 900, name: "water_tower", concept: concept(0, "A") },
      cosine: 0.4,
      words: "cosine 0.40, z 2.0",
      mutual: false,
      tiles: [],
    },
  ],
  tiles: {},
  sprite: new DataView(new ArrayBuffer(0)),
  side: 64,
  columns: 1,
  note: "What the scores are.",
  about: [["Cosine", "of two directions"]],
  code: "atlas.similar(0)",
};

let cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups) cleanup();
  cleanups = [];
  document.body.replaceChildren();
});

const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));

async function show(more: Partial<AtlasTraits> = {}) {
  const selections: Record<string, FakeModel> = {
    s0: makeSelection({ concepts: [0] }),
    s134: makeSelection({ concepts: [0] }),
  };
  const fake = new FakeModel({
    selected: 0,
    concept: 0,
    _title: "EfficientNet-Lite0",
    _list: LIST,
    _pages: PAGES,
    _parts: PARTS,
    _similar: { 0: SIMILAR },
    _note: "",
    _kernel: true,
    ...more,
  } as Record<string, unknown>);
  fake.widget_manager = {
    async get_model(id: string) {
      const found = selections[id];
      if (!found) throw new Error("not found");
      return found.model;
    },
  };
  const shown: string[] = [];
  const host = {
    getWidget: vi.fn(async (reference: string) => ({
      render: async ({ el }: { el: HTMLElement }) => {
        shown.push(reference);
        el.textContent = reference;
      },
    })),
  };
  const el = document.createElement("div");
  document.body.append(el);
  const cleanup = widget.render({ model: fake as never, el, host });
  cleanups.push(cleanup);
  await frame();
  await frame();
  const root = el.firstElementChild?.shadowRoot?.querySelector(".ww") as HTMLElement;
  const find = <T extends HTMLElement = HTMLElement>(selector: string) => root.querySelector(selector) as T;
  const all = (selector: string) => [...root.querySelectorAll<HTMLElement>(selector)];
  const field = find<HTMLInputElement>("input");
  const type = (text: string) => {
    field.value = text;
    field.dispatchEvent(new Event("input"));
  };
  const press = (node: Element, key: string) => {
    const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true });
    node.dispatchEvent(event);
    return event;
  };
  const listed = () => all(".class").filter((row) => !row.hidden);
  return { fake, el, root, find, all, field, type, press, listed, selections, shown, cleanup };
}

describe("the search", () => {
  const found = (text: string) => search(ROWS, text).map(({ row }) => row.id);

  it("finds parts of names, whatever the case and blanks, and beginnings of words", () => {
    expect(found("ENCH")).toEqual([0]);
    expect(found("  crane ")).toEqual([134, 517]);
    expect(found("water tower")).toEqual([900]);
    expect(found("spr eng")).toEqual([217]);
    expect(found("")).toEqual(LIST.ids);
    expect(found("zebra")).toEqual([]);
  });

  it("finds ids by their beginning, and accents by plain letters", () => {
    expect(found("13")).toEqual([134]);
    expect(found("0")).toEqual([0]);
    const rows = readRows({ ids: [1], names: ["crème brûlée"] });
    expect(search(rows, "creme bru").length).toBe(1);
  });

  it("tells where the text stands in the name, and nowhere for an id", () => {
    expect(search(ROWS, "spring")[0]?.at).toBe(8);
    expect(search(ROWS, "217")[0]?.at).toBe(-1);
  });

  it("is instant with a thousand classes, and needs nobody", async () => {
    const ids = Array.from({ length: 1000 }, (_, id) => id);
    const many = { ...LIST, ids, names: ids.map((id) => `class number ${id}`), why: {} };
    const { type, listed, find, press, field, fake } = await show({ _list: many, _kernel: false });
    type("number 99");
    expect(listed().length).toBe(11);
    expect(find(".found").textContent).toBe("11 of 1,000 classes");
    expect(find("mark").textContent).toBe("number 99");
    type("nothing");
    expect(find(".found").textContent).toBe("No class matches “nothing”.");
    press(field, "Escape");
    expect(field.value).toBe("");
    expect(listed().length).toBe(1000);
    expect(fake.sent).toEqual([]);
  });

  it("opens the first of what it found on Enter", async () => {
    const { type, press, field, fake } = await show();
    press(field, "Enter");
    expect(fake.saved).toEqual([]);
    type("water");
    press(field, "Enter");
    expect(fake.saved.at(-1)).toEqual({ selected: 900 });
  });
});

describe("the list", () => {
  it("tells of each class what there is, and why one has no page", async () => {
    const { listed } = await show();
    expect(listed().map((row) => row.textContent?.replaceAll("\u00a0", " "))).toEqual([
      "tench44 photos · 4 important · 91 % right",
      "craneclass 13412 photos · 1 important",
      "English springer60 photos · 3 important · 100 % right",
      "craneclass 5173 photos are read as it, and 10 are needed.",
      "water_tower30 photos · 2 important · 50 % right",
    ]);
    expect(listed().map((row) => row.getAttribute("aria-disabled"))).toEqual([
      null,
      null,
      null,
      "true",
      null,
    ]);
    expect(listed()[0]?.getAttribute("aria-selected")).toBe("true");
  });

  it("is one Tab stop, walked by arrows, Home, End and letters", async () => {
    const { listed, press, root } = await show();
    const active = () => (root.getRootNode() as ShadowRoot).activeElement as HTMLElement;
    expect(
      listed()
        .filter((row) => row.tabIndex === 0)
        .map((row) => row.dataset.key),
    ).toEqual(["0"]);
    listed()[0]?.focus();
    press(active(), "ArrowDown");
    expect(active().dataset.key).toBe("134");
    press(active(), "End");
    expect(active().dataset.key).toBe("900");
    press(active(), "Home");
    press(active(), "e");
    expect(active().dataset.key).toBe("217");
    press(active(), "n");
    expect(active().dataset.key).toBe("217");
    expect(listed().filter((row) => row.tabIndex === 0).length).toBe(1);
    press(active(), "Escape");
    expect(active().tagName).toBe("INPUT");
  });

  it("opens a class on Enter and on a click, and says why one cannot be opened", async () => {
    const { listed, press, fake, find } = await show();
    press(listed()[2] as Element, "Enter");
    expect(fake.saved.at(-1)).toEqual({ selected: 217 });
    expect(find(".title").textContent).toBe("English springer");
    expect(find(".pagehead").textContent).toContain("Opening");
    listed()[3]?.click();
    expect(fake.saved.length).toBe(1);
    expect(find(".note").textContent).toBe(
      "crane (517) has no page: 3 photos are read as it, and 10 are needed.",
    );
  });

  it("finds the next name by its beginning, round the end", () => {
    expect(findByPrefix(ROWS, 1, "cr")).toBe(1);
    expect(findByPrefix(ROWS, 2, "cr")).toBe(3);
    expect(findByPrefix(ROWS, 4, "te")).toBe(0);
    expect(findByPrefix(ROWS, 0, "x")).toBe(-1);
  });
});

describe("the ways to another class", () => {
  const order = LIST.ids;

  it("lead to the ones before and behind, round the ends, among what is listed", () => {
    const open = ROWS.filter(({ why }) => !why);
    expect(neighbours(open, 0, order).before?.id).toBe(900);
    expect(neighbours(open, 134, order).after?.id).toBe(217);
    expect(neighbours(open, 217, order).after?.id).toBe(900);
    const some = open.filter(({ id }) => id === 0 || id === 900);
    expect(neighbours(some, 217, order)).toMatchObject({ before: { id: 0 }, after: { id: 900 } });
    expect(neighbours([], 217, order)).toEqual({ before: null, after: null });
    expect(neighbours(open.slice(0, 1), 0, order)).toEqual({ before: null, after: null });
  });

  it("draw another class by lot", () => {
    const open = ROWS.filter(({ why }) => !why);
    expect(draw(open, 0, 0)?.id).toBe(134);
    expect(draw(open, 0, 0.999)?.id).toBe(900);
    expect(draw(open.slice(0, 1), 0, 0.5)).toBeNull();
  });

  it("say where they lead, and lead there", async () => {
    const { all, fake, root, press, type } = await show();
    const [random, before, after] = all(".ways button") as HTMLButtonElement[];
    expect(before?.title).toBe("Previous: water_tower");
    expect(after?.title).toBe("Next: crane (134)");
    expect(random?.title).toMatch(/^Random: (crane \(134\)|English springer|water_tower)$/);
    const target = random?.title.replace("Random: ", "");
    random?.click();
    await frame();
    expect(ROWS.find(({ id }) => id === fake.get("selected"))?.label).toBe(target);
    fake.receive({ kind: "applied", rid: fake.sent.at(-1)?.rid });
    await frame();
    fake.set("selected", 0);
    await frame();
    press(root, "n");
    expect(fake.get("selected")).toBe(134);
    type("tower");
    await frame();
    expect(after?.title).toBe("Next: water_tower");
    type("zebra");
    expect(after?.disabled).toBe(true);
  });
});

describe("the page", () => {
  it("holds the views of the class, rendered by the host", async () => {
    const { shown, find, fake } = await show();
    expect(shown).toEqual(["anywidget:a", "anywidget:b"]);
    expect(find(".words p").textContent).toBe("2 concepts from photos read as tench.");
    fake.set("selected", 134);
    await frame();
    await frame();
    expect(shown).toEqual(["anywidget:a", "anywidget:b", "anywidget:c"]);
    expect(find(".why").hidden).toBe(true);
  });

  it("waits for one that is on its way, and keeps the last", async () => {
    const { fake, find, root } = await show();
    fake.set("selected", 217);
    await frame();
    expect(find(".page").getAttribute("aria-busy")).toBe("true");
    expect(find(".body").inert).toBe(true);
    expect(find(".what").textContent).toBe("anywidget:a");
    expect(root.dataset.ready).toBe("0");
    fake.set("_parts", { ...PARTS, 217: { what: "IPY_MODEL_d", selection: "IPY_MODEL_s0" } });
    fake.set("_pages", { ...PAGES, 217: pageOf(217, "English springer") });
    await frame();
    await frame();
    expect(find(".what").textContent).toBe("anywidget:d");
    expect(root.dataset.ready).toBe("1");
  });
});

describe("similar concepts", () => {
  it("are those of the concept that is selected, or of all", async () => {
    const { all, selections, find } = await show();
    expect(all(".like").length).toBe(1);
    expect(all(".like")[0]?.textContent).toBe(
      "Concept A resembles concept B of crane (134)cosine 0.60, z 5.2matched one to one",
    );
    selections.s0?.set("concepts", [1]);
    await frame();
    expect(find(".like .n").textContent).toBe("water_tower");
    find(".seg [data-key=all]").click();
    expect(all(".like").length).toBe(2);
    expect(find(".like .m").hidden).toBe(false);
  });

  it("lead to their class and concept, and back", async () => {
    const { fake, find, selections, root } = await show();
    find(".like").click();
    expect(fake.saved.at(-1)).toEqual({ selected: 134, concept: 1 });
    await frame();
    await frame();
    expect(selections.s134?.get("concepts")).toEqual([1]);
    expect(root.dataset.page).toBe("134");
    expect(find(".back").textContent).toBe("Back to tench");
    find(".back").click();
    expect(fake.get("selected")).toBe(0);
    await frame();
    await frame();
    expect(selections.s0?.get("concepts")).toEqual([0]);
    expect(find(".back").hidden).toBe(true);
  });

  it("live on in a saved page, between the classes that it holds", async () => {
    const { fake, find, listed, selections } = await show({ _kernel: false });
    expect(listed()[2]?.getAttribute("aria-disabled")).toBe("true");
    expect(listed()[2]?.textContent).toContain("not on this page");
    find(".like").click();
    await frame();
    await frame();
    expect(fake.get("selected")).toBe(134);
    expect(selections.s134?.get("concepts")).toEqual([1]);
    fake.set("selected", 0);
    await frame();
    selections.s0?.set("concepts", [1]);
    await frame();
    find(".like").click();
    expect(fake.get("selected")).toBe(0);
    expect(find(".note").textContent).toBe("water_tower was left out of this saved page.");
    expect(find(".like").getAttribute("aria-disabled")).toBe("true");
  });

  it("are looked up after the page is there", async () => {
    const { fake, find, all } = await show({ _similar: {} });
    expect(find(".similar .said").textContent).toBe("Comparing with the other classes …");
    fake.set("_similar", { 0: { ...SIMILAR, rows: [], note: "There is no other class to compare with." } });
    await frame();
    expect(find(".similar .said").textContent).toBe("There is no other class to compare with.");
    expect(all(".like").length).toBe(0);
  });
});

describe("closest classes", () => {
  const lines = (all: (selector: string) => HTMLElement[]) =>
    all(".closest tbody tr").map((line) =>
      [...line.querySelectorAll<HTMLElement>("button, .n, .a, .v")]
        .filter((each) => !each.hidden)
        .map((each) => each.textContent),
    );

  it("are links where the atlas has the class, and say why not where it has not", async () => {
    const { all, find } = await show();
    expect(find(".closest h2").textContent).toBe("Closest classes of concept A");
    expect(lines(all)).toEqual([
      ["tench", "0.41", "+3.20", "this class"],
      ["crane (134)", "0.22", "+0.50", ""],
      ["cock", "0.20", "+0.40", "not in this atlas"],
      ["crane (517)", "−0.10", "−0.25", "3 photos are read as it, and 10 are needed."],
    ]);
    const links = all(".closest tbody button").filter((link) => !link.hidden);
    expect(links.map((link) => [link.textContent, link.tabIndex])).toEqual([["crane (134)", 0]]);
  });

  it("lead to their page, and back", async () => {
    const { fake, all, find, selections } = await show();
    all(".closest tbody button")
      .find((link) => !link.hidden)
      ?.click();
    expect(fake.saved.at(-1)).toEqual({ selected: 134 });
    await frame();
    await frame();
    expect(selections.s134?.get("concepts")).toEqual([0]);
    expect(find(".back").textContent).toBe("Back to tench");
    find(".back").click();
    expect(fake.get("selected")).toBe(0);
    expect(find(".back").hidden).toBe(true);
  });

  it("live on in a saved page, between the classes that it holds", async () => {
    const rows = {
      0: [...(CLOSEST.rows[0] ?? []), { class: 900, name: "water_tower", cosine: 0.1, effect: 0 }],
    };
    const pages = { ...PAGES, 0: { ...PAGES[0], closest: { ...CLOSEST, rows } } };
    const { all } = await show({ _kernel: false, _pages: pages });
    expect(lines(all)[1]).toEqual(["crane (134)", "0.22", "+0.50", ""]);
    expect(lines(all)[4]).toEqual(["water_tower", "0.10", "0", "not on this page"]);
  });

  it("are those of all concepts that are shown as one", async () => {
    const closest = {
      ...CLOSEST,
      rows: { ...CLOSEST.rows, 1: [{ class: 900, name: "water_tower", cosine: 0.3, effect: 1 }] },
    };
    const { all, find } = await show({ _pages: { 0: { ...PAGES[0], groups: [[0, 1]], closest } } });
    expect(find(".closest h2").textContent).toBe("Closest classes of concepts A and B");
    expect(all(".closest tbody .dot").map((dot) => [dot.textContent, dot.hidden])).toEqual([
      ["A", false],
      ["A", false],
      ["A", false],
      ["A", false],
      ["B", false],
    ]);
  });

  it("say why there are none", async () => {
    const { fake, find, selections } = await show();
    selections.s0?.set("concepts", [1]);
    await frame();
    expect(find(".closest .said").textContent).toBe("No photo uses this concept.");
    expect(find(".closest table").hidden).toBe(true);
    selections.s0?.set("concepts", []);
    await frame();
    expect(find(".closest .said").textContent).toMatch(/^Select a concept/);
    const closest = { ...CLOSEST, rows: {}, note: "This needs the network: AtlasView(atlas, model)." };
    fake.set("_pages", { ...PAGES, 0: { ...PAGES[0], closest } });
    await frame();
    expect(find(".closest .said").textContent).toBe(closest.note);
  });
});

describe("its end", () => {
  it("leaves nothing that listens", async () => {
    const { fake, selections, cleanup } = await show();
    expect(fake.listeners).toBeGreaterThan(0);
    cleanup();
    expect(fake.listeners).toBe(0);
    expect(selections.s0?.listeners).toBe(0);
  });
});

describe("its words", () => {
  it("count, and say what is missing", () => {
    expect(subtitle("net", ROWS)).toBe("net · 4 classes · 1 without a page");
    expect(subtitle("net", ROWS.slice(0, 1))).toBe("net · 1 class");
    expect(foundWords(3, 10, " ")).toBe("");
    expect(factWords({ ...(ROWS[0] as (typeof ROWS)[0]), photos: 1, accuracy: null })).toBe(
      "1 photo · 4 important",
    );
    expect(farWords("silent")).toBe("needs the kernel");
    expect(farWords("alive")).toBe("");
    expect(refusal(ROWS[0] as (typeof ROWS)[0], "needs the kernel")).toContain("Run the cell again");
    expect(silence({ state: "silent" })).toContain("No kernel");
    expect(silence({ state: "silent", trouble: "cut" })).toContain("No connection");
    expect(silence({ state: "saved" })).toContain("Saved page");
    expect(silence({ state: "alive", trouble: "busy" })).toBe("");
  });

  it("list the keys on ?", async () => {
    const { root, find, press } = await show();
    press(root, "?");
    expect(find("[role=dialog]").hidden).toBe(false);
  });
});
