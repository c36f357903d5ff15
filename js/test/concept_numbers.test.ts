/** From bytes to numbers, and what is worked out of them. */
import { describe, expect, it } from "vitest";
import wire from "../../src/whatwhere/widgets/wire.json";
import { CONCEPT_HEARING, CONCEPT_PUBLIC } from "../src/core/concept_wire";
import { signed } from "../src/core/format";
import { CellStore, decodeCells, decodeOverlay, halfToNumber, readFloats } from "../src/views/concepts/codec";
import { evidenceScale, splitEvidence } from "../src/views/concepts/evidence_sums";
import { History } from "../src/views/concepts/history";
import { opacityOf, textureAt } from "../src/views/concepts/overlay";
import { hueOn, inkOn, textureOf } from "../src/views/concepts/palette";
import { type Concept, cropsOf, deriveShown, type ViewState } from "../src/views/concepts/state";
import { pickClasses, scaleLogits, softmax, WhatIf } from "../src/views/concepts/whatif";
import { KINDS, TABS } from "../src/views/concepts/words";
import { bytesOf, floatsOf, makeBank, makeConceptModel, makeConceptState } from "./concept_fake";

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
const derive = (more = {}, state: Partial<ViewState> = {}) =>
  deriveShown(makeConceptModel(more).model as never, { ...STATE, ...state }, new CellStore());

describe("the wire", () => {
  it("has the traits that the view reads, and no others", () => {
    const { _kernel, _selection, ...state } = makeConceptState();
    expect(Object.keys(state).sort()).toEqual([...CONCEPT_PUBLIC, ...CONCEPT_HEARING.traits].sort());
    expect(KINDS.map(([kind]) => kind)).toEqual(wire.concepts.map_kinds);
    expect(TABS.map(([kind]) => kind)).toEqual(wire.concepts.crop_kinds);
  });
});

describe("bytes", () => {
  it("reads half-precision numbers", () => {
    expect([0x3c00, 0xc000, 0x0000, 0x3555, 0x7bff, 0x0001].map(halfToNumber)).toEqual([
      1,
      -2,
      0,
      expect.closeTo(1 / 3, 3),
      65504,
      2 ** -24,
    ]);
    expect(halfToNumber(0x7c00)).toBe(Number.POSITIVE_INFINITY);
    expect(halfToNumber(0x7e00)).toBeNaN();
  });

  it("reads through odd offsets", () => {
    expect([...readFloats(floatsOf([1.5, -2]))]).toEqual([1.5, -2]);
    const plane = decodeCells(bytesOf([0, 0, 51, 255]), [1, 2], 1, 10);
    expect([...(plane?.values ?? [])]).toEqual([2, 10]);
  });

  it("has no plane where the bytes end, or the header lies", () => {
    expect(decodeCells(bytesOf([1, 2, 3]), [1, 2], 1, 1)).toBeNull();
    expect(decodeCells(bytesOf([]), [0, 0], 0, 1)).toBeNull();
    expect(decodeOverlay(bytesOf([1, 0, 0, 0]), 0, 1)).toBeNull();
    const overlay = decodeOverlay(bytesOf([1, 0, 0, 0, 2, 0, 0, 0, 0, 255, 255, 0]), 1, 4);
    expect(overlay).toMatchObject({ rows: 1, columns: 2 });
    expect([...(overlay?.values ?? [])]).toEqual([4, 0]);
  });
});

