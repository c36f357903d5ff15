import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Kernel } from "../src/core/kernel";
import widget from "../src/views/attribution";
import { LayerStore } from "../src/views/attribution/layers";
import { deriveShown, PlaneStore } from "../src/views/attribution/state";
import { readingAt, stepCell, stepWipe } from "../src/views/shared/reading";
import { FakeModel, makeClass, makeMap, makePlanes, makeState, makeStatus } from "./fake";

let cleanups: (() => void)[] = [];

function show(more = {}) {
  const fake = new FakeModel(makeState(more));
  const el = document.createElement("div");
  document.body.append(el);
  const cleanup = widget.render({ model: fake.model, el });
  cleanups.push(cleanup);
  const shadow = el.firstElementChild?.shadowRoot as ShadowRoot;
  const root = shadow.querySelector(".ww") as HTMLElement;
  const find = <T extends HTMLElement = HTMLElement>(selector: string) => root.querySelector(selector) as T;
  const all = (selector: string) => [...root.querySelectorAll<HTMLElement>(selector)];
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  return { fake, el, shadow, root, find, all, frame, cleanup };
}

function press(node: HTMLElement, key: string) {
  node.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, composed: true, cancelable: true }));
}

const focused = (shadow: ShadowRoot) => shadow.activeElement as HTMLElement;

beforeEach(() => {
  // happy-dom draws nothing; the drawing itself is looked at in a browser
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);
});
afterEach(() => {
  for (const cleanup of cleanups) cleanup();
  cleanups = [];
  document.body.replaceChildren();
  vi.restoreAllMocks();
});

describe("classes", () => {
  it("switches among stored classes at once, and only tells Python", async () => {
    const { fake, root, all } = show();
    await Promise.resolve();
    fake.sent = [];
    all(".pred button")[1]?.click();
    expect(root.dataset.class).toBe("968");
    expect(fake.get("selected_class")).toBe(968);
    expect(fake.saved).toEqual([{ selected_class: 968 }]);
    expect(fake.kinds()).toEqual(["set"]);
    expect(all(".pred button").map((b) => b.getAttribute("aria-checked"))).toEqual([
      "false",
      "true",
      "false",
    ]);
  });

  it("walks with the arrows, with one Tab stop", () => {
    const { shadow, root, all } = show();
    const [first] = all(".pred button") as [HTMLElement];
    expect(all(".pred [tabindex='0']")).toEqual([first]);
    first.focus();
    press(first, "ArrowDown");
    press(focused(shadow), "ArrowDown");
    expect(root.dataset.class).toBe("925");
    press(focused(shadow), "ArrowDown"); // the last one stays
    expect(root.dataset.class).toBe("925");
    press(focused(shadow), "Home");
    expect(root.dataset.class).toBe("967");
    expect(all(".pred [tabindex='0']")).toHaveLength(1);
  });

  it("keeps the focus when a new map reorders the list", async () => {
    const { fake, shadow, all, frame } = show();
    const cup = all(".pred button")[1] as HTMLElement;
    cup.focus();
    fake.set("_maps", { coffee: makeMap([makeClass(968, "cup", 0.6), makeClass(967, "espresso", 0.3)]) });
    await frame();
    expect(all(".pred .n").map((n) => n.textContent)).toEqual(["cup", "espresso"]);
    expect(focused(shadow)).toBe(cup);
  });

  it("asks once for a class that the image lacks", async () => {
    const { fake, find, frame } = show({ selected_class: 0 });
    fake.set("opacity", 0.5);
    await frame();
    const asked = fake.sent.filter(({ kind }) => kind === "explain");
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatchObject({ image: "coffee", query: 0 });
    expect(find(".pic").getAttribute("aria-label")).toContain("without a map");
  });

  it("says in a saved page that a class is not stored, and sends nothing", () => {
    const { fake, find, root } = show({ selected_class: 0, _kernel: false });
    expect(find(".tag").textContent).toBe("class 0 is not stored in this page for this photo");
    expect(root.dataset.class).toBeUndefined();
    expect(find(".chip").textContent).toContain("Saved page");
    expect(fake.sent).toEqual([]);
  });

  it("shows a refusal with its suggestions, and asks for the one that is chosen", async () => {
    const { fake, find, all } = show();
    const field = find<HTMLInputElement>(".other");
    field.value = "tabbi";
    press(field, "Enter");
    const request = fake.sent.find(({ kind }) => kind === "explain");
    expect(request).toMatchObject({ query: "tabbi" });
    fake.receive({
      kind: "refused",
      rid: request?.rid,
      message: "No class 'tabbi'.",
      suggestions: [{ id: 281, name: "tabby" }],
    });
    await vi.waitFor(() => expect(find(".otherbox p").textContent).toBe("No class 'tabbi'."));
    all(".near button")[0]?.click();
    const second = fake.sent.filter(({ kind }) => kind === "explain")[1];
    expect(second).toMatchObject({ query: 281 });
    fake.receive({ kind: "explained", rid: second?.rid, id: 281 });
    await vi.waitFor(() => expect(field.value).toBe(""));
    expect(find(".near").hidden).toBe(true);
  });
});

