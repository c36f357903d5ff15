/** Readings of a map, signs, shared scales, and the partners of a cell. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { paintSigned, paintValues } from "../src/core/colormap";
import { signedQuantity } from "../src/core/format";
import { decodeLayer } from "../src/core/planes";
import type { LayerInfo, Search } from "../src/core/wire";
import widget from "../src/views/attribution";
import { FakeModel, makeClass, makeMap, makePlanes, makeState } from "./fake";

let cleanups: (() => void)[] = [];
beforeEach(() => void vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null));
afterEach(() => {
  for (const cleanup of cleanups) cleanup();
  cleanups = [];
  document.body.replaceChildren();
  vi.restoreAllMocks();
});

function show(more = {}) {
  const fake = new FakeModel(makeState(more));
  const el = document.createElement("div");
  document.body.append(el);
  cleanups.push(widget.render({ model: fake.model, el }));
  const root = el.firstElementChild?.shadowRoot?.querySelector(".ww") as HTMLElement;
  const find = <T extends HTMLElement = HTMLElement>(selector: string) => root.querySelector(selector) as T;
  const asked = (kind: string) => fake.sent.filter((message) => message.kind === kind);
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  return { fake, root, find, asked, frame };
}

function press(node: HTMLElement, key: string) {
  node.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, composed: true, cancelable: true }));
}

const layer = (more: Partial<LayerInfo> = {}): LayerInfo => ({
  id: 967,
  index: "slope",
  score: "logit",
  min: -1,
  max: 3,
  se_max: 0.5,
  flat: false,
  agreement: null,
  unit: "logits",
  ...more,
});

/** A layer of 2 x 3 cells whose values rise from `min` to `max`. */
const bytes = () => makePlanes(1, 6);

const search = (more: Partial<Search> = {}): Search => ({
  rid: "r1",
  image: "coffee",
  cell: [0, 1],
  state: "done",
  done: 32,
  total: 32,
  why: "",
  found: {
    id: 967,
    min: 0,
    max: 0.2,
    se_max: 0.1,
    rows: 16,
    forwards: 32,
    looked: [0, 5],
    partners: [5],
    plane: bytes(),
  },
  ...more,
});

describe("signs", () => {
  it("are decoded with their minimum", () => {
    const plane = decodeLayer(bytes(), [2, 3], layer());
    expect([...(plane?.values ?? [])].map((v) => Number(v.toFixed(3)))).toEqual([-1, -0.2, 0.6, 1.4, 2.2, 3]);
    expect(decodeLayer(new DataView(new ArrayBuffer(8)), [2, 3], layer())).toBeNull();
  });

  it("have a hue each, and zero is transparent", () => {
    const out = new Uint8ClampedArray(12);
    paintSigned([-1, 0, 1], 1, 0.1, out);
    expect([out[3], out[7], out[11]]).toEqual([255, 0, 255]);
    expect(out[2]).toBeGreaterThan(out[0] as number);
    expect(out[8]).toBeGreaterThan(out[10] as number);
  });

  it("are written with a sign", () => {
    expect([signedQuantity(0.42), signedQuantity(-0.05), signedQuantity(0), signedQuantity(-0.0001)]).toEqual(
      ["+0.42", "−0.050", "0.00", "<0.001"],
    );
  });
});

