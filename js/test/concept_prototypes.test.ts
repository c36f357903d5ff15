/** Prototypes on the cards of concepts, on a page without layout. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { ConceptTraits, Growing } from "../src/core/concept_wire";
import widget from "../src/views/concepts";
import { growingWords, MADE } from "../src/views/concepts/words";
import { bytesOf, GROWING, makeConceptModel } from "./concept_fake";

const PROTOS = {
  ids: [4, 8],
  sizes: [
    [320, 320],
    [320, 320],
  ] as [number, number][],
  mosaic: bytesOf([255, 216, 255, 1]),
  alpha: bytesOf([255, 216, 255, 2]),
  side: 128,
  columns: 2,
};
const LARGE = {
  image: bytesOf([255, 216, 255, 3]),
  alpha: bytesOf([255, 216, 255, 4]),
  about: [["Method", "Maco"]] as [string, string][],
  code: "ww.Maco()",
};
const SHOWN: Partial<ConceptTraits> = { _prototypes: PROTOS, _prototype: { 4: LARGE } };

let cleanups: (() => void)[] = [];

function show(more: Partial<ConceptTraits> = {}) {
  const fake = makeConceptModel(more);
  const el = document.createElement("div");
  document.body.append(el);
  cleanups.push(widget.render({ model: fake.model, el }));
  const root = el.firstElementChild?.shadowRoot?.querySelector(".ww") as HTMLElement;
  const find = <T extends HTMLElement = HTMLElement>(selector: string) => root.querySelector(selector) as T;
  const all = <T extends HTMLElement = HTMLElement>(selector: string) => [
    ...root.querySelectorAll<T>(selector),
  ];
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  return { fake, root, find, all, frame };
}

function press(node: HTMLElement, key: string) {
  node.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, composed: true, cancelable: true }));
}

const grows = (more: Partial<Growing>): Partial<ConceptTraits> => ({ _growing: { ...GROWING, ...more } });

beforeEach(() => {
  // happy-dom draws nothing; the drawing itself is looked at in a browser
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);
  vi.stubGlobal("createImageBitmap", async () => ({ width: 8, height: 8, close() {} }));
});
afterEach(() => {
  for (const cleanup of cleanups) cleanup();
  cleanups = [];
  document.body.replaceChildren();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

describe("prototypes on cards", () => {
  it("are marked as made, on the cards that have one, and beside the crops of the opened concept", () => {
    const { all, find, root } = show(SHOWN);
    expect(all(".card").map((card) => card.hasAttribute("data-grown"))).toEqual([true, false, true]);
    expect(all(".card .vh")[0]?.textContent).toContain("made by optimisation");
    expect(all(".card .vh")[1]?.textContent).not.toContain("made by optimisation");
    expect(find(".grown").hidden).toBe(false);
    expect(find("figcaption span").textContent).toBe(MADE);
    expect(find(".grown canvas").getAttribute("aria-label")).toContain("made by optimisation");
    expect(find(".grown .pop").textContent).toContain("ww.Maco()");
    expect(root.dataset).toMatchObject({ grown: "2", cards: "prototypes" });
    all(".face")[1]?.click();
    expect(find(".grown").hidden).toBe(true);
  });

  it("give way to crops by the switch, by a key and from Python", async () => {
    const { fake, all, find, frame } = show(SHOWN);
    const marked = () => all(".card[data-grown]").length;
    fake.sent = [];
    find("[data-key='crops']").click();
    expect(fake.saved).toEqual([{ card_kind: "crops" }]);
    expect(marked()).toBe(0);
    expect(find(".grown").hidden).toBe(false); // beside the crops it stays
    press(all(".face")[0] as HTMLElement, "v");
    expect(fake.get("card_kind")).toBe("prototypes");
    expect(marked()).toBe(2);
    for (const { kind, rid } of fake.sent) if (kind === "set") fake.receive({ kind: "applied", rid });
    await frame();
    fake.set("card_kind", "crops");
    await frame();
    expect(find("[data-key='crops']").getAttribute("aria-checked")).toBe("true");
    expect(marked()).toBe(0);
  });

  it("leave no switch and no mark where there are none", () => {
    const { fake, all, find } = show();
    expect(find("[data-key='prototypes']").parentElement?.hidden).toBe(true);
    expect(all(".card[data-grown]")).toHaveLength(0);
    fake.sent = [];
    press(all(".face")[0] as HTMLElement, "v");
    expect(fake.saved).toEqual([]);
  });

  it("fade by the percentile, which is saved once the slider rests", async () => {
    vi.useFakeTimers();
    const { fake, find } = show(SHOWN);
    fake.sent = [];
    const slider = find<HTMLInputElement>(".grown input");
    expect(slider.value).toBe("80");
    slider.value = "95";
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    expect(fake.get("percentile")).toBe(95);
    expect(fake.saved).toEqual([]);
    await vi.advanceTimersByTimeAsync(300);
    expect(fake.saved).toEqual([{ percentile: 95 }]);
    vi.useRealTimers();
  });

  it("are dropped where concepts are merged, which is said", () => {
    const { all, find } = show({ ...SHOWN, merged: [[4, 0]], selected_concepts: [4] });
    expect(all(".card").map((card) => card.hasAttribute("data-grown"))).toEqual([false, true]);
    expect(find(".grown").hidden).toBe(true);
    expect(find(".band .ifrow").textContent).toContain("It has no prototype");
    const without = show({ merged: [[4, 0]], selected_concepts: [4] });
    expect(without.find(".band .ifrow").textContent).not.toContain("prototype");
  });
});

describe("growing", () => {
  it("begins, stops with the button or Escape, and goes on", async () => {
    const { fake, find, frame } = show();
    const button = find<HTMLButtonElement>(".growing button");
    expect(button.textContent).toBe("Grow prototypes");
    fake.sent = [];
    button.click();
    expect(fake.sent.filter(({ kind }) => kind === "grow")).toMatchObject([{ on: true }]);
    fake.set("_growing", { ...GROWING, state: "computing", steps: 3, wanted: 128, eta: 240 });
    await frame();
    expect(find(".growing .mut").textContent).toBe("Growing prototypes, step 3 of 128 · 4\u00a0min left");
    expect(button.textContent).toBe("Stop");
    press(button, "Escape");
    expect(fake.sent.filter(({ kind }) => kind === "grow")).toMatchObject([{ on: true }, { on: false }]);
    expect(fake.kinds()).not.toContain("stop");
    fake.set("_growing", { ...GROWING, state: "partial", steps: 3, wanted: 128, resumes: true });
    await frame();
    expect(button.textContent).toBe("Continue");
    expect(find(".growing .mut").textContent).toBe("Prototypes stopped at step 3 of 128");
  });

  it("says why it was refused", async () => {
    const { fake, find, frame } = show();
    find(".growing button").click();
    const { rid } = fake.sent.find(({ kind }) => kind === "grow") ?? {};
    fake.receive({ kind: "refused", rid, message: "No room.", suggestions: [], superseded: false });
    await frame();
    await frame();
    expect(find(".deckfoot .caution").textContent).toBe("No room.");
  });

  it("gives the reason without a network, and offers nothing in a saved page", () => {
    const reason = "This needs the network: ConceptExplorer(bank, model).";
    const { find } = show(grows({ reason }));
    expect(find<HTMLButtonElement>(".growing button").disabled).toBe(true);
    expect(find(".growing").textContent).toContain(reason);
    expect(show({ _kernel: false }).find(".growing").hidden).toBe(true);
    const begun = show({ _kernel: false, ...SHOWN, ...grows({ state: "computing", steps: 9, wanted: 128 }) });
    expect(begun.find(".growing button").hidden).toBe(true);
    expect(begun.find(".growing").textContent).toContain("Prototypes at step 9 of 128");
  });

  it("has words for every state", () => {
    const told = (more: Partial<Growing>) => growingWords({ ...GROWING, ...more }, "alive");
    expect(told({ gone: true }).words).toContain("directions before");
    expect(told({ state: "partial", missing: 1 })).toMatchObject({
      verb: "Grow it",
      words: "1 concept without a finished prototype",
    });
    expect(told({ state: "partial", missing: 2 }).verb).toBe("Grow them");
    expect(told({ state: "done", missing: 0 })).toMatchObject({ verb: "", words: "" });
    const error = { what: "", why: "OutOfMemoryError: too large", todo: "" };
    expect(told({ state: "failed", error })).toMatchObject({ verb: "Try again" });
    expect(told({ state: "failed", error }).words).toContain("too large");
    expect(told({ missing: 0 }).verb).toBe(""); // all are merged, or dead
  });
});