describe("images", () => {
  it("walks with the arrows, saves the selection, and Python computes by itself", () => {
    const { fake, root, all } = show();
    const [first] = all(".strip button") as [HTMLElement];
    first.focus();
    press(first, "ArrowRight");
    expect(fake.get("selected_image")).toBe("cat");
    expect(root.dataset.image).toBe("cat");
    expect(root.dataset.state).toBe("empty");
    expect(fake.kinds()).not.toContain("start");
  });

  it("hides the thumbnails of a single image", () => {
    const state = makeState();
    const { find } = show({ _images: state._images.slice(0, 1) });
    expect(find(".strip").hidden).toBe(true);
  });
});

describe("states", () => {
  const shown = (status: ReturnType<typeof makeStatus>, more = {}) =>
    show({ _status: { coffee: status }, ...more });
  const words = (find: (s: string) => HTMLElement) => find(".ctl > span").textContent;

  it("done", () => {
    const { find, root } = show();
    expect(words(find)).toBe("32 rows · 2,145 forwards · 41\u00a0s");
    expect(find(".ctl .link").hidden).toBe(true);
    expect(root.dataset).toMatchObject({
      state: "done",
      rows: "32",
      preview: "0",
      seq: "1",
      class: "967",
      kernel: "1",
    });
  });

  it("preview, marked as such", () => {
    const { find, root } = shown(
      makeStatus("computing", { stage: "preview", done: 8, total: 33, eta: 3.2 }),
      {
        _maps: { coffee: makeMap(undefined, { preview: true, rows: 1 }) },
      },
    );
    expect(words(find)).toBe("Preview · 3\u00a0s left");
    expect(find(".tag").textContent).toBe("Preview");
    expect(find(".facts").textContent).toContain("a block carries at least what its cells do");
    expect(root.dataset.preview).toBe("1");
    expect(find(".prog").getAttribute("aria-valuenow")).toBe("24");
  });

  it("measuring, said once and not taken for a queue", () => {
    const { find } = shown(makeStatus("computing", { stage: "tuning", done: 70, total: 2148, eta: 9 }));
    expect(words(find)).toContain("Measuring how this network runs fastest");
  });

  it("rows, with a Stop that is sent", () => {
    const { fake, find } = shown(makeStatus("computing", { stage: "rows", rows: 12, eta: 20 }));
    expect(words(find)).toBe("12 of 32 rows · 20\u00a0s left");
    find(".ctl .link").click();
    expect(fake.sent.at(-1)).toMatchObject({ kind: "stop", image: "coffee" });
  });

  it("partial, which continues", () => {
    const { fake, find } = shown(makeStatus("partial", { rows: 12 }));
    expect(words(find)).toBe("Stopped at 12 of 32 rows");
    expect(find(".ctl .link").textContent).toBe("Continue");
    find(".ctl .link").click();
    expect(fake.kinds()).toContain("start");
  });

  it("failed: what, why, what to do, and the last map stays", () => {
    const error = { what: "It failed.", why: "MemoryError", todo: "Use a smaller batch." };
    const { find, root } = shown(makeStatus("failed", { rows: 12, error }));
    expect(find(".failure").textContent).toBe("It failed.MemoryErrorUse a smaller batch.");
    expect(find(".ctl .link").textContent).toBe("Try again");
    expect(root.dataset.class).toBe("967");
  });

  it("empty, with an offer over the photo", () => {
    const { fake, find } = shown(makeStatus("empty"), { _maps: {}, _planes: {} });
    expect(find(".offer").hidden).toBe(false);
    find(".offer .link").click();
    expect(fake.sent.at(-1)).toMatchObject({ kind: "start", image: "coffee" });
  });

  it("flat: said in words, not drawn", () => {
    const { find } = show({
      _maps: { coffee: makeMap([makeClass(967, "espresso", 0.9, { flat: true, max: 0 })]) },
    });
    expect(find(".tag").textContent).toBe("The score does not move when this image is masked");
    expect(find(".legend").textContent).toContain("no map");
  });

  it("no kernel: said, and what would compute is disabled with the reason", async () => {
    const fake = new FakeModel(makeState({ _status: { coffee: makeStatus("partial", { rows: 3 }) } }));
    fake.broken = true;
    const el = document.createElement("div");
    document.body.append(el);
    cleanups.push(widget.render({ model: fake.model, el }));
    await new Promise((resolve) => requestAnimationFrame(resolve));
    const root = el.firstElementChild?.shadowRoot?.querySelector(".ww") as HTMLElement;
    const job = root.querySelector(".ctl .link") as HTMLButtonElement;
    expect(root.dataset.kernel).toBe("0");
    expect(job.disabled).toBe(true);
    expect(job.title).toContain("No kernel answers");
    fake.broken = false;
    fake.set("_seq", 9);
    await new Promise((resolve) => requestAnimationFrame(resolve));
    expect(root.dataset.kernel).toBe("1");
    expect(job.disabled).toBe(false);
  });

  it("survives bytes that are older than the list of classes", () => {
    const { root } = show({ _planes: { coffee: makePlanes(1, 2) } });
    expect(root.dataset.state).toBe("done");
  });
});