describe("layers", () => {
  it("are asked of Python once, drawn when they arrive, and kept", async () => {
    const { fake, root, find, asked, frame } = show({ _maps: { coffee: makeMap() } });
    find('[data-key="slope"]').click();
    expect(fake.saved).toEqual([{ index: "slope" }]);
    expect(find(".tag").textContent).toBe("One moment: reading it");
    expect(asked("layer")).toMatchObject([{ image: "coffee", class: 967, index: "slope", score: "logit" }]);
    fake.fire(
      "msg:custom",
      { kind: "layer", rid: asked("layer")[0]?.rid, image: "coffee", grid: [2, 3], rows: 32, layer: layer() },
      [bytes()],
    );
    await vi.waitFor(() => expect(root.dataset.index).toBe("slope"));
    expect(find(".legend").textContent).toBe("−3.00 against+3.00 logits, for");
    expect(find(".fact").textContent).toContain("would seem so by chance");
    find('[data-key="total"]').click();
    find('[data-key="slope"]').click();
    await frame();
    expect(asked("layer")).toHaveLength(1);
    press(find(".pic"), "ArrowRight");
    await vi.waitFor(() => expect(find(".tag").textContent).toBe("row 2, column 2 · +2.20 ± 0.78 logits"));
  });

  it("are asked for again once the map is newer, and the older one stays meanwhile", async () => {
    const { fake, root, asked, frame } = show({ index: "slope" });
    fake.fire(
      "msg:custom",
      { kind: "layer", rid: asked("layer")[0]?.rid, image: "coffee", grid: [2, 3], rows: 32, layer: layer() },
      [bytes()],
    );
    await vi.waitFor(() => expect(root.dataset.index).toBe("slope"));
    fake.set("_maps", { coffee: makeMap(undefined, { rows: 40 }) });
    await frame();
    expect(asked("layer")).toHaveLength(2);
    expect(root.dataset.index).toBe("slope");
  });

  it("that cannot be had are disabled with the reason, and a refusal is said once", async () => {
    const { fake, find, asked, frame } = show({ score: "softmax" });
    const first = find('[data-key="first"]');
    expect([first.getAttribute("aria-disabled"), first.title]).toEqual([
      "true",
      "First order needs one more forward a row",
    ]);
    first.click();
    expect(fake.saved).toEqual([]);
    fake.receive({
      kind: "refused",
      rid: asked("layer")[0]?.rid,
      message: "Its logits were dropped.",
      suggestions: [],
    });
    await vi.waitFor(() => expect(find(".tag").textContent).toBe("Its logits were dropped."));
    fake.set("opacity", 0.3);
    await frame();
    expect(asked("layer")).toHaveLength(1);
  });

  it("of a saved page are read from it", async () => {
    const kept = { ...layer(), plane: bytes() };
    const { fake, root, find } = show({ _kernel: false, index: "slope", _layers: { coffee: [kept] } });
    expect(root.dataset.index).toBe("slope");
    find<HTMLSelectElement>("select").value = "softmax";
    find("select").dispatchEvent(new Event("change"));
    expect(find(".tag").textContent).toBe("Not stored in this page");
    expect(fake.sent).toEqual([]);
  });

  it("walk with the arrows, with one Tab stop", () => {
    const { find, root } = show();
    const total = find('[data-key="total"]');
    total.focus();
    press(total, "End");
    expect(find('[data-key="error"]').getAttribute("aria-checked")).toBe("true");
    expect(root.querySelectorAll(".tabs [tabindex='0']")).toHaveLength(1);
  });
});

describe("uncertainty", () => {
  it("is a layer: its colours, its legend and its numbers, without asking Python", async () => {
    const { fake, root, find, asked } = show();
    find('[data-key="error"]').click();
    expect(fake.saved).toEqual([{ index: "error" }]);
    expect(root.dataset.index).toBe("error");
    expect(asked("layer")).toEqual([]); // it travels with the total index
    expect(find(".heading h2").textContent).toBe("Uncertainty of where it looks for espresso");
    expect(find(".legend").textContent).toBe("00.10 of the variance, standard error");
    press(find(".pic"), "ArrowRight");
    await vi.waitFor(() =>
      expect(find(".tag").textContent).toBe(
        "row 2, column 2 · 0.080 standard error, of 0.32 of the variance",
      ),
    );
    expect(find(".fact").textContent).toContain("halves");
  });

  it("of another score is read from that score's total index", async () => {
    const { fake, root, asked } = show({ index: "error", score: "softmax" });
    expect(asked("layer")).toMatchObject([{ index: "total", score: "softmax" }]);
    const told = layer({ index: "total", score: "softmax", min: 0, max: 1, se_max: 0.5 });
    fake.fire(
      "msg:custom",
      { kind: "layer", rid: asked("layer")[0]?.rid, image: "coffee", grid: [2, 3], rows: 32, layer: told },
      [bytes()],
    );
    await vi.waitFor(() => expect(root.dataset.index).toBe("error"));
  });

  it("is painted in colours that no map of values has", () => {
    const paint = (name: "error" | "magma" | "viridis" | "cividis") => {
      const out = new Uint8ClampedArray(12);
      paintValues([0, 0.5, 1], 1, name, 0.1, out);
      return [...out];
    };
    const error = paint("error");
    expect([error[3], error[11]]).toEqual([0, 255]);
    for (const name of ["magma", "viridis", "cividis"] as const) expect(paint(name)).not.toEqual(error);
  });
});

