// @vitest-environment happy-dom
import { describe, expect, it, vi } from "vitest";
import { quantity } from "../src/core/format";
import { keyOf } from "../src/core/wire";
import { aboutOf } from "../src/views/attribution/controls";
import { LayerStore } from "../src/views/attribution/layers";
import { joinSnapshots, layOut } from "../src/views/attribution/multiples";
import { cellOn } from "../src/views/attribution/panels";
import { derivePanels, deriveShown, joinStatus, PlaneStore, statusOf } from "../src/views/attribution/state";
import { panelWords } from "../src/views/attribution/words";
import { FakeModel, makeClass, makeMap, makePlanes, makeState, makeStatus } from "./fake";

function derive(more: Record<string, unknown> = {}) {
  const second = keyOf("coffee", 1);
  const large = [makeClass(967, "espresso", 0.94, { max: 0.8 })];
  const model = new FakeModel({
    ...makeState(),
    _methods: ["fine", "coarse"],
    _maps: { coffee: makeMap(), [second]: makeMap(large, { grid: [1, 2], rows: 8 }) },
    _planes: { coffee: makePlanes(3, 6), [second]: makePlanes(1, 2) },
    _status: {
      coffee: makeStatus("done", { rows: 32 }),
      [second]: makeStatus("computing", { rows: 8, done: 5, total: 20, stage: "rows", eta: 3 }),
    },
    ...more,
  });
  const kernel = { reachable: false } as never;
  const stores = { planes: new PlaneStore(), layers: new LayerStore(model.model, kernel, () => undefined) };
  return { model: model.model, stores, panels: derivePanels(model.model, stores) };
}

describe("several methods", () => {
  it("stand side by side, each with its own map and scale", () => {
    const { panels } = derive();
    expect(panels.map(({ label, plane, top }) => [label, plane?.values.length, top])).toEqual([
      ["fine", 6, 0.4],
      ["coarse", 2, 0.8],
    ]);
  });

  it("share a scale where that is wanted", () => {
    expect(derive({ scale: "shared" }).panels.map(({ top }) => top)).toEqual([0.8, 0.8]);
  });

  it("leave the field to one that is shown alone", () => {
    const { model, stores, panels } = derive({ selected_method: "coarse" });
    expect(panels).toEqual([]);
    expect(deriveShown(model, stores).key).toBe(keyOf("coffee", 1));
    expect(statusOf(model, "coffee")?.state).toBe("computing");
  });

  it("explain the same class", () => {
    expect(derive({ selected_class: 967 }).panels.map(({ classId }) => classId)).toEqual([967, 967]);
  });

  it("say what full colour is, and how many rows there are", () => {
    const [fine, coarse] = derive().panels.map(panelWords);
    expect(fine).toBe("to 0.40 of the variance · 32 rows · halves agree 0.80");
    expect(coarse).toContain("to 0.80 of the variance · 8 of 32 rows");
  });
});

describe("maps side by side as one picture", () => {
  it("stand in it as they do on the page", () => {
    expect(layOut(3, 2, 100, 60)).toEqual({
      width: 216,
      height: 140,
      corners: [
        [0, 0],
        [116, 0],
        [0, 80],
      ],
    });
    expect(layOut(2, 3, 100, 60)).toMatchObject({ width: 216, height: 60 });
  });

  it("are all painted, each under its name, with a line of legend for those of one colour", () => {
    const { model, panels } = derive();
    const painted: [number, number, number][] = [];
    const part = (place: number) => ({
      image: "coffee",
      width: 600,
      height: 400,
      shown: 300,
      paint: (brush: CanvasRenderingContext2D, scale: number) =>
        painted.push([place, brush.canvas.width, scale]),
      legend: [],
      lines: [],
      name: [],
    });
    const context = { model } as never;
    const node = document.createElement("div");
    const joined = joinSnapshots(context, panels, [part(0), part(1)] as never, 2, node);
    if (!joined) throw new Error("both have a photo");
    expect(joined.shown).toBe(616);
    expect(joined.width).toBe(1232); // in the photo's own pixels
    const text: [string, number][] = [];
    const drawn: number[] = [];
    const brush = {
      fillText: (line: string, x: number) => text.push([line, x]),
      drawImage: (_: unknown, x: number) => drawn.push(x),
    };
    vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockImplementation(function (this: unknown) {
      return { canvas: this } as never;
    });
    joined.paint(brush as never, 2, null);
    vi.restoreAllMocks();
    expect(painted).toEqual([
      [0, 600, 2],
      [1, 600, 2],
    ]);
    expect(drawn).toEqual([0, 632]);
    expect(text.filter(([line]) => ["fine", "coarse"].includes(line))).toEqual([
      ["fine", 0],
      ["coarse", 632],
    ]);
    expect(text.map(([line]) => line).join(" ")).toContain(panelWords(panels[1] as never));
    expect(joined.legend.map(({ high }) => high)).toEqual(["the largest value of each map"]);
    expect(joined.lines.at(-1)).toContain("Each map on its own scale");
    expect(joined.name).toEqual(["where", "coffee", "espresso", "fine", "coarse"]);
  });

  it("are no picture where there is none, or one has no photo", () => {
    const { model, panels } = derive();
    const [context, node] = [{ model } as never, document.createElement("div")];
    expect(joinSnapshots(context, [], [], 2, node)).toBeNull();
    expect(joinSnapshots(context, panels, [null, null], 2, node)).toBeNull();
  });
});

