/** Merging, another number of concepts, what sets a photo apart, and saving the picture, on a page without layout. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { PhotoInfo } from "../src/core/concept_wire";
import widget from "../src/views/concepts";
import { CellStore } from "../src/views/concepts/codec";
import { evidenceScale, splitEvidence, standOut } from "../src/views/concepts/evidence_sums";
import { largeValue, sumPlanes } from "../src/views/concepts/groups";
import { type Concept, deriveShown, type ViewState } from "../src/views/concepts/state";
import { closestClasses } from "../src/views/concepts/whatif";
import { presentWords } from "../src/views/concepts/words";
import { breakLines, fileName, makeSaver, type Snapshot, sizeOf } from "../src/views/shared/save";
import { bytesOf, makeBank, makeConceptModel, makeConceptState } from "./concept_fake";

const STATE: ViewState = {
  opened: null,
  tab: "active",
  map: true,
  cells: false,
  reading: null,
  wipe: null,
  renaming: null,
  showHidden: false,
  rank: null,
  hint: "",
  last: "",
  dark: false,
};
const derive = (more = {}) => deriveShown(makeConceptModel(more).model as never, STATE, new CellStore());

let cleanups: (() => void)[] = [];

function show(more = {}) {
  const fake = makeConceptModel(more);
  const el = document.createElement("div");
  document.body.append(el);
  cleanups.push(widget.render({ model: fake.model, el }));
  const shadow = el.firstElementChild?.shadowRoot as ShadowRoot;
  const root = shadow.querySelector(".ww") as HTMLElement;
  const find = <T extends HTMLElement = HTMLElement>(selector: string) => root.querySelector(selector) as T;
  const all = <T extends HTMLElement = HTMLElement>(selector: string) => [
    ...root.querySelectorAll<T>(selector),
  ];
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  return { fake, root, find, all, frame, focused: () => shadow.activeElement as HTMLElement };
}

function press(node: HTMLElement, key: string, more = {}) {
  node.dispatchEvent(
    new KeyboardEvent("keydown", { key, bubbles: true, composed: true, cancelable: true, ...more }),
  );
}

beforeEach(() => {
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);
});
afterEach(() => {
  for (const cleanup of cleanups) cleanup();
  cleanups = [];
  document.body.replaceChildren();
  vi.restoreAllMocks();
  vi.useRealTimers();
});

describe("a merged concept", () => {
  it("is the sum of its parts, goes by the first of them, and stands where its weight puts it", () => {
    const { rows } = derive({ merged: [[0, 8]] });
    expect(rows.map(({ id }) => id)).toEqual([4, 0]);
    const group = rows[1] as Concept;
    expect(group).toMatchObject({
      letter: "A",
      title: "A + I",
      importance: 0.375,
      contribution: 1,
      error: null,
    });
    expect(group.parts.map(({ id }) => id)).toEqual([0, 8]);
    expect(
      derive({ merged: [[8, 0]], _bank: makeBank({ importance: [0.4, 0.3, 0.3] }) }).rows[0]?.letter,
    ).toBe("I");
    expect(derive({ merged: [[0, 8]], names: { "8": "eyes" } }).rows[1]?.title).toBe("A + eyes");
    expect(derive({ merged: [[0, 8]], names: { "0": "face" } }).rows[1]?.title).toBe("face");
  });

  it("lies over the photo as a sum, on a scale of its own, and is there where a part is", () => {
    const { layers } = derive({ merged: [[4, 0]], selected_concepts: [0, 4], _code_scales: [10, 5, 2] });
    expect(layers).toHaveLength(1);
    const level = (i: number, top: number) => ((i * 20) / 255) * top;
    const wanted = [0, 1, 2, 3].map((i) => expect.closeTo(level(i, 10) + level(4 + i, 5), 4));
    const values = [...(layers[0]?.plane?.values ?? [])] as [number, number, number, number];
    expect(values).toEqual(wanted);
    expect(layers[0]?.top).toBeCloseTo(Math.max(...values) - 0.03 * (values[3] - values[2]), 3);
    expect(layers[0]?.present).toBe(true);
    expect(
      derive({ merged: [[0, 8]], selected_concepts: [8], selected_image: "lake" }).layers[0]?.present,
    ).toBe(false);
  });

  it("adds maps of the network up as well", () => {
    const { layers, missing } = derive({
      merged: [[4, 0]],
      map_kind: "implicit",
      _overlays: { "implicit/pond": bytesOf([1, 0, 0, 0, 1, 0, 0, 0, 255, 51, 0]) },
      _overlay_scales: { implicit: [7, 10, 1] },
    });
    expect(missing).toBe(false);
    expect(layers[0]?.plane?.values[0]).toBeCloseTo(9, 4);
  });

  it("keeps the colours of its maps when another photo's arrive, or a brighter one is the first", () => {
    const merged = { merged: [[4, 0]] };
    const [pond, lake] = [
      bytesOf([1, 0, 0, 0, 1, 0, 0, 0, 255, 51, 0]),
      bytesOf([1, 0, 0, 0, 1, 0, 0, 0, 9, 9, 0]),
    ];
    const _overlay_scales = { occlusion: makeConceptState()._code_scales.map((scale) => 1.5 * scale) };
    const top = (_overlays: object) =>
      derive({ ...merged, map_kind: "occlusion", _overlays, _overlay_scales }).layers[0]?.top ?? 0;
    const codes = derive(merged).layers[0]?.top ?? 0;
    expect(codes).toBeGreaterThan(0);
    expect(top({ "occlusion/pond": pond })).toBeCloseTo(1.5 * codes, 4);
    expect(top({ "occlusion/pond": pond, "occlusion/lake": lake })).toBeCloseTo(1.5 * codes, 4);
  });

  it("leaves the logit as it is", () => {
    const single = derive();
    const merged = derive({ merged: [[4, 8]] });
    const image = single.image as PhotoInfo;
    const scale = evidenceScale([image]);
    const total = (shown: typeof single) => {
      const { plus, minus } = splitEvidence(image, shown.rows, scale);
      return [...plus, ...minus].reduce((all, { value }) => all + value, 0);
    };
    expect(total(merged)).toBeCloseTo(total(single), 6);
    expect(splitEvidence(image, merged.rows, scale).plus[0]).toMatchObject({ value: 2.5 });
  });

  it("speaks for classes as its parts do together, where their effects are there", () => {
    const bank = makeBank();
    const model = makeConceptModel().model as never;
    const { rows } = derive({ merged: [[4, 0]] });
    // effects (3, 4) by mean codes 1, 2: pike and tench gain, [1 + 0, 0 + 4, 0, -1]
    expect(closestClasses(model, bank, rows[0] as Concept)).toEqual([{ name: "pike", value: 4 }]);
    expect(closestClasses(model, bank, rows[1] as Concept)).toEqual(bank.classes[2]);
    const bare = makeConceptModel({ _classes: [], _effects: bytesOf([]) }).model as never;
    expect(closestClasses(bare, bank, rows[0] as Concept)).toBeNull();
  });

  it("is counted in the photos that are kept, and says so", () => {
    const { bank, rows } = derive({ merged: [[0, 8]] });
    const images = makeConceptState()._images;
    expect(presentWords(bank as never, rows[1] as Concept, images)).toBe("In 1 of the 2 photos kept here");
    expect(presentWords(bank as never, rows[0] as Concept, images)).toBe("In 20 of 20 photos");
    const all = { ...bank, quality: { ...bank?.quality, n_images: 2 } };
    expect(presentWords(all as never, rows[1] as Concept, images)).toBe("In 1 of 2 photos");
  });

  it("adds planes up once, and finds what 99 % stay below", () => {
    const plane = (values: number[]) => ({
      rows: 1,
      columns: values.length,
      values: Float32Array.from(values),
    });
    const [a, b] = [plane([1, 2]), plane([3, 4])];
    const both = sumPlanes([a, b], "k");
    expect([...(both?.values ?? [])]).toEqual([4, 6]);
    expect(sumPlanes([a, b], "k")).toBe(both);
    expect(sumPlanes([a], "k")).toBe(a);
    expect(sumPlanes([a, null], "other")).toBeNull();
    const many = plane(Array.from({ length: 101 }, (_, i) => i + 1));
    expect(largeValue({}, "k", () => [many, plane([0, 0])])).toBeCloseTo(100);
    expect(largeValue({}, "k", () => [null])).toBe(0);
  });
});

describe("merging", () => {
  it("is a key, keeps the focus on the whole, and is taken back", () => {
    const { fake, all, find, root, focused } = show({ selected_concepts: [4, 8] });
    const face = all(".face")[2] as HTMLElement;
    face.focus();
    press(face, "g");
    expect(fake.get("merged")).toEqual([[4, 8]]);
    expect(fake.get("selected_concepts")).toEqual([4]);
    expect(fake.saved).toContainEqual({ merged: [[4, 8]] });
    expect(all(".face")).toHaveLength(2);
    expect(focused()).toBe(all(".face")[0]);
    expect(root.dataset).toMatchObject({ concepts: "2", opened: "4", selected: "4" });
    expect(find(".card .chips").children).toHaveLength(2);
    expect(find(".band").textContent).toContain("Merged from E fins and I");
    expect(find(".deckfoot").textContent).toContain("Undo: merging E and I");
    press(focused(), "z", { ctrlKey: true });
    expect(fake.get("merged")).toEqual([]);
    expect(all(".face")).toHaveLength(3);
    press(focused(), "z", { ctrlKey: true, shiftKey: true });
    expect(fake.get("merged")).toEqual([[4, 8]]);
  });

  it("is offered as soon as two lie over the photo, and by the menu", () => {
    const { fake, all, find, focused } = show();
    const offer = () => all(".deckfoot .link").find(({ textContent }) => textContent?.startsWith("Merge"));
    expect(offer()?.hidden ?? true).toBe(true);
    press(all(".face")[1] as HTMLElement, " ");
    expect(offer()?.textContent).toBe("Merge E and A");
    all(".face")[2]?.focus();
    press(all(".face")[2] as HTMLElement, "m");
    const item = all(".menu button:not([hidden])").find(({ textContent }) =>
      textContent?.startsWith("Merge"),
    );
    expect(item?.textContent).toContain("Merge with E and A");
    item?.click();
    expect(fake.get("merged")).toEqual([[4, 0, 8]]);
    press(focused(), "m");
    const apart = all(".menu button:not([hidden])").find(({ textContent }) =>
      textContent?.startsWith("Take apart"),
    );
    apart?.click();
    expect(fake.get("merged")).toEqual([]);
    expect(find(".menu").hidden).toBe(true);
  });

  it("says what is missing where there is one concept only", () => {
    const { fake, all, find } = show();
    press(all(".face")[0] as HTMLElement, "g");
    expect(fake.get("merged")).toEqual([]);
    expect(find(".deckfoot [role=status]").textContent).toContain("Space on its card");
    press(all(".face")[1] as HTMLElement, " ");
    expect(find(".deckfoot [role=status]").textContent).toBe("");
  });

  it("grows a group by another concept, and takes it apart in the band", () => {
    const { fake, all, find } = show({ merged: [[4, 0]], selected_concepts: [4, 8] });
    press(all(".face")[0] as HTMLElement, "g");
    expect(fake.get("merged")).toEqual([[4, 0, 8]]);
    all(".band .link")
      .find(({ textContent }) => textContent === "Take apart")
      ?.click();
    expect(fake.get("merged")).toEqual([]);
    expect(find(".deckfoot").textContent).toContain("taking E+A+I apart");
  });

  it("mutes all parts of a merged concept, and lays it on and off the photo as one", () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { fake, all, find } = show({ merged: [[4, 8]], selected_concepts: [8] });
    const slider = find<HTMLInputElement>(".factor");
    slider.value = "0";
    slider.dispatchEvent(new Event("input"));
    expect(fake.get("scales")).toEqual({ "4": 0, "8": 0 });
    slider.value = "20";
    slider.dispatchEvent(new Event("input"));
    expect(fake.get("scales")).toEqual({});
    press(all(".face")[0] as HTMLElement, " ");
    expect(fake.get("selected_concepts")).toEqual([]);
    expect(find(".split button").title).toContain("take the merged concept apart first");
  });

  it("works in a saved page", () => {
    const { fake, all } = show({ _kernel: false, selected_concepts: [4, 0] });
    press(all(".face")[0] as HTMLElement, "g");
    expect(all(".face")).toHaveLength(2);
    expect(fake.sent).toEqual([]);
  });

  it("keeps what is told of below when the last concept is taken off the photo", async () => {
    const { fake, all, root, frame } = show();
    press(all(".face")[0] as HTMLElement, "Escape");
    expect([root.dataset.selected, root.dataset.opened]).toEqual(["", "4"]);
    fake.set("_bank", makeBank({}, [0, 4, 8])); // while they stream, another one comes first
    await frame();
    expect(root.dataset.opened).toBe("4");
  });
});

describe("the number of concepts", () => {
  const slide = (input: HTMLInputElement, value: number) => {
    input.value = String(value);
    input.dispatchEvent(new Event("input"));
    input.dispatchEvent(new Event("change"));
  };

  it("is asked for once the hand rests, and taken back", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { fake, find, all, frame } = show();
    const input = find<HTMLInputElement>(".rank input");
    const asked = () => fake.sent.filter(({ kind }) => kind === "rank");
    expect([input.max, input.value]).toEqual(["12", "3"]);
    for (const value of [4, 5, 6]) slide(input, value);
    await frame();
    expect(find(".rank output").textContent).toBe("6");
    expect(asked()).toEqual([]);
    vi.advanceTimersByTime(700);
    expect(asked()).toMatchObject([{ concepts: 6 }]);
    await frame();
    expect(find(".rank p").textContent).toContain("Extracting 6 concepts from these 3");
    expect(all(".face")).toHaveLength(3);
    press(find(".rank input"), "z", { ctrlKey: true }); // nothing to take back yet
    fake.set("_bank", makeBank({}, [4, 0, 8, 9, 10, 11]));
    fake.receive({ kind: "applied", rid: asked()[0]?.rid });
    vi.useRealTimers();
    await vi.waitFor(() => expect(find(".deckfoot").textContent).toContain("Undo: 6 instead of 3 concepts"));
    press(find(".rank input"), "z", { ctrlKey: true });
    expect(asked()[1]).toMatchObject({ concepts: 3 });
    expect(find(".rank output").textContent).toBe("3");
  });

  it("says why it was refused, and what is missing", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { fake, find } = show();
    slide(find(".rank input"), 9);
    vi.advanceTimersByTime(700);
    vi.useRealTimers();
    const [asked] = fake.sent.filter(({ kind }) => kind === "rank");
    fake.receive({ kind: "refused", rid: asked?.rid, message: "No room.", superseded: false });
    await vi.waitFor(() => expect(find(".deckfoot").textContent).toContain("No room."));
    expect(find(".rank output").textContent).toBe("3");
    const model = {
      given: false,
      reason: "r",
      photos: "",
      split: "",
      rank: "It needs the network.",
      most: 3,
    };
    const lacking = show({ _model: model });
    expect(lacking.find<HTMLInputElement>(".rank input").disabled).toBe(true);
    expect(lacking.find(".rank p").textContent).toBe("It needs the network.");
    expect(show({ _kernel: false }).find(".rank").hidden).toBe(true);
  });
});

describe("what sets a photo apart", () => {
  const photo = (...contributions: number[]) =>
    ({ ...makeConceptState()._images[0], contributions }) as PhotoInfo;

  it("names the strongest, and the one that is more than elsewhere", () => {
    const { rows } = derive();
    const images = [
      photo(9, 0.5, 0.5),
      photo(9, 0.4, 0.6),
      photo(9, 0.5, 0.4),
      photo(9, 1, 0),
      photo(6, 0, 4),
    ];
    const last = images[4] as PhotoInfo;
    const { strongest, distinctive } = standOut(last, rows, images);
    expect([strongest?.concept.letter, distinctive?.concept.letter]).toEqual(["E", "I"]);
    expect(strongest?.share).toBeCloseTo(0.6);
    expect(distinctive?.mean).toBeCloseTo((0.05 + 0.06 + 4 / 99 + 0 + 0.4) / 5, 5);
    expect(standOut(images[0] as PhotoInfo, rows, images).distinctive?.concept.letter).not.toBe("I");
    expect(standOut(last, rows, images.slice(1)).distinctive).toBeNull();
    expect(standOut(photo(0, 0, 0), rows, images).strongest).toBeNull();
  });

  it("opens it", () => {
    const images = Array.from({ length: 6 }, (_, i) => ({
      ...photo(3, i ? 0.1 : 2, 0),
      name: i ? `p${i}` : "pond",
    }));
    const { fake, all } = show({ _images: images });
    const told = all(".standing span").map(({ textContent }) => textContent?.replaceAll("\u00a0", " "));
    expect(told).toEqual(["Strongest: fins 60 %", "Distinctive: concept A 40 %, 9 % on average"]);
    all(".standing button")[1]?.click();
    expect(fake.get("selected_concepts")).toEqual([0]);
  });
});

describe("saving the picture", () => {
  const snapshot = (more: Partial<Snapshot> = {}): Snapshot => ({
    image: "pond",
    width: 600,
    height: 400,
    shown: 300,
    paint: () => undefined,
    legend: [],
    lines: ["Where", "how"],
    name: ["concepts", "a pond/1", "A + B", "codes"],
    ...more,
  });

  it("names the file after what is in it", () => {
    expect(fileName(["concepts", "a pond/1", "A + B", "", "ÿé.jpg"])).toBe(
      "concepts_a-pond-1_A-B_ÿé.jpg.png",
    );
    expect(fileName(["..", "--"])).toBe(".png");
    expect(fileName(["x".repeat(300)])).toHaveLength(124);
  });

  it("is as large as the photo, within bounds", () => {
    expect(sizeOf(snapshot({ width: 1500, height: 1000 }))).toEqual({ width: 1500, height: 1000, scale: 5 });
    expect(sizeOf(snapshot({ width: 4096, height: 100 })).width).toBe(2048);
    expect(sizeOf(snapshot({ width: 32, height: 64 }))).toMatchObject({ width: 320, height: 640 });
  });

  it("breaks lines at words", () => {
    const measure = (text: string) => text.length;
    expect(breakLines("one two three four", 9, measure)).toEqual(["one two", "three", "four"]);
    expect(breakLines("extraordinarily long", 4, measure)).toEqual(["extraordinarily", "long"]);
  });

  function offer(kernel = { reachable: false, ask: vi.fn() }) {
    const taken: { value: Snapshot | null } = { value: snapshot() };
    const ending = new AbortController();
    const saver = makeSaver(() => taken.value, kernel as never, ending.signal);
    const root = document.createElement("div");
    root.className = "ww";
    root.append(saver.node);
    document.body.append(root);
    cleanups.push(() => ending.abort());
    const [save, copy] = saver.node.querySelectorAll("button") as unknown as [HTMLElement, HTMLElement];
    return { taken, save, copy, said: () => saver.node.querySelector("[role=status]")?.textContent, kernel };
  }

  it("says where a page has no canvas, and no photo", async () => {
    const { taken, save, said } = offer();
    save.click();
    await vi.waitFor(() => expect(said()).toBe("This page cannot make pictures."));
    taken.value = null;
    save.click();
    expect(said()).toBe("There is no photo to save.");
  });

  it("paints photo, legend and words, and hands them to the browser or the clipboard", async () => {
    const written: string[] = [];
    const brush = new Proxy({} as Record<string, unknown>, {
      get: (own, name: string) =>
        own[name] ??
        ((...given: unknown[]) => {
          if (name === "fillText") written.push(String(given[0]));
          return { width: 10 };
        }),
      set: (own, name: string, value) => {
        own[name] = value;
        return true;
      },
    });
    vi.mocked(HTMLCanvasElement.prototype.getContext).mockReturnValue(brush as never);
    HTMLCanvasElement.prototype.toBlob = (done) => done(new Blob(["png"], { type: "image/png" }));
    URL.createObjectURL = () => "blob:here";
    const clicked: string[] = [];
    vi.spyOn(HTMLAnchorElement.prototype, "click").mockImplementation(function (this: HTMLAnchorElement) {
      clicked.push(this.download);
    });
    const paint = vi.fn();
    const mark = { letter: "B", hue: "#000", ink: "#fff" };
    const { taken, save, copy, said } = offer();
    taken.value = snapshot({ paint, legend: [{ mark, low: "0", high: "9 of code", ramp: () => undefined }] });
    save.click();
    await vi.waitFor(() => expect(said()).toContain("Saved as concepts_a-pond-1"));
    expect(clicked).toEqual(["concepts_a-pond-1_A-B_codes.png"]);
    expect(written).toEqual(["B", "0", "9 of code", "Where", "how"]);
    expect(paint.mock.calls[0]?.slice(1)).toEqual([640 / 300, null]);
    copy.click();
    await vi.waitFor(() => expect(said()).toBe("Copied"));
    vi.spyOn(navigator.clipboard, "write").mockRejectedValue(new Error("not allowed"));
    copy.click();
    await vi.waitFor(() => expect(said()).toContain("may not copy"));
  });

  it("asks Python for the photo at its own size where it answers", async () => {
    const ask = vi.fn().mockResolvedValue({ kind: "refused", message: "gone" });
    const { save, said } = offer({ reachable: true, ask });
    save.click();
    await vi.waitFor(() => expect(said()).not.toBe(""));
    expect(ask).toHaveBeenCalledWith("full", { image: "pond" });
  });

  it("is a key on the picture", () => {
    const { find } = show();
    press(find(".pic"), "s");
    expect(find(".saver [role=status]").textContent).toBe("There is no photo to save.");
  });
});