describe("what if", () => {
  it("adds (scale - 1) times mean code times effect", () => {
    const logits = Float32Array.from([2, 1, 0, -1]);
    const effects = Float32Array.from([1, 0, 0, -1, 0, 2, 0, 0]);
    expect([...scaleLogits(logits, effects, [2, 0.5], [0, 2])]).toEqual([0, 2, 0, 1]);
    expect([...scaleLogits(logits, effects, [2, 0.5], [1, 1])]).toEqual([...logits]);
  });

  it("makes probabilities that sum to 1, also of large logits, and a sigmoid of a single one", () => {
    const p = softmax(Float32Array.from([1000, 999]));
    expect(p[0]).toBeCloseTo(1 / (1 + Math.exp(-1)), 5);
    expect((p[0] ?? 0) + (p[1] ?? 0)).toBeCloseTo(1, 6);
    expect(softmax(Float32Array.from([0]))[0]).toBe(0.5);
  });

  it("keeps the order of what was, and lets in what becomes likely", () => {
    const picked = pickClasses(
      Float32Array.from([0.6, 0.3, 0.1, 0]),
      Float32Array.from([0.1, 0.2, 0.1, 0.6]),
      ["a", "b", "c", "d"],
      3,
    );
    expect(picked.map(({ name }) => name)).toEqual(["a", "b", "d"]);
    expect(picked[2]).toMatchObject({ before: 0, p: expect.closeTo(0.6, 5) });
  });

  it("works from the traits, and says when it cannot", () => {
    const whatIf = new WhatIf(makeConceptModel().model as never);
    expect(whatIf.exact).toBe(true);
    const [first] = whatIf.classes(0, "pond", [0, 1, 1], 4) ?? [];
    const before = softmax(Float32Array.from([2, 1, 0, -1]));
    const after = softmax(Float32Array.from([0, 1, 0, 1]));
    expect(first?.name).toBe("tench");
    expect(first?.before).toBeCloseTo(before[0] ?? 0, 4);
    expect(first?.p).toBeCloseTo(after[0] ?? 0, 4);
    expect(whatIf.classes(2, "sea", [1, 1, 1], 4)).toBeNull();
    expect(new WhatIf(makeConceptModel({ _effects: bytesOf([]), _classes: [] }).model as never).exact).toBe(
      false,
    );
  });
});

describe("evidence", () => {
  const rows = derive().rows;
  const [pond] = makeConceptState()._images;

  it("puts what adds and what takes on one scale, with the rest", () => {
    if (!pond) throw new Error("no photo");
    const sums = splitEvidence(pond, rows, evidenceScale([pond]));
    expect(sums.scale).toBeCloseTo(4.4);
    expect(sums.plus.map(({ kind, value }) => [kind, value])).toEqual([
      ["concept", 3],
      ["concept", 1],
      ["residual", 0.4],
    ]);
    expect(sums.minus.map(({ value }) => value)).toEqual([-0.5]);
  });

  it("counts small pieces together", () => {
    if (!pond) throw new Error("no photo");
    const sums = splitEvidence({ ...pond, contributions: [3, 0.03, 0.02], residual: 0, gap: 0 }, rows, 3.05);
    expect(sums.plus[1]).toMatchObject({ kind: "small", count: 2, value: expect.closeTo(0.05, 9) });
  });
});