describe("layers side by side", () => {
  const box = (find: (selector: string) => HTMLElement, name: string) => {
    const button = find(`[data-key="${name}"]`);
    return [button.getAttribute("role"), button.getAttribute("aria-checked")];
  };
  const beside = (find: (selector: string) => HTMLElement) =>
    [...find(".controls").querySelectorAll("button")].find(
      ({ textContent }) => textContent === "Side by side",
    );

  it("are ticked and unticked, and one that is left stands alone", async () => {
    const { fake, root, find } = show();
    beside(find)?.click();
    expect(fake.saved.at(-1)).toEqual({ layers: ["total", "slope", "error"] }); // there is no first order
    expect(root.dataset.panels).toBe("3");
    expect([box(find, "error"), box(find, "first")]).toEqual([
      ["checkbox", "true"],
      ["checkbox", "false"],
    ]);
    expect(root.querySelectorAll(".legend")).toHaveLength(2); // the sign is still to be asked for
    find('[data-key="slope"]').click();
    expect(fake.saved.at(-1)).toEqual({ layers: ["total", "error"] });
    find('[data-key="first"]').click();
    expect(root.dataset.layers).toBe("total error");
    find('[data-key="total"]').click();
    expect(fake.saved.at(-1)).toEqual({ index: "error", layers: [] });
    expect([root.dataset.panels, root.dataset.index]).toEqual(["0", "error"]);
    expect(box(find, "error")).toEqual(["radio", "true"]);
  });

  it("follow Python, and Escape and the button leave them", async () => {
    const { fake, root, find, frame } = show();
    fake.set("layers", ["total", "error"]);
    await frame();
    expect([...root.querySelectorAll("figcaption .link")].map((node) => node.textContent)).toEqual([
      "Total",
      "Uncertainty",
    ]);
    press(find(".panels .pic"), "Escape");
    expect(fake.saved.at(-1)).toEqual({ layers: [] });
    const other = show({ layers: ["total", "error"] });
    beside(other.find)?.click();
    expect(other.root.dataset.panels).toBe("0");
  });

  it("are opened one by one", async () => {
    const { fake, root, frame } = show({ layers: ["total", "error"] });
    await frame();
    [...root.querySelectorAll<HTMLElement>("figcaption .link")][1]?.click();
    expect(fake.saved.at(-1)).toEqual({ layers: [], index: "error" });
    expect(root.dataset.index).toBe("error");
  });

  it("are walked with the arrows without being changed", () => {
    const { fake, find } = show({ layers: ["total", "error"] });
    find('[data-key="total"]').focus();
    press(find('[data-key="total"]'), "ArrowRight");
    expect(fake.saved).toEqual([]);
  });
});

describe("the scale", () => {
  it("is this image's, or that of the strongest", async () => {
    const cat = makeMap([makeClass(281, "tabby", 0.7, { max: 0.9 })]);
    const { find, fake, frame } = show({
      _maps: { coffee: makeMap(), cat },
      _planes: { coffee: makePlanes(3, 6), cat: makePlanes(1, 6) },
    });
    expect(find(".legend").textContent).toContain("0.40 of the variance");
    fake.set("scale", "shared");
    await frame();
    expect(find(".legend").textContent).toContain("0.90 of the variance");
  });
});

describe("partners", () => {
  it("are asked for with Enter on a cell, shown, and left with Escape", async () => {
    const { fake, root, find, asked, frame } = show();
    const frameNode = find(".pic");
    press(frameNode, "ArrowRight");
    press(frameNode, "Enter");
    expect(asked("pairs")).toMatchObject([{ image: "coffee", cell: [1, 1] }]);
    fake.set("_pairs", search({ state: "computing", done: 12, found: null }));
    press(frameNode, "Tab");
    frameNode.dispatchEvent(new Event("blur"));
    await vi.waitFor(() => expect(find(".tag").textContent).toContain("row 1, column 2: 30\u00a0%"));
    fake.set("_pairs", search());
    await frame();
    expect(root.dataset.partners).toBe("done");
    expect(find(".heading h2").textContent).toBe("With row 1, column 2");
    expect(find(".tag").textContent).toBe("1 cell acts with row 1, column 2, up to 0.20 of the variance");
    press(frameNode, "Escape");
    expect(root.dataset.partners).toBe("");
    expect(asked("pairs").at(-1)).toMatchObject({ cell: null });
    fake.set("_pairs", search({ done: 31 })); // what was still on its way
    await frame();
    expect(root.dataset.partners).toBe("");
  });

  it("are read cell by cell, and what was not looked at is said", async () => {
    const { find } = show({ _pairs: search() });
    const frameNode = find(".pic");
    press(frameNode, "ArrowRight");
    await vi.waitFor(() => expect(find(".tag").textContent).toBe("row 2, column 2 · not looked at"));
    press(frameNode, "ArrowRight");
    await vi.waitFor(() =>
      expect(find(".tag").textContent).toBe("row 2, column 3 · 0.20 ± 0.20 of the variance"),
    );
  });

  it("belong to their photo, and another index goes back to the map", async () => {
    const { root, find, asked, fake, frame } = show({ _pairs: search() });
    find('[data-key="slope"]').click();
    expect(root.dataset.partners).toBe("");
    expect(asked("pairs")).toMatchObject([{ cell: null }]);
    fake.set("_pairs", search({ rid: "r2", image: "cat" }));
    await frame();
    expect(root.dataset.partners).toBe("");
  });

  it("that cannot be searched are refused in words", async () => {
    const { fake, find, asked } = show();
    const frameNode = find(".pic");
    press(frameNode, "ArrowRight");
    press(frameNode, "Enter");
    fake.receive({
      kind: "refused",
      rid: asked("pairs")[0]?.rid,
      message: "Once the map has 8 rows.",
      suggestions: [],
    });
    await vi.waitFor(() => expect(find(".tag").textContent).toBe("Once the map has 8 rows."));
  });
});
