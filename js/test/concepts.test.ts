/** The view on a page without layout. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import widget from "../src/views/concepts";
import { bytesOf, makeBank, makeConceptModel } from "./concept_fake";

let cleanups: (() => void)[] = [];

function show(more = {}) {
  const fake = makeConceptModel(more);
  const el = document.createElement("div");
  document.body.append(el);
  const cleanup = widget.render({ model: fake.model, el });
  cleanups.push(cleanup);
  const shadow = el.firstElementChild?.shadowRoot as ShadowRoot;
  const root = shadow.querySelector(".ww") as HTMLElement;
  const find = <T extends HTMLElement = HTMLElement>(selector: string) => root.querySelector(selector) as T;
  const all = <T extends HTMLElement = HTMLElement>(selector: string) => [
    ...root.querySelectorAll<T>(selector),
  ];
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const focused = () => shadow.activeElement as HTMLElement;
  return { fake, el, root, find, all, frame, focused, cleanup };
}

function press(node: HTMLElement, key: string, more = {}) {
  node.dispatchEvent(
    new KeyboardEvent("keydown", { key, bubbles: true, composed: true, cancelable: true, ...more }),
  );
}

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

describe("concepts", () => {
  it("opens with a click, adds with Space or a command click, and tells Python once", () => {
    const { fake, all, root } = show();
    fake.sent = [];
    all(".face")[1]?.click();
    expect(fake.saved).toEqual([{ selected_concepts: [0] }]);
    all(".face")[2]?.dispatchEvent(new MouseEvent("click", { bubbles: true, ctrlKey: true }));
    press(all(".face")[0] as HTMLElement, " ");
    expect(fake.get("selected_concepts")).toEqual([0, 8, 4]);
    expect(root.dataset).toMatchObject({ selected: "0 8 4", opened: "4" });
    press(all(".face")[1] as HTMLElement, " ");
    expect(fake.get("selected_concepts")).toEqual([8, 4]);
    expect(all(".face").map((f) => f.getAttribute("aria-pressed"))).toEqual(["true", "false", "true"]);
  });

  it("has one Tab stop, which the arrows move", () => {
    const { all, focused } = show();
    const stops = () => all(".face[tabindex='0']");
    stops()[0]?.focus();
    press(focused(), "ArrowRight");
    expect(stops()).toEqual([focused()]);
    expect(all(".more[tabindex='0']")).toHaveLength(1);
    press(focused(), "End");
    expect(focused()).toBe(all(".face")[2]);
  });

  it("follows Python", async () => {
    const { fake, root, frame } = show();
    fake.set("selected_concepts", [8]);
    await frame();
    expect(root.dataset).toMatchObject({ selected: "8", opened: "8" });
  });

  it("renames in place, and takes it back with Ctrl+Z", () => {
    const { fake, all, find, focused } = show();
    const face = all(".face")[1] as HTMLElement;
    face.focus();
    press(face, "F2");
    const field = find<HTMLInputElement>(".card .namefield:not([hidden])");
    expect(focused()).toBe(field);
    field.value = " eyes ";
    press(field, "Enter");
    expect(fake.get("names")).toEqual({ "0": "eyes", "4": "fins" });
    expect(focused()).toBe(face);
    expect(find(".deckfoot").textContent).toContain("Undo: name of A");
    press(face, "z", { ctrlKey: true });
    expect(fake.get("names")).toEqual({ "4": "fins" });
    press(face, "Z", { ctrlKey: true, shiftKey: true });
    expect(fake.get("names")).toEqual({ "0": "eyes", "4": "fins" });
  });

  it("keeps the name with Escape", () => {
    const { fake, all, find } = show();
    press(all(".face")[0] as HTMLElement, "F2");
    const field = find<HTMLInputElement>(".card .namefield:not([hidden])");
    expect(field.value).toBe("fins");
    field.value = "tails";
    press(field, "Escape");
    expect(fake.get("names")).toEqual({ "4": "fins" });
    expect(fake.get("selected_concepts")).toEqual([4]);
  });

  it("hides, hands the focus on, and shows again", () => {
    const { fake, all, find, focused } = show();
    const face = all(".face")[0] as HTMLElement;
    face.focus();
    press(face, "h");
    expect(fake.get("hidden")).toEqual([4]);
    expect(fake.get("selected_concepts")).toEqual([]);
    expect(all(".face")).toHaveLength(2);
    expect(focused()).toBe(all(".face")[0]);
    find(".deckfoot .link").click();
    expect(all(".card[data-hidden]")).toHaveLength(1);
  });

  it("pins first, by the menu", () => {
    const { fake, all, find, focused } = show();
    const face = all(".face")[2] as HTMLElement;
    face.focus();
    press(face, "m");
    expect(find(".menu").hidden).toBe(false);
    press(focused(), "ArrowUp");
    press(focused(), "ArrowUp");
    expect(focused().textContent).toContain("Pin first");
    focused().click();
    expect(fake.get("pinned")).toEqual([8]);
    expect(find(".menu").hidden).toBe(true);
    expect(find(".card").dataset.key).toBe("8");
  });

  it("shows a dozen as cards, and more in a list", () => {
    const ids = Array.from({ length: 40 }, (_, i) => i);
    const { all } = show({ _bank: makeBank({}, ids), _crops: ids.map(() => []) });
    expect([all(".cards .card").length, all(".list .card").length]).toEqual([6, 34]);
    expect(all(".face[tabindex='0']")).toHaveLength(1);
  });

  it("says what is dead, and that crops come later", () => {
    const { all, find } = show({
      _bank: makeBank({ dead: [8], complete: false }),
      _crops: [[], [], []],
      _images: [],
    });
    expect(all(".im")[2]?.textContent).toContain("unused");
    expect(find(".cropbox p").textContent).toContain("Crops come");
    expect(find(".whatif").hidden).toBe(true);
  });
});

describe("maps", () => {
  it("asks once for a map, says so, and draws it when it comes", async () => {
    const { fake, find, all, frame, root } = show();
    all(".picbar [role=radio]")[1]?.click();
    all(".face")[1]?.click();
    const asked = fake.sent.filter(({ kind }) => kind === "map");
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatchObject({ image: "pond", map_kind: "implicit", v: 1 });
    expect(find(".tag").textContent).toContain("Computing this map");
    expect(root.dataset.map).toBe("codes");
    fake.set("_overlays", { "implicit/pond": bytesOf([1, 0, 0, 0, 1, 0, 0, 0, 255, 9, 9]) });
    await frame();
    expect(root.dataset.map).toBe("implicit");
    expect(find(".tag").textContent).not.toContain("Computing");
  });

  it("says why it was refused", async () => {
    const { fake, find } = show({ map_kind: "occlusion" });
    const asked = fake.sent.find(({ kind }) => kind === "map");
    fake.receive({ kind: "refused", rid: asked?.rid, message: "No map of this." });
    await vi.waitFor(() => expect(find(".tag").textContent).toContain("No map of this."));
  });

  it("gives the reason without a network, and asks nothing", () => {
    const reason = "No network was given.";
    const { fake, find } = show({
      map_kind: "implicit",
      _model: { given: false, reason, photos: "", split: reason },
    });
    expect(find(".tag").textContent).toContain(reason);
    expect(fake.kinds()).not.toContain("map");
    expect(find<HTMLButtonElement>(".split .link").disabled).toBe(true);
  });

  it("says that a concept is absent", () => {
    const { find } = show({ selected_concepts: [8] });
    expect(find(".tag").textContent).toContain("absent in this photo");
    expect(find(".pic").getAttribute("aria-label")).toContain("without a concept");
  });

  it("takes concepts off the photo with Escape", () => {
    const { fake, find } = show();
    press(find(".pic"), "Escape");
    expect(fake.get("selected_concepts")).toEqual([]);
    expect(find(".legend2").textContent).toContain("Choose a concept");
  });
});

describe("what if", () => {
  it("moves the classes at once, and tells Python when the slider rests", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { fake, find, all, frame } = show();
    fake.sent = [];
    const slider = find<HTMLInputElement>(".factor");
    slider.value = "0";
    slider.dispatchEvent(new Event("input"));
    expect(fake.get("scales")).toEqual({ "4": 0 });
    await frame();
    expect(find(".ifhead").textContent).toContain("muted");
    expect(all(".change")[0]?.textContent).toMatch(/tench\d+.% from \d+.%/);
    expect(fake.saved).toEqual([]);
    vi.runAllTimers();
    expect(fake.saved).toEqual([{ scales: { "4": 0 } }]);
    find(".ifrow .link").click();
    expect(fake.get("scales")).toEqual({});
    vi.useRealTimers();
  });

  it("asks the network behind another head, one request at a time", async () => {
    const { fake, all, frame } = show({ _effects: bytesOf([]), _classes: [], scales: { "4": 0 } });
    const asked = () => fake.sent.filter(({ kind }) => kind === "whatif");
    expect(asked()).toHaveLength(1);
    fake.set("scales", { "4": 0.5 });
    await frame();
    expect(asked()).toHaveLength(1);
    fake.receive({
      kind: "whatif",
      rid: asked()[0]?.rid,
      classes: [{ name: "tench", p: 0.2, before: 0.9 }],
      logit: 1,
    });
    await vi.waitFor(() => expect(asked()).toHaveLength(2));
    expect(asked()[1]).toMatchObject({ image: "pond", scales: { "4": 0.5 } });
    expect(all(".change")[0]?.textContent).toContain("from 90");
  });
});

describe("evidence", () => {
  it("names every piece with its logits, and marks what speaks against", () => {
    const { all, find } = show();
    expect(all(".stack button").map((b) => b.getAttribute("aria-label"))).toEqual([
      "E fins, +3.0 logits",
      "A concept A, +1.0 logits",
      "I concept I, −0.5 logits",
    ]);
    expect(find("[data-side=minus] button").textContent).toBe("−I");
    expect(find(".evid .sm").textContent).toContain("outside the concepts +0.4");
    expect(all(".stack [tabindex='0']")).toHaveLength(1);
  });
});

describe("the view", () => {
  it("writes notes, and keeps them when another concept is opened", () => {
    const { fake, all, find } = show();
    find(".note .link").click();
    const text = find<HTMLTextAreaElement>(".note textarea");
    text.value = "also on eels";
    all(".face")[1]?.click();
    expect(fake.get("notes")).toEqual({ "4": "also on eels" });
    expect(text.value).toBe("");
  });

  it("works in a saved page, sends nothing and says so", () => {
    const { fake, all, find, root } = show({ _kernel: false });
    all(".face")[1]?.click();
    expect(root.dataset.selected).toBe("0");
    expect(find(".chip").textContent).toContain("Saved page");
    expect(find(".split").hidden).toBe(true);
    expect(fake.sent).toEqual([]);
  });

  it("has a picture for every state", () => {
    const failed = { state: "failed", error: { what: "It failed.", why: "OSError", todo: "Try again." } };
    expect(show({ _bank: {}, _images: [], _status: failed }).find(".failure").textContent).toContain(
      "OSError",
    );
    const computing = show({
      _bank: {},
      _crops: [],
      _images: [],
      _status: { state: "computing", stage: "concepts", done: 1, total: 4, eta: 3 },
    });
    expect(computing.find(".ctl").textContent).toContain("Finding concepts");
    expect(computing.find(".blankcards").textContent).toContain("as they are found");
    computing.find(".ctl .link").click();
    expect(computing.fake.kinds()).toContain("stop");
    const lacking = show({
      _images: [],
      _model: { given: false, reason: "r", photos: "The file holds none.", split: "" },
    });
    expect(lacking.find(".nophotos").textContent).toContain("The file holds none.");
  });

  it("acknowledges each frame once", async () => {
    const { fake, frame } = show();
    fake.set("_seq", 2);
    await frame();
    fake.set("opacity", 0.4);
    await frame();
    expect(fake.sent.filter(({ kind }) => kind === "ack").map(({ seq }) => seq)).toEqual([1, 2]);
  });

  it("leaves nothing behind", () => {
    const { fake, el, cleanup } = show();
    cleanup();
    expect(el.children).toHaveLength(0);
    expect(fake.listeners).toBe(0);
  });
});

describe("how far it is", () => {
  const status = (pace: object, more = {}) => ({
    _status: {
      state: "computing",
      stage: "concepts",
      done: 12,
      total: 40,
      eta: 3,
      error: null,
      pace,
      ...more,
    },
  });
  const pace = (more = {}) => ({ unit: "iterations", bound: "about", whole: true, share: 0.4, ...more });

  it("is said with a total, and what kind of total that is", () => {
    expect(show(status(pace())).root.textContent).toContain(
      "Finding concepts · 12 of about 40 iterations · 3\u00a0s left",
    );
    const bound = show(status(pace({ bound: "at most", whole: false }), { total: 200, eta: null }));
    expect(bound.root.textContent).toContain("Finding concepts · 12 of at most 200 iterations");
    const stage = show(status(pace({ bound: "", unit: "batches", whole: false }), { stage: "codes" }));
    expect(stage.root.textContent).toContain("12 of 40 batches · 3\u00a0s left in this step");
  });

  it("fills the line by all stages, and can be stopped", () => {
    const { fake, find, all } = show(status(pace()));
    expect(find(".prog i").style.width || find(".prog i").style.transform).toMatch(/40%|0\.4/);
    all("button")
      .find((button) => button.textContent === "Stop")
      ?.click();
    expect(fake.sent.map(({ kind }) => kind)).toContain("stop");
  });
});
