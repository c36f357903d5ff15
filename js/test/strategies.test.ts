/** StrategyView on a page without layout, and the numbers behind its pictures. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { StrategyTraits } from "../src/core/strategy_wire";
import widget from "../src/views/strategies";
import { orderOf as drawingOrder } from "../src/views/strategies/cloud";
import {
  Grid,
  insideOf,
  isInside,
  middles,
  moveApart,
  panBy,
  showAll,
  toPlane,
  toScreen,
  walk,
  zoomAt,
} from "../src/views/strategies/geometry";
import { axisOf, diameterOf } from "../src/views/strategies/panel";
import { partingRows } from "../src/views/strategies/parting";
import { countBy, decodePoints, litBy, type Points } from "../src/views/strategies/points";
import { copyStamp, sizeFor } from "../src/views/strategies/stamps";
import { remember } from "../src/views/strategies/state";
import { findSums, linesOf, orderOf } from "../src/views/strategies/sums";
import { comparisonWords, litWords, partingWords } from "../src/views/strategies/words";
import { bytesOf } from "./concept_fake";
import { type FakeModel, makeSelection, managerOf } from "./fake";
import {
  floatsOf,
  makeConceptInfo,
  makeGraph,
  makePoints,
  makeRate,
  makeStrategyModel,
  shortsOf,
} from "./strategy_fake";

let cleanups: (() => void)[] = [];

function show(more: Partial<StrategyTraits> = {}, selection?: FakeModel) {
  const fake = makeStrategyModel(more);
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
  const button = (text: string) =>
    all("button").find((each) => each.textContent?.startsWith(text)) as HTMLButtonElement;
  return { fake, root, find, all, frame, button, cleanup };
}

function press(node: HTMLElement, key: string, more = {}) {
  node.dispatchEvent(
    new KeyboardEvent("keydown", { key, bubbles: true, composed: true, cancelable: true, ...more }),
  );
}

function pointsOf(): Points {
  return decodePoints(makePoints(), 2) as Points;
}

const every = () => true;

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

describe("columns", () => {
  it("reads photos from messages that start at odd offsets", () => {
    const points = pointsOf();
    expect([...points.x].map((x) => Math.round(100 * x) / 100)).toEqual([-1, -1, -0.5, 1, 1, 0]);
    expect([...points.y].map((y) => Math.round(100 * y) / 100)).toEqual([-1, 0, -1, -1, 0, 1]);
    expect([...points.rows.distinctive]).toEqual([0, 0, 0, 1, 1, -1]);
    expect([...points.marks]).toEqual([0, 0, 1, 0, 1, 2]);
    expect(points.names[4]).toBe("e é");
    expect(points.rowOf("e é")).toBe(4);
    expect(points.rowOf("x")).toBeUndefined();
    expect([points.truth(2), points.truth(5)]).toEqual([1, null]);
    expect(points.top(3)).toEqual([
      { concept: 1, share: 0.8 },
      { concept: 0, share: -0.1 },
    ]);
    expect(decodePoints({}, 2)).toBeNull();
  });

  it("reads concepts of two bytes, and bits beyond the first byte", () => {
    const more = makePoints({
      count: 2,
      xy: shortsOf([0, 0, 65535, 65535]),
      strongest: shortsOf([299, 65535]),
      distinctive: shortsOf([0, 1]),
      marks: floatsOf([0]),
      top: shortsOf([299, 0, 1, 5, 6, 7]),
      present: floatsOf([...new Array(18).fill(0), 0]),
    });
    const bits = new Uint8Array(76);
    bits[37] = 1 << 3;
    bits[38] = 1;
    const points = decodePoints({ ...more, present: new DataView(bits.buffer) }, 300) as Points;
    expect([...points.rows.strongest]).toEqual([299, -1]);
    expect(points.top(0).map(({ concept }) => concept)).toEqual([299, 0, 1]);
    expect([points.has(0, 299), points.has(0, 298), points.has(1, 0), points.has(1, 299)]).toEqual([
      true,
      false,
      true,
      false,
    ]);
  });

  it("lights photos that have any of some concepts, and counts those of each", () => {
    const points = pointsOf();
    expect([...litBy(points, [])]).toEqual([1, 1, 1, 1, 1, 1]);
    expect([...litBy(points, [1])]).toEqual([0, 1, 0, 1, 1, 0]);
    expect([...litBy(points, [0, 1])]).toEqual([1, 1, 1, 1, 1, 0]);
    expect(countBy(points, "strongest", 2, every)).toEqual([4, 1, 1]);
    expect(countBy(points, "distinctive", 2, (i) => points.marks[i] === 1)).toEqual([1, 1, 0]);
  });
});

describe("geometry", () => {
  const cloud = { count: 3, x: Float32Array.of(0, 4, 2), y: Float32Array.of(0, 0, 2) };

  it("shows all photos, and goes to the screen and back", () => {
    const view = showAll(cloud, 500, 300, 50);
    expect(view).toEqual({ cx: 2, cy: 1, scale: 100 });
    expect(toScreen(view, 0, 0, 500, 300)).toEqual({ x: 50, y: 250 }); // up is up
    expect(toPlane(view, { x: 50, y: 250 }, 500, 300)).toEqual({ x: 0, y: 0 });
    const one = showAll({ count: 1, x: Float32Array.of(7), y: Float32Array.of(9) }, 500, 300, 50);
    expect([one.cx, one.cy]).toEqual([7, 9]);
    expect(Number.isFinite(one.scale)).toBe(true);
  });

  it("keeps what is under the pointer while one looks closer, within limits", () => {
    const view = showAll(cloud, 500, 300, 50);
    const at = { x: 120, y: 40 };
    const closer = zoomAt(view, 3, at, 500, 300, view.scale);
    expect(closer.scale).toBe(300);
    const [before, after] = [toPlane(view, at, 500, 300), toPlane(closer, at, 500, 300)];
    expect(after.x).toBeCloseTo(before.x, 10);
    expect(after.y).toBeCloseTo(before.y, 10);
    expect(zoomAt(view, 1e9, at, 500, 300, view.scale).scale).toBe(20_000);
    expect(zoomAt(view, 1e-9, at, 500, 300, view.scale).scale).toBe(50);
    expect(toScreen(panBy(view, 10, -20), 0, 0, 500, 300)).toEqual({ x: 60, y: 230 });
  });

  /** Photos by lot, some of them in one place. */
  function byLot(count: number) {
    let seed = 1;
    const next = () => {
      seed = (seed * 48271) % 2147483647;
      return seed / 2147483647;
    };
    const x = Float32Array.from({ length: count }, () => Math.round(40 * next()) / 10);
    const y = Float32Array.from({ length: count }, () => next() * 3);
    return { cloud: { count, x, y }, next };
  }

  it("finds the nearest as a search of all does", () => {
    const { cloud: many, next } = byLot(500);
    const grid = new Grid(many);
    const isShown = (i: number) => i % 3 !== 0;
    for (let k = 0; k < 200; k++) {
      const [x, y, within] = [5 * next() - 0.5, 4 * next() - 0.5, 0.3 * next()];
      let [best, found] = [within ** 2, -1];
      for (let i = 0; i < many.count; i++) {
        const away = ((many.x[i] as number) - x) ** 2 + ((many.y[i] as number) - y) ** 2;
        if (isShown(i) && (found < 0 ? away <= best : away < best)) [best, found] = [away, i];
      }
      expect(grid.nearest(x, y, within, isShown)).toBe(found);
    }
  });

  it("finds photos inside a lasso as a test of all does, also of one that crosses itself", () => {
    const { cloud: many } = byLot(400);
    const grid = new Grid(many);
    const line = [
      { x: 0.55, y: 0.2 },
      { x: 3.05, y: 2.7 },
      { x: 3.05, y: 0.2 },
      { x: 0.55, y: 2.7 },
    ];
    const inside = Array.from({ length: 400 }, (_, i) => i).filter((i) =>
      isInside(line, many.x[i] as number, many.y[i] as number),
    );
    expect(insideOf(many, grid, line, every)).toEqual(inside);
    expect(inside.length).toBeGreaterThan(20);
    expect(isInside(line, 2.9, 1.45)).toBe(true);
    expect(isInside(line, 1.8, 2.6)).toBe(false); // above the crossing
    expect(insideOf(many, grid, line.slice(0, 2), every)).toEqual([]);
    const half = insideOf(many, grid, line, (i) => i % 2 === 0);
    expect(half).toEqual(inside.filter((i) => i % 2 === 0));
  });

  it("walks to the nearest in a direction, and past photos in one place", () => {
    const { x, y } = pointsOf();
    const points = { count: 6, x, y };
    expect(walk(points, 0, "right", every)).toBe(2);
    expect(walk(points, 2, "right", every)).toBe(3);
    expect(walk(points, 0, "up", every)).toBe(1);
    expect(walk(points, 0, "left", every)).toBe(-1);
    expect(walk(points, 0, "right", (i) => i !== 2)).toBe(3);
    const heap = { count: 4, x: Float32Array.of(0, 0, 0, 1), y: Float32Array.of(0, 0, 0, 0) };
    expect(walk(heap, 0, "right", every)).toBe(1);
    expect(walk(heap, 1, "right", every)).toBe(2);
    expect(walk(heap, 2, "right", every)).toBe(3);
    expect(walk(heap, 3, "left", every)).toBe(0);
  });

  it("puts the letter of a group on the photo in its middle", () => {
    const points = pointsOf();
    const found = middles(points, points.rows.distinctive, every);
    expect([...found.keys()].sort()).toEqual([-1, 0, 1]);
    expect(found.get(0)).toBe(0);
    expect(found.get(-1)).toBe(5);
  });

  it("moves discs apart that lie on each other, and leaves the others", () => {
    const spots = [
      { x: 50, y: 50 },
      { x: 50, y: 50 },
      { x: 50, y: 50 },
      { x: 300, y: 50 },
    ];
    const moves = moveApart(spots, [20, 20, 20, 20], { x: 400, y: 400 });
    expect(moves[0]).toEqual({ x: 0, y: 0 });
    expect(moves[3]).toEqual({ x: 0, y: 0 });
    const at = spots.map(({ x, y }, i) => ({ x: x + (moves[i]?.x ?? 0), y: y + (moves[i]?.y ?? 0) }));
    for (let i = 0; i < 4; i++)
      for (let j = 0; j < i; j++) {
        const [a, b] = [at[i] as { x: number; y: number }, at[j] as { x: number; y: number }];
        expect(Math.hypot(a.x - b.x, a.y - b.y)).toBeGreaterThanOrEqual(20 - 1e-3);
      }
    expect(Math.max(...moves.map(({ x, y }) => Math.hypot(x, y)))).toBeCloseTo(20, 6);
  });

  it("moves no disc out of the chart, over the words above it", () => {
    const spots = [0, 1, 2].map(() => ({ x: 100, y: 0 }));
    const frame = { x: 200, y: 300 };
    const moves = moveApart(spots, [20, 20, 20], frame);
    const at = moves.map(({ x, y }) => ({ x: 100 + x, y }));
    for (const { x, y } of at) expect(x >= 0 && x <= frame.x && y >= 0 && y <= frame.y).toBe(true);
    expect(new Set(at.map(({ x, y }) => `${x} ${y}`)).size).toBe(3);
  });

  it("draws dimmed photos below, misread ones above right ones, chosen ones on top", () => {
    const points = pointsOf();
    const palette = { dark: false, ground: "", ink: "" };
    const base = { points, concepts: [], rule: "distinctive" as const, isShown: every, palette };
    const { order, level } = drawingOrder({ ...base, lit: litBy(points, [0]), chosen: [3] });
    expect([...order]).toEqual([5, 0, 1, 2, 4, 3]);
    expect([...level]).toEqual([1, 1, 1, 2, 1, 0]);
    const few = drawingOrder({ ...base, lit: litBy(points, []), chosen: [], isShown: (i) => i < 2 });
    expect([...few.order]).toEqual([0, 1]);
  });

  it("copies marks onto pixels, cut at the edges", () => {
    const out = new Uint8ClampedArray(4 * 3 * 2).fill(100);
    const stamp = { side: 3, data: new Uint8ClampedArray(36) };
    stamp.data.set([200, 0, 0, 255], 4 * 4); // the middle, opaque
    stamp.data.set([200, 0, 0, 128], 4 * 3); // left of it, half
    copyStamp(out, 3, 2, stamp, 1, 0);
    expect([...out.slice(0, 12)]).toEqual([150, 50, 50, 100, 200, 0, 0, 100, 100, 100, 100, 100]);
    copyStamp(out, 3, 2, stamp, 0, 1);
    expect([...out.slice(12, 15)]).toEqual([200, 0, 0]);
    expect([...out.slice(16, 20)]).toEqual([100, 100, 100, 100]);
    copyStamp(out, 3, 2, stamp, 90, 90);
    expect([10, 250, 251, 100_000].map(sizeFor)).toEqual([15, 15, 9, 4]);
  });
});