describe("layers of one method", () => {
  const one = { _methods: ["Sobol"] };

  it("stand side by side where they can be had", () => {
    const { panels } = derive({ ...one, layers: ["total", "first", "slope"] });
    expect(panels.map(({ label }) => label)).toEqual(["Total", "Sign"]);
    expect(panels.map(({ plane }) => plane !== null)).toEqual([true, false]); // the sign is still to be asked for
  });

  it("are those that were chosen, and none beside several methods", () => {
    expect(derive({ ...one, layers: ["total", "error"] }).panels.map(({ label }) => label)).toEqual([
      "Total",
      "Uncertainty",
    ]);
    expect(derive({ layers: ["total", "error"] }).panels.map(({ label }) => label)).toEqual([
      "fine",
      "coarse",
    ]);
  });

  it("draw standard errors on a scale of their own, even where maps share one", () => {
    for (const scale of ["image", "shared"]) {
      const [total, error] = derive({ ...one, layers: ["total", "error"], scale }).panels;
      expect([...(error?.plane?.values ?? [])]).toEqual([...(total?.plane?.errors ?? [0])]);
      expect(error?.top).toBe(Math.max(...(total?.plane?.errors ?? [])));
      expect(total?.top).toBe(scale === "shared" ? 0.8 : 0.4);
      expect(panelWords(error as never)).toBe(
        `to ${quantity(error?.top ?? 0)} of the variance, standard error · 32 rows · halves agree 0.80`,
      );
    }
  });
});

describe("several computations as one", () => {
  it("add up", () => {
    const joined = joinStatus([
      makeStatus("done", { done: 10, total: 10, rows: 32, seconds: 2 }),
      makeStatus("computing", { done: 5, total: 20, rows: 8, eta: 3, stage: "rows" }),
    ]);
    expect(joined).toMatchObject({
      state: "computing",
      done: 15,
      total: 30,
      rows: 40,
      rows_wanted: 64,
      eta: 3,
    });
    expect(joined.stage).toBe("rows");
  });

  it("know no end while one has not begun", () => {
    const queued = makeStatus("computing", { stage: "queued" });
    const running = makeStatus("computing", { stage: "rows", eta: 3 });
    expect(joinStatus([queued, running])).toMatchObject({ eta: null, stage: "rows" });
  });

  it("are in part there, or have failed, where not all have", () => {
    expect(joinStatus([makeStatus("done"), makeStatus("empty")]).state).toBe("partial");
    expect(joinStatus([makeStatus("done"), makeStatus("failed")]).state).toBe("failed");
    expect(joinStatus([makeStatus("done"), makeStatus("done")]).state).toBe("done");
  });
});

describe("the same place on another grid", () => {
  it("is the cell in which the middle lies", () => {
    expect(cellOn(0, [2, 2], [8, 8])).toBe(2 * 8 + 2);
    expect(cellOn(3, [2, 2], [8, 8])).toBe(6 * 8 + 6);
    for (let cell = 0; cell < 12; cell++) expect(cellOn(cell, [3, 4], [3, 4])).toBe(cell);
    for (let cell = 0; cell < 4; cell++)
      expect(cellOn(cellOn(cell, [2, 2], [8, 8]), [8, 8], [2, 2])).toBe(cell);
  });
});

describe("how maps were made", () => {
  it("is said once where they agree", () => {
    const { panels } = derive();
    const [first, second] = panels.map((panel, place) => ({
      ...panel,
      map: makeMap(undefined, {
        about: [
          ["Method", "Sobol"],
          ["Grid", place ? "1 x 2 cells" : "2 x 3 cells"],
        ],
      }),
    }));
    expect(aboutOf([first as never, second as never])).toEqual([
      ["Method", "Sobol"],
      ["Grid, fine", "2 x 3 cells"],
      ["Grid, coarse", "1 x 2 cells"],
    ]);
  });
});