describe("keys", () => {
  it("read cells, clear with Escape, and show or hide the map", () => {
    const { find, all } = show();
    const frame = find(".pic");
    press(frame, "ArrowRight");
    return vi
      .waitFor(() => expect(find(".tag").textContent).toBe("row 2, column 2 · 0.32 ± 0.16 of the variance"))
      .then(() => {
        press(frame, "Escape");
        return vi.waitFor(() => expect(find(".tag").hidden).toBe(true));
      })
      .then(() => {
        press(frame, " ");
        expect(all(".tog")[0]?.getAttribute("aria-pressed")).toBe("false");
      });
  });

  it("`?` lists the keys, and Escape closes the list before it stops a job", () => {
    const { fake, find, root } = show({ _status: { coffee: makeStatus("computing", { stage: "rows" }) } });
    press(root, "?");
    expect(find(".pop").hidden).toBe(false);
    press(find(".pop"), "Escape");
    expect(find(".pop").hidden).toBe(true);
    expect(fake.kinds()).not.toContain("stop");
    press(root, "Escape");
    expect(fake.kinds()).toContain("stop");
  });

  it("step from the middle and stop at the edge", () => {
    expect(stepCell(null, [1, 0], 8, 8)).toBe(36);
    expect(stepCell(7, [1, 0], 8, 8)).toBe(7);
    expect(stepCell(7, [0, 1], 8, 8)).toBe(15);
  });

  it("wipe in tenths with Shift, until all of the map is there again", () => {
    expect(stepWipe(null, "ArrowLeft")).toBe(0.9);
    expect(stepWipe(0.9, "ArrowRight")).toBeNull();
    expect(stepWipe(0.34, "ArrowLeft")).toBe(0.2);
    expect(stepWipe(0, "ArrowLeft")).toBe(0);
    expect(stepWipe(0.5, "ArrowUp")).toBeUndefined();
  });

  it("points outside the crop are not seen", () => {
    const { model } = new FakeModel(makeState());
    const kernel = new Kernel(model, new AbortController().signal, () => undefined);
    const stores = { planes: new PlaneStore(), layers: new LayerStore(model, kernel, () => undefined) };
    const shown = deriveShown(model, stores);
    expect(readingAt(shown, 0.1, 0.5)).toBe("outside");
    expect(readingAt(shown, 0.5, 0.5)).toBe(4);
  });
});

describe("frames and sliders", () => {
  it("acknowledges each frame once it is drawn", async () => {
    const { fake, root, frame } = show();
    fake.set("_seq", 2);
    fake.set("_seq", 3);
    await frame();
    expect(fake.sent.filter(({ kind }) => kind === "ack").map(({ seq }) => seq)).toEqual([1, 3]);
    expect(root.dataset.seq).toBe("3");
  });

  it("saves a slider once it rests, and also when the view goes", () => {
    const { fake, find, cleanup } = show();
    const slider = find<HTMLInputElement>("input[type=range]");
    for (const value of ["70", "60", "50"]) {
      slider.value = value;
      slider.dispatchEvent(new Event("input", { bubbles: true }));
    }
    expect(fake.get("opacity")).toBe(0.5);
    expect(fake.saved).toEqual([]);
    cleanup();
    expect(fake.saved).toEqual([{ opacity: 0.5 }]);
  });
});

describe("life", () => {
  it("leaves nothing behind after ten times", () => {
    const added = vi.spyOn(document, "addEventListener");
    const removed = vi.spyOn(document, "removeEventListener");
    const fake = new FakeModel(makeState());
    const el = document.createElement("div");
    document.body.append(el);
    for (let i = 0; i < 10; i++) {
      const cleanup = widget.render({ model: fake.model, el });
      expect(fake.listeners).toBeGreaterThan(0);
      cleanup();
      expect(fake.listeners).toBe(0);
      expect(el.children).toHaveLength(0);
    }
    expect(added.mock.calls.length).toBe(removed.mock.calls.length);
  });

  it("two views of a model agree on the selection and differ in the rest", async () => {
    const fake = new FakeModel(makeState());
    const roots = [0, 1].map(() => {
      const el = document.createElement("div");
      document.body.append(el);
      cleanups.push(widget.render({ model: fake.model, el }));
      return el.firstElementChild?.shadowRoot?.querySelector(".ww") as HTMLElement;
    });
    roots[0]?.querySelectorAll<HTMLElement>(".pred button")[1]?.click();
    roots[0]?.querySelectorAll<HTMLElement>(".tog")[2]?.click();
    await new Promise((resolve) => requestAnimationFrame(resolve));
    expect(roots.map((root) => root.dataset.class)).toEqual(["968", "968"]);
    expect(roots.map((root) => root.querySelectorAll(".tog")[2]?.getAttribute("aria-pressed"))).toEqual([
      "true",
      "false",
    ]);
  });
});
