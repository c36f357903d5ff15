/** A realistic state of a StrategyView: six photos of two concepts and one that nothing speaks for. */
import type { ConceptInfo, GraphInfo, PointsInfo, Rate, StrategyTraits } from "../src/core/strategy_wire";
import type { Traits } from "../src/core/wire";
import { bytesOf } from "./concept_fake";
import { FakeModel } from "./fake";

export function makeRate(count: number, total: number): Rate {
  const value = total ? count / total : null;
  return { value, low: Math.max(0, (value ?? 0) - 0.2), high: Math.min(1, (value ?? 1) + 0.2), count, total };
}

export function makeConceptInfo(id: number, more: Partial<ConceptInfo> = {}): ConceptInfo {
  return {
    id,
    letter: "ABCDEFGH"[id] ?? "Z",
    hue: ["#E69F00", "#0072B2", "#009E73"][id % 3] as string,
    name: "",
    importance: 0.5,
    adds: 1,
    presence: [makeRate(3, 6), makeRate(2, 3)],
    strongest: [makeRate(2, 6), makeRate(1, 2)],
    verdict: "nothing",
    words: `words of ${id}`,
    ...more,
  };
}

export function makeGraph(more: Partial<GraphInfo> = {}): GraphInfo {
  return {
    population: "predicted as tench, right or wrong",
    labelled: true,
    presence: 0.08,
    level: 0.95,
    accuracy: makeRate(4, 6),
    reliability: "Share that are tench",
    rules: { presence: "p", strongest: "s", distinctive: "d" },
    shortcut: "A possible shortcut is a concept that …",
    caveats: [],
    no_labels: "",
    no_other: "",
    no_photos: "",
    no_maps: "",
    about: [["Photos", "6"]],
    code: "graph = ww.Strategies().run(model, bank, photos)",
    complete: true,
    ...more,
  };
}

/** Little-endian shorts in a message that starts at an odd offset. */
export function shortsOf(values: number[]): DataView {
  return bytesOf(values.flatMap((value) => [value & 255, value >> 8]));
}

/** Little-endian float32, likewise. */
export function floatsOf(values: number[]): DataView {
  return bytesOf([...new Uint8Array(Float32Array.from(values).buffer)]);
}

/** Three photos of A to the left, two of B to the right, and one without support above. */
export function makePoints(more: Partial<PointsInfo> = {}): PointsInfo {
  const half = 32767.5;
  const xy = [0, 0, 0, 1, 0.5, 0, 2, 0, 2, 1, 1, 2].map((value) => Math.round(value * half));
  return {
    count: 6,
    box: [-1, -1, 1, 1],
    xy: shortsOf(xy),
    strongest: bytesOf([0, 0, 0, 1, 0, 255]),
    distinctive: bytesOf([0, 0, 0, 1, 1, 255]),
    marks: bytesOf([0, 0, 1, 0, 1, 2]),
    present: bytesOf([1, 3, 1, 2, 3, 0]),
    top: bytesOf([0, 1, 0, 1, 0, 1, 1, 0, 0, 1, 0, 1]),
    shares: bytesOf([90, 5, 60, 40, 100, 0, 80, 246, 55, 45, 246, 166]),
    said: shortsOf([0, 0, 0, 0, 0, 0]),
    truth: shortsOf([0, 0, 1, 0, 1, 65535]),
    p: bytesOf([90, 80, 70, 60, 50, 40]),
    names: bytesOf([...new TextEncoder().encode(["a", "b", "c", "d", "e é", "f"].join("\0"))]),
    ...more,
  };
}

export function makeStrategyState(more: Partial<StrategyTraits> = {}): StrategyTraits {
  return {
    selected_images: ["c"],
    selected_concepts: [],
    by: "distinctive",
    counting: "presence",
    only_mistakes: false,
    _title: "EfficientNet-Lite0",
    _graph: makeGraph(),
    _concepts: [
      makeConceptInfo(0, { name: "body", importance: 0.7 }),
      makeConceptInfo(1, { importance: 0.3 }),
    ],
    _points: makePoints(),
    _classes: ["tench", "hen"],
    _sums: {
      rows: [[2, 0, 1, 0]],
      values: floatsOf([3, -1, 0.5, 0.25, 0, 2.75, 1, 1, 0.5, -0.5, 0, 2]),
    },
    _sprite: { data: bytesOf([]), side: 48, columns: 1, rows: [] },
    _crops: {},
    _strip: { total: 6, mark: 1 },
    _look: {},
    _status: { state: "done", stage: null, done: 6, total: 6, eta: null, seconds: 3, error: null },
    _seq: 1,
    _selection: "IPY_MODEL_selection",
    _kernel: true,
    ...more,
  };
}

export function makeStrategyModel(more: Partial<StrategyTraits> = {}): FakeModel {
  return new FakeModel(makeStrategyState(more) as unknown as Traits);
}