describe("state", () => {
  it("orders cards: pinned, others, hidden ones only when asked for", () => {
    const more = { pinned: [8], hidden: [0] };
    expect(derive(more).concepts.map(({ id }) => id)).toEqual([8, 4]);
    expect(derive(more, { showHidden: true }).concepts.map(({ id }) => id)).toEqual([8, 4, 0]);
  });

  it("opens the one that was opened while it lies over the photo, else the last one", () => {
    expect(derive({ selected_concepts: [4, 0] }, { opened: 4 }).opened?.id).toBe(4);
    expect(derive({ selected_concepts: [4, 0] }, { opened: 8 }).opened?.id).toBe(0);
    expect(derive({ selected_concepts: [] }, { opened: 8 }).opened?.id).toBe(8);
    expect(derive({ selected_concepts: [99] }).opened?.id).toBe(4);
  });

  it("draws codes while another map is missing", () => {
    const { missing, layers, kind } = derive({ map_kind: "implicit" });
    expect([missing, kind]).toEqual([true, "implicit"]);
    expect([...(layers[0]?.plane?.values ?? [])]).toEqual(
      [0, 20, 40, 60].map((v) => expect.closeTo((v / 255) * 10, 5)),
    );
    const overlay = bytesOf([1, 0, 0, 0, 1, 0, 0, 0, 255, 0, 0]);
    const there = derive({
      map_kind: "implicit",
      _overlays: { "implicit/pond": overlay },
      _overlay_scales: { implicit: [7, 1, 1] },
    });
    expect(there.missing).toBe(false);
    expect(there.layers[0]?.plane?.values[0]).toBeCloseTo(7);
  });

  it("keeps the photo while the next one is on its way", () => {
    expect(derive({ selected_image: "sea" }, { last: "lake" }).image?.name).toBe("lake");
    expect(derive({ selected_image: "sea" }).image?.name).toBe("pond");
    expect(derive({ _images: [] }).image).toBeNull();
  });

  it("finds crops of a kind, and their places in the sprite", () => {
    const crops = makeConceptState()._crops;
    const [first, second, third] = derive().rows as [Concept, Concept, Concept];
    expect(cropsOf(crops, second, "active").map(({ at }) => at)).toEqual([3, 4]);
    expect(cropsOf(crops, third, "random").map(({ at }) => at)).toEqual([8]);
    expect(cropsOf(crops.slice(0, 1), third, "active")).toEqual([]);
    const both = { ...first, parts: [...first.parts, ...third.parts] };
    expect(cropsOf(crops, both, "active").map(({ at, part }) => [at, part.letter])).toEqual([
      [0, "E"],
      [1, "E"],
    ]);
  });

  it("takes any number of concepts, and none", () => {
    const many = Array.from({ length: 40 }, (_, i) => i);
    expect(derive({ _bank: makeBank({}, many) }).rows).toHaveLength(40);
    expect(derive({ _bank: {} })).toMatchObject({ bank: null, opened: null, concepts: [] });
  });
});

describe("marks", () => {
  it("uses ink that stands out, and a lighter blue in the dark", () => {
    expect(inkOn("#0072B2")).toBe("#fff");
    expect(inkOn(hueOn("#0072B2", true))).toBe("#000");
    expect(inkOn("#F0E442")).toBe("#000");
  });

  it("gives hues that come back another texture", () => {
    expect([0, 6, 7, 14, 20, 21].map(textureOf)).toEqual([0, 0, 1, 2, 2, 0]);
    expect(textureAt(0, 5, 5)).toBe(1);
    expect(new Set(Array.from({ length: 36 }, (_, i) => textureAt(1, i % 6, Math.floor(i / 6)))).size).toBe(
      2,
    );
  });

  it("is clear below the threshold, rises with the value, and never hides the photo", () => {
    expect(opacityOf(0.1, 0.1)).toBe(0);
    expect(opacityOf(0.5, 0.1)).toBeGreaterThan(opacityOf(0.3, 0.1));
    expect(opacityOf(1, 0.1)).toBeLessThan(0.8);
  });

  it("writes logits with their sign", () => {
    expect([6.44, -0.31, 0.001, -0.04].map((v) => signed(v))).toEqual(["+6.4", "−0.3", "0", "0"]);
  });
});

describe("history", () => {
  it("goes back and forth, and forgets what was taken back once something new is done", () => {
    const history = new History();
    expect(history.undo()).toBeNull();
    history.add({ hidden: [] }, { hidden: [1] }, "hiding B");
    history.add({ names: {} }, { names: { "1": "x" } }, "name of B");
    expect(history.next).toBe("name of B");
    expect(history.undo()).toEqual({ names: {} });
    expect(history.undo()).toEqual({ hidden: [] });
    expect(history.redo()).toEqual({ hidden: [1] });
    history.add({ pinned: [] }, { pinned: [2] }, "pinning C");
    expect(history.redo()).toBeNull();
    expect(history.undo()).toEqual({ pinned: [] });
  });
});