describe("sums", () => {
  const info = {
    rows: [
      [7, 0, 1, 1],
      [2, 0, 1, 0],
    ] as [number, number, number, number][],
    values: floatsOf([
      ...[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
      ...[3, -1, 0.5, 0.25, -0.5, 0, 2.25, 1, 1, 0.25, 0.5, 0.25, 0.125, 3.125],
    ]),
  };

  it("add up to both logits, whatever is put together", () => {
    const told = findSums(info, 2, 3);
    if (!told) throw new Error("the photo is there");
    expect(told.kind).toBe("true");
    for (const most of [1, 2, 9]) {
      const lines = linesOf(told, most);
      expect(lines.reduce((sum, { first }) => sum + first, 0)).toBeCloseTo(told.logits[0], 6);
      expect(lines.reduce((sum, { second }) => sum + second, 0)).toBeCloseTo(told.logits[1], 6);
    }
    expect(orderOf(told)).toEqual([0, 1, 2]);
    expect(linesOf(told, 1).map(({ what }) => what)).toEqual([0, "others", "residual", "base", "gap"]);
    expect(linesOf(told, 2)).toHaveLength(6); // one concept alone is not put away
    expect(findSums(info, 3, 3)).toBeNull();
    expect(findSums({}, 3, 3)).toBeNull();
  });

  it("tell which concepts part the classes: not those that hardly do, but the one that is looked at", () => {
    const apart = (differences: number[]) => {
      const zeros: [number, number] = [0, 0];
      const rest = { residual: zeros, base: zeros, gap: zeros, logits: zeros };
      const concepts = differences.map((by) => ({ first: by, second: 0 }));
      return { classes: [0, 1] as [number, number], kind: "true" as const, concepts, ...rest };
    };
    expect(partingRows(apart([1, -4, 2, 3]), null)).toEqual([1, 3, 2]);
    expect(partingRows(apart([1, -4, 2, 3]), 0)).toEqual([1, 3, 2, 0]);
    expect(partingRows(apart([0.1, -4, 0.25, 0]), null)).toEqual([1, 2]);
    expect(partingRows(apart([0, 0]), null)).toEqual([]);
    expect(partingWords(apart([1, -4]), 1, ["tench", "hen"])).toBe("+4.0 for hen");
  });

  it("say what parts the classes", () => {
    const concepts = [0, 1, 2].map((row) => ({ ...makeConceptInfo(row), row, texture: 0 as const }));
    const told = findSums(info, 2, 3);
    if (!told) throw new Error("the photo is there");
    told.logits = [9, 3];
    expect(comparisonWords(told, orderOf(told), concepts)).toContain("What parts them is not among these");
    told.logits = [5, 3];
    expect(comparisonWords(told, orderOf(told), concepts)).toBe(
      "Of the +2.0 between them most is in concept A +2.0 and concept B −2.0; what no concept explains, and the bias, give +1.8.",
    );
  });
});

describe("panel", () => {
  it("gives discs an area that goes with importance, and an axis that holds all intervals", () => {
    const area = (d: number) => d ** 2;
    expect(diameterOf(0, 1)).toBe(16);
    expect(area(diameterOf(0.5, 1)) - area(16)).toBeCloseTo((area(diameterOf(1, 1)) - area(16)) / 2, 8);
    const rare = [{ ...makeConceptInfo(0), row: 0, texture: 0 as const }];
    expect(axisOf(rare, "presence")[0]).toBe(1);
    const few = [
      { ...rare[0], presence: [{ ...makeRate(1, 60), high: 0.09 }, makeRate(1, 1)] },
    ] as typeof rare;
    expect(axisOf(few, "presence")).toEqual([0.25, [0, 0.05, 0.1, 0.15, 0.2, 0.25]]);
  });

  it("puts a disc where its two rates are, between the ends of their intervals", () => {
    const rate = (value: number, low: number, high: number) => ({ value, low, high, count: 1, total: 4 });
    const apart = [
      makeConceptInfo(0, { presence: [rate(0.25, 0.1, 0.4), rate(0.75, 0.5, 0.9)] }),
      makeConceptInfo(1, { presence: [rate(0.8, 0.7, 0.85), rate(0.2, 0.1, 0.35)] }),
    ];
    const { all } = show({ _concepts: apart });
    const places = all(".disc").map(({ style, dataset }) => [dataset.key, style.left, style.top]);
    const byKey = Object.fromEntries(places.map(([key, left, top]) => [key, [left, top]]));
    expect(Object.values(byKey)).toEqual([
      ["25%", "25%"],
      ["80%", "80%"],
    ]);
    const ends = all(".whisker").map((each) =>
      ["x1", "y1", "x2", "y2"].map((name) => Math.round(Number(each.getAttribute(name)) * 1e6) / 1e6),
    );
    expect(ends).toEqual([
      [10, 25, 40, 25],
      [25, 50, 25, 10],
      [70, 80, 85, 80],
      [80, 90, 80, 65],
    ]);
  });
});

describe("the view", () => {
  it("counts photos, and marks the root", () => {
    const { root, find, all } = show();
    expect(root.dataset).toMatchObject({ photos: "6", concepts: "2", chosen: "1", here: "2", lit: "6" });
    expect(find(".head").textContent).toContain("6 photos predicted as tench, right or wrong, 2 concepts");
    expect(all(".key").map((each) => each.textContent)).toEqual(["Abody3", "B2"]);
    expect(find(".shapes").textContent).toBe(
      "●\u00a0right \u00a0 ◆\u00a0misread \u00a0 ■\u00a0not known \u00a0 grey\u00a0no concept speaks for it: 1",
    );
  });

  it("chooses a concept in all views, dims the others, and leaves it again", async () => {
    const selection = makeSelection({ images: ["c"] });
    const { fake, root, all, find, frame } = show({}, selection);
    await frame();
    all(".key")[1]?.click();
    expect(selection.state.concepts).toEqual([1]);
    await frame();
    expect(fake.get("selected_concepts")).toEqual([1]);
    expect(root.dataset.lit).toBe("3");
    expect(find(".told").textContent).toBe(
      "3 of 6 photos have concept B (at least 8\u00a0% of the evidence); the others are dimmed. c is chosen.",
    );
    all(".disc")[0]?.dispatchEvent(new MouseEvent("click", { bubbles: true, shiftKey: true }));
    expect(selection.state.concepts).toEqual([1, 0]);
    await frame();
    press(find(".cloud"), "Escape");
    expect(selection.state.concepts).toEqual([]);
    selection.set("_stamp", selection.sent.at(-1)?.rid); // Python has applied it
    selection.set("concepts", [0]);
    await frame();
    expect(root.dataset.selected).toBe("0");
    selection.set("concepts", [77]); // what the view has not leaves it as it is
    await frame();
    expect(root.dataset.selected).toBe("0");
  });

  it("walks, chooses and adds by keys, and chooses all of a concept", async () => {
    const selection = makeSelection({ images: ["a"] });
    const { find, root, frame } = show({ selected_images: ["a"] }, selection);
    await frame();
    const cloud = find(".cloud");
    press(cloud, "ArrowRight"); // onto the photo that is looked at
    press(cloud, "ArrowRight");
    await frame();
    expect(cloud.getAttribute("aria-label")).toBe("c: read as tench, is hen; A 100\u00a0%");
    press(cloud, "Enter");
    expect(selection.state.images).toEqual(["c"]);
    await frame();
    press(cloud, "ArrowRight");
    press(cloud, "Enter", { shiftKey: true });
    expect(selection.state.images).toEqual(["c", "d"]);
    await frame();
    press(cloud, "l");
    expect(selection.state.images).toEqual(["d", "e é"]);
    await frame();
    expect(root.dataset.chosen).toBe("2");
    press(cloud, "Escape");
    expect(selection.state.images).toEqual([]);
    await frame();
    expect(root.dataset.here).toBe("");
    expect(find(".compare .blank").textContent).toContain("Choose a photo");
  });

  it("follows photos that are chosen elsewhere", async () => {
    const selection = makeSelection({ images: ["c"] });
    const { fake, root, all, frame } = show({}, selection);
    await frame();
    selection.set("images", ["nowhere", "b", "d"]);
    await frame();
    expect(fake.get("selected_images")).toEqual(["b", "d"]);
    expect(root.dataset.here).toBe("1");
    all(".chosen button")[1]?.click();
    await frame();
    expect(selection.state.images).toEqual(["d", "b"]);
    expect(all(".chosen button").map((each) => each.title)).toEqual(["b", "d"]); // nothing moves
    selection.set("images", ["nowhere"]);
    await frame();
    expect(root.dataset.here).toBe("3");
  });

  it("shows the misread only", async () => {
    const { fake, root, find, all, frame } = show();
    press(root, "m");
    await frame();
    expect(fake.saved).toEqual([{ only_mistakes: true }]);
    expect(all(".key").map((each) => each.textContent)).toEqual(["Abody1", "B1"]);
    expect(find(".told").textContent).toContain("2 misread photos of 6");
  });

  it("switches rules and countings", async () => {
    const { fake, root, all, find, button, frame } = show();
    button("Strongest").click();
    await frame();
    expect(root.dataset.by).toBe("strongest");
    expect(all(".key").map((each) => each.textContent)).toEqual(["Abody4", "B1"]);
    expect(find(".left .sm").textContent).toContain("adds most");
    find(".panel .tabs [data-key=strongest]").click();
    await frame();
    expect(fake.saved).toEqual([{ by: "strongest" }, { counting: "strongest" }]);
    expect(all(".disc")[0]?.getAttribute("aria-label")).toContain("in 33\u00a0%");
  });

  it("lays out two sums that add up, and chooses whose places are shown", async () => {
    const { all, find, frame } = show();
    const heads = all("thead th").map((each) => each.textContent);
    expect(heads).toEqual(["read as tench", "is hen", "difference"]);
    const rows = all("tbody tr").map((row) =>
      [...row.querySelectorAll("td")].map((each) => each.textContent),
    );
    expect(rows).toEqual([
      ["+3.0", "+1.0", "+2.0"],
      ["−1.0", "+1.0", "−2.0"],
      ["+0.5", "+0.5", "0"],
      ["+0.3", "−0.5", "+0.8"],
    ]);
    expect(all("tfoot td").map((each) => each.textContent)).toEqual(["+2.8", "+2.0", "+0.8"]);
    expect(find("tbody .link").getAttribute("aria-pressed")).toBe("true");
    all("tbody .link")[1]?.click();
    await frame();
    expect(all("tbody .link").map((each) => each.getAttribute("aria-pressed"))).toEqual([
      "false",
      "true",
      null,
      null,
    ]);
  });

  it("shows the crops of the concepts that part the classes, and nothing without a bank", async () => {
    const bitmap = { width: 64, height: 64, close: () => undefined };
    vi.stubGlobal("createImageBitmap", async () => bitmap);
    const bare = show();
    await bare.frame();
    expect(bare.find(".parting").hidden).toBe(true);
    const crops = { data: bytesOf([1]), side: 32, columns: 2, images: [["a", "b", "a"], ["d"]] };
    const { all, find, frame } = show({ _crops: crops });
    await frame();
    await frame();
    expect(find(".parting").hidden).toBe(false);
    expect(find(".parting > p").textContent).toBe(
      "What parts the classes most, in the crops that show it most.",
    );
    expect(all(".partings p").map((each) => each.textContent)).toEqual([
      "Abody+2.0 for tench",
      "B+2.0 for hen",
    ]);
    const drawn = all(".shots canvas:not(.here)").map((each) => each.getAttribute("aria-label"));
    expect(drawn).toEqual(["Crops that show A body most, of a, b", "Crops that show concept B most, of d"]);
    expect(all(".here").every((each) => each.hidden)).toBe(true);
    expect(all(".absent").every((each) => each.hidden)).toBe(true);
    vi.unstubAllGlobals();
  });

  it("says what is missing, and why", () => {
    const { find, button } = show({
      _graph: makeGraph({ labelled: false, no_labels: "Nobody said.", no_other: "One logit." }),
      _sums: { rows: [] },
    });
    expect(find(".panel .why").textContent).toBe("Reliability is not known. Nobody said.");
    expect(button("Only misread").disabled).toBe(true);
    expect(find(".compare .blank").textContent).toBe("One logit.");
  });

  it("flags shortcuts with their numbers and the rule", () => {
    const flagged = makeConceptInfo(1, { verdict: "possible shortcut", words: "B is in 60 %." });
    const { find, all } = show({ _concepts: [makeConceptInfo(0), flagged] });
    expect(find(".flags").textContent).toBe("BPossible shortcut. B is in 60 %.");
    expect(all("[data-flag]")).toHaveLength(1);
    expect(find(".rule p").textContent).toContain("A possible shortcut is");
  });

  it("says it where no concept is flagged", () => {
    expect(show().find(".flags").textContent).toContain("No concept is flagged");
  });

  it("has honest states", () => {
    const status = { stage: null, done: 3, total: 6, eta: null, seconds: 1, error: null };
    const nothing = { _points: {}, _graph: {}, _concepts: [], _sums: {}, selected_images: [] };
    expect(show({ ...nothing, _status: {} }).find(".head").textContent).toContain("Not looked at yet");
    const busy = show({ ...nothing, _status: { ...status, state: "computing", stage: "photos", eta: 4 } });
    expect(busy.find(".head").textContent).toContain("Photo 3 of 6 · 4\u00a0s left");
    expect(busy.find(".plot .blank").textContent).toContain("appear here");
    press(busy.root, "Escape");
    expect(busy.fake.kinds()).toContain("stop");
    expect(show({ _status: { ...status, state: "partial" } }).find(".head").textContent).toContain(
      "Stopped at photo 3 of 6",
    );
    const error = { what: "It failed.", why: "ValueError: x", todo: "Try." };
    const failed = show({ _status: { ...status, state: "failed", error } });
    expect(failed.find(".failure").textContent).toBe("It failed.ValueError: xTry.");
    expect(show({ _kernel: false }).find(".chip").textContent).toContain("Saved page");
  });

  it("works alone where the host finds no other models", async () => {
    const { fake, all, frame } = show();
    await frame();
    expect(fake.kinds()).toContain("alone");
    all(".key")[0]?.click();
    await frame();
    expect(fake.saved).toEqual([{ selected_concepts: [0] }]);
  });

  it("tells of drawn frames, and ends with all it began", async () => {
    const { fake, cleanup, frame } = show();
    expect(fake.kinds()).toContain("ack");
    await frame();
    cleanup();
    expect(fake.listeners).toBe(0);
  });
});

describe("small things", () => {
  it("remembers what it made for the same", () => {
    const make = vi.fn((a: number, b: number) => ({ sum: a + b }));
    const kept = remember(make);
    expect(kept(1, 2)).toBe(kept(1, 2));
    kept(1, 3);
    expect(make).toHaveBeenCalledTimes(2);
  });

  it("says nothing of light where all is lit", () => {
    expect(
      litWords(
        { chosenConcepts: [], shownCount: 6, points: pointsOf() } as unknown as Parameters<
          typeof litWords
        >[0],
        0.08,
      ),
    ).toBe("");
  });
});
