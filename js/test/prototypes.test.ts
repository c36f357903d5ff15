/** PrototypeView on a page without layout, and the numbers behind its pictures. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { ProtoTraits } from "../src/core/proto_wire";
import widget from "../src/views/prototypes";
import { opacities } from "../src/views/prototypes/alpha";
import { kindOf } from "../src/views/prototypes/bitmaps";
import { findConcept } from "../src/views/prototypes/following";
import { differenceOf, highest, tileBox } from "../src/views/prototypes/painting";
import { scaleEnds } from "../src/views/prototypes/scale";
import { chooseFaces, fitted } from "../src/views/prototypes/state";
import { lastStep, nearest, tracePoints } from "../src/views/prototypes/trace";
import { comparisonWords } from "../src/views/prototypes/words";
import { bytesOf } from "./concept_fake";
import { type FakeModel, makeSelection, managerOf } from "./fake";
import { makeExamples, makeProto, makeProtoModel } from "./proto_fake";

let cleanups: (() => void)[] = [];

function show(more: Partial<ProtoTraits> = {}, selection?: FakeModel) {
  const fake = makeProtoModel(more);
  if (selection) fake.widget_manager = managerOf(selection);
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
  const button = (text: string) => all("button").find((each) => each.textContent === text) as HTMLElement;
  return { fake, el, root, find, all, frame, button, cleanup, shadow };
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

describe("numbers", () => {
  it("makes opaque what is above the percentile, and fades the rest by its alpha", () => {
    const levels = Uint8Array.from({ length: 101 }, (_, i) => i);
    const of = opacities(levels, 80);
    expect(of[80]).toBe(255);
    expect(of[100]).toBe(255);
    expect(of[40]).toBe(Math.round(255 * 0.25)); // levels are square roots
    expect(of[0]).toBe(0);
  });

  it("shows all where alpha tells nothing, or the percentile is of nothing", () => {
    expect(opacities(new Uint8Array(9).fill(7), 80)[7]).toBe(255);
    expect(opacities(new Uint8Array(9), 80)[0]).toBe(255);
    expect(opacities(Uint8Array.from([0, 0, 0, 9]), 50)[0]).toBe(255);
  });

  it("finds tiles, sizes and kinds of files", () => {
    expect(tileBox(3, 128, 2, [512, 256])).toEqual({ x: 128, y: 128, width: 64, height: 128 });
    expect(fitted([512, 512], 80)).toEqual([80, 80]);
    expect(fitted([48, 64], 80)).toEqual([48, 64]); // never enlarged
    expect(kindOf(bytesOf([0x52, 0x49, 0x46, 0x46]))).toBe("image/webp");
    expect(kindOf(bytesOf([0xff, 0xd8, 0xff, 0xe0]))).toBe("image/jpeg");
    expect(kindOf(bytesOf([0x89, 0x50, 0x4e, 0x47]))).toBe("image/png");
  });

  it("measures what an accentuation changed", () => {
    expect([...differenceOf([0, 0, 0, 255, 9, 9, 9, 255], [3, 6, 9, 255, 9, 9, 9, 255])]).toEqual([6, 0]);
    const values = Float32Array.from({ length: 200 }, (_, i) => (i === 17 ? 250 : i / 10));
    expect(highest(values)).toBeCloseTo(19.8, 3);
  });

  it("keeps the ends of the trace inside its drawing", () => {
    const points = tracePoints({ ...makeProto(), number: 0 });
    expect(points[0]).toEqual([4, 52]);
    expect(points.at(-1)).toEqual([316, 4]);
    expect(lastStep(4000, 2)).toBe(15);
    expect(lastStep(4000, 400)).toBe(799);
    expect(nearest([0, 85, 170, 255], 120)).toBe(1);
  });

  it("lays prototypes and photos on one scale", () => {
    const protos = [{ ...makeProto({ crops: null }), number: 0 }];
    expect(scaleEnds(makeExamples(), protos)).toEqual([-1, 12.5]);
    expect(
      scaleEnds(makeExamples({ values: [2] }), [
        { ...makeProto({ before: 2, after: 2, crops: null }), number: 0 },
      ]),
    ).toEqual([1, 3]);
  });

  it("says how photos compare", () => {
    const proto = { ...makeProto(), number: 0 };
    expect(comparisonWords(makeExamples(), proto)).toBe(
      "The whole prototype gives 12.5, above all 3 photos; its crops, which were climbed, 14 ± 2. The strongest photo gives 9.",
    );
    expect(comparisonWords(makeExamples(), { ...proto, after: 3, crops: null })).toContain(
      "above 67\u00a0% of 3 photos",
    );
    expect(comparisonWords(makeExamples(), { ...proto, seeded: true, crops: null })).toContain(
      "The accentuated photo gives 12.5 (−0.5 before), above all 3 photos.",
    );
    expect(comparisonWords(makeExamples(), { ...proto, after: -9, crops: null })).toContain("−9, below all");
    expect(comparisonWords(makeExamples({ complete: false }), { ...proto, after: null })).toBe(
      "Of the first 3 photos, the strongest photo gives 9.",
    );
  });

  it("gives each target one face: the one that is looked at", () => {
    const protos = makeProtoModel().get("_protos") as ReturnType<typeof makeProto>[];
    const numbered = protos.map((each, number) => ({ ...each, number }));
    expect(chooseFaces(numbered, numbered[1] ?? null).map(({ number }) => number)).toEqual([1, 2, 3]);
    expect(findConcept(protos, [77, 4])).toBe(2);
    expect(findConcept(protos, [77])).toBe(-1);
  });
});

describe("prototypes", () => {
  it("looks at another target with a click or the arrows, and tells Python", () => {
    const { fake, all, root, shadow } = show();
    fake.sent = [];
    all(".card")[1]?.click();
    expect(fake.saved).toEqual([{ selected: 2 }]);
    expect(root.dataset).toMatchObject({ selected: "2", prototypes: "4", targets: "3" });
    (shadow.activeElement as HTMLElement | null)?.blur();
    const card = all(".card")[1] as HTMLElement;
    card.focus();
    press(card, "ArrowRight");
    expect(fake.get("selected")).toBe(3);
    expect(all(".card[tabindex='0']")).toHaveLength(1);
    expect(all(".card").map((each) => each.getAttribute("aria-checked"))).toEqual(["false", "false", "true"]);
  });

  it("shows the seeds of a target side by side, or one alone", () => {
    const { all, button, find } = show();
    expect(all(".proto figcaption").map((each) => each.textContent)).toEqual([
      "seed 0 · 12.5",
      "seed 1 · 11",
    ]);
    all(".proto")[1]?.click();
    expect(all(".proto").map((each) => each.hasAttribute("data-here"))).toEqual([false, true]);
    button("Side by side").click();
    expect(all(".proto")).toHaveLength(1);
    expect(find(".proto").dataset.number).toBe("1");
  });

  it("walks the frames of the way with the slider and with keys, and comes back", async () => {
    const { find, frame, root } = show();
    const picture = find(".pic");
    press(picture, "ArrowLeft");
    await frame();
    expect(root.dataset).toMatchObject({ frames: "3", frame: "1" });
    expect(find(".tag").textContent).toBe("step 128");
    press(picture, "Home");
    await frame();
    expect(find(".tag").textContent).toBe("noise");
    press(picture, "Escape");
    await frame();
    expect(root.dataset.frame).toBe("");
    const slider = find<HTMLInputElement>(".sl input");
    slider.value = "0";
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    await frame();
    expect(root.dataset.frame).toBe("0");
    press(picture, "End");
    await frame();
    expect(root.dataset.frame).toBe("");
  });

  it("fades out what did not matter, by a percentile", async () => {
    const { fake, all, find, frame } = show();
    press(find(".pic"), " ");
    expect(fake.get("transparency")).toBe(false);
    expect(fake.saved).toEqual([{ transparency: false }]);
    const slider = all<HTMLInputElement>(".sl input")[1] as HTMLInputElement;
    expect(slider.disabled).toBe(true);
    press(find(".pic"), " ");
    slider.value = "95";
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    await frame();
    expect(fake.get("percentile")).toBe(95);
    expect(slider.getAttribute("aria-valuetext")).toBe("95\u00a0%");
  });

  it("tells what grows, stops with Escape, and says when it has stopped", async () => {
    const growing = {
      state: "computing",
      stage: "ascent",
      done: 90,
      total: 300,
      eta: 12,
      seconds: 5,
      error: null,
    } as const;
    const protos = [makeProto({ steps: 90, after: null, complete: false })];
    const { fake, find, root, frame } = show({ _protos: protos, _status: growing, _examples: [] });
    expect(find(".ctl").textContent).toContain("Step 90 of 256 · 12\u00a0s left");
    expect(find(".targets").hidden).toBe(true);
    press(root, "Escape");
    expect(fake.kinds()).toContain("stop");
    fake.set("_status", { ...growing, state: "partial", eta: null });
    await frame();
    expect(find(".ctl").textContent).toContain("Stopped at step 90 of 256");
    find(".ctl .link").click();
    expect(fake.kinds()).toContain("start");
  });

  it("acknowledges every frame once", async () => {
    const { fake, frame } = show();
    expect(fake.sent.filter(({ kind }) => kind === "ack").map(({ seq }) => seq)).toEqual([1]);
    fake.set("_seq", 2);
    await frame();
    fake.set("percentile", 10);
    await frame();
    expect(fake.sent.filter(({ kind }) => kind === "ack").map(({ seq }) => seq)).toEqual([1, 2]);
  });

  it("shows photos beside it, or says why there are none", async () => {
    const { fake, all, find, frame, button } = show();
    expect(all(".examples button").map((each) => each.getAttribute("aria-label"))).toEqual([
      "Photo 1, pond, 9",
      "Photo 2, lake, 2",
    ]);
    expect(find(".compared").textContent).toContain("above all 3 photos");
    expect(button("Photos").hidden).toBe(true);
    fake.set("selected", 2);
    await frame();
    expect(all(".examples button")[0]?.getAttribute("aria-label")).toBe(
      "Photo 1, pond, 3, 7 at its strongest place",
    );
    button("Photos").click();
    expect(button("Photos").getAttribute("aria-pressed")).toBe("true");
    fake.set("selected", 3);
    await frame();
    expect(find(".real").textContent).toContain("No photos yet.");
    expect(find(".compared").hidden).toBe(true);
  });

  it("says that a prototype is not data, and where that was shown", () => {
    const { all } = show();
    expect(all<HTMLAnchorElement>(".cautions a").map((each) => each.href)).toEqual([
      "https://arxiv.org/abs/2306.04719",
      "https://arxiv.org/abs/2106.12447",
    ]);
  });

  const accentuated = () =>
    show({
      _protos: [makeProto({ seeded: true })],
      _large: { "0": { image: bytesOf([]), alpha: bytesOf([]), seed: bytesOf([]) } },
    });

  it("wipes between an accentuated photo and the photo it was with keys, and says where", async () => {
    const { find, frame } = accentuated();
    const grip = find(".grip");
    const at = () => [grip.getAttribute("aria-valuenow"), grip.getAttribute("aria-valuetext")];
    expect(at()).toEqual(["50", "50\u00a0% before on the left, after on the right"]);
    for (const [key, wanted] of [
      ["ArrowRight", "52"],
      ["ArrowDown", "50"],
      ["PageUp", "60"],
      ["End", "100"],
      ["ArrowRight", "100"],
      ["Home", "0"],
      ["ArrowUp", "2"],
    ] as const) {
      press(grip, key);
      await frame();
      expect(at()[0]).toBe(wanted);
    }
    press(grip, "End");
    await frame();
    expect(at()[1]).toBe("all before");
    press(grip, "Escape");
    await frame();
    expect(at()[0]).toBe("50");
  });

  it("wipes with the pointer, names both sides, and gives the keys to the handle alone", async () => {
    const { all, find, frame, fake } = accentuated();
    const picture = find(".pic");
    picture.getBoundingClientRect = () => new DOMRect(100, 0, 200, 200);
    picture.setPointerCapture = () => {};
    const point = (type: string, clientX: number) =>
      picture.dispatchEvent(new PointerEvent(type, { clientX, button: 0, bubbles: true, composed: true }));
    const names = () =>
      all(".tag")
        .filter(({ hidden }) => !hidden)
        .map((each) => each.textContent);
    expect(names()).toEqual(["Before", "After"]);
    point("pointerdown", 160);
    await frame();
    expect(find(".grip").getAttribute("aria-valuenow")).toBe("30");
    point("pointermove", 310);
    point("pointerup", 310);
    point("pointermove", 120);
    await frame();
    expect(find(".grip").getAttribute("aria-valuenow")).toBe("100");
    expect(names()).toEqual(["Before"]);
    expect(picture.getAttribute("tabindex")).toBe(null);
    press(find(".grip"), " ");
    expect(fake.get("transparency")).toBe(true);
  });

  it("shows an accentuated photo whole, what was changed in it, and calls its beginning a photo", async () => {
    const { all, find, frame, button, root } = accentuated();
    expect(button("Transparency").hidden).toBe(true);
    expect(all<HTMLElement>(".sl").map(({ hidden }) => hidden)).toEqual([false, true]);
    expect(find(".pic").getAttribute("aria-label")).toBe("Photo accentuated for tench, step 256.");
    button("Difference").click();
    expect(button("Difference").getAttribute("aria-pressed")).toBe("true");
    expect(find(".grip").hidden).toBe(true);
    expect(find(".tag").textContent).toBe("What was changed, over the photo in grey");
    button("Difference").click();
    const slider = find<HTMLInputElement>(".sl input");
    slider.value = "0";
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    await frame();
    expect(root.dataset.frame).toBe("0");
    expect(find(".tag.after").textContent).toBe("photo");
    const plain = show();
    expect(plain.button("Difference").hidden).toBe(true);
    expect(plain.find(".grip").hidden).toBe(true);
  });

  it("tells a failure, and that no kernel is needed for what is saved", () => {
    const error = { what: "The computation failed.", why: "ValueError: x", todo: "Look." };
    const failed = { state: "failed", stage: null, done: 0, total: 0, eta: null, seconds: 0, error } as const;
    const { find } = show({ _status: failed });
    expect(find(".failure").textContent).toContain("ValueError: x");
    const saved = show({ _kernel: false });
    expect(saved.find(".chip").textContent).toContain("Saved page");
    expect(saved.find(".ctl .link").hidden).toBe(true);
    saved.all(".card")[2]?.click();
    expect(saved.root.dataset.selected).toBe("3");
  });

  it("says so where there is nothing yet", () => {
    const { find } = show({ _protos: [], _status: { state: "empty" }, _examples: [] });
    expect(find(".blank").textContent).toBe("No prototypes yet.");
    expect(find(".ctl .link").textContent).toBe("Run");
  });

  it("takes all its listeners away", () => {
    const { fake, cleanup, el } = show();
    cleanup();
    expect(fake.listeners).toBe(0);
    expect(el.childElementCount).toBe(0);
  });
});

describe("linked", () => {
  const settle = () => new Promise((resolve) => setTimeout(resolve));

  it("selects its concept or class for the other views", async () => {
    const selection = makeSelection();
    const { all } = show({}, selection);
    await settle();
    all(".card")[1]?.click();
    expect(selection.get("concepts")).toEqual([4]);
    all(".card")[0]?.click();
    expect(selection.get("class_id")).toBe(0);
    all(".card")[2]?.click();
    expect(selection.get("concepts")).toEqual([4]);
  });

  it("follows whichever of concept and class was chosen last", async () => {
    const selection = makeSelection();
    const { fake, root, frame } = show({ selected: 3 }, selection);
    await settle();
    await frame();
    expect(root.dataset.selected).toBe("3"); // as Python has settled it
    selection.set("concepts", [4]);
    await frame();
    expect(root.dataset.selected).toBe("2");
    selection.set("class_id", 0);
    await frame();
    expect(root.dataset.selected).toBe("0");
    fake.set("selected", 1);
    selection.set("class_id", 7);
    selection.set("class_id", 0);
    await frame();
    expect(root.dataset.selected).toBe("1"); // another seed of the same class stays
    selection.set("concepts", [99]);
    await frame();
    expect(root.dataset.selected).toBe("1");
  });

  it("selects photos for the other views", async () => {
    const selection = makeSelection();
    const { all } = show({}, selection);
    await settle();
    all(".examples button")[1]?.click();
    expect(selection.get("images")).toEqual(["lake"]);
  });
});
