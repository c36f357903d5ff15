/** A realistic state of a ConceptExplorer: three concepts, two photos, an affine head of four classes. */
import type { BankInfo, ConceptTraits, CropInfo, Growing } from "../src/core/concept_wire";
import type { Traits } from "../src/core/wire";
import { FakeModel } from "./fake";

/** Bytes in a message that starts at an odd offset. */
function shifted(bytes: Uint8Array): DataView {
  const buffer = new ArrayBuffer(bytes.length + 5);
  new Uint8Array(buffer, 5).set(bytes);
  return new DataView(buffer, 5);
}

export function bytesOf(values: number[]): DataView {
  return shifted(Uint8Array.from(values));
}

/** Small numbers as half-precision bits: multiples of 1/1024 from -2 to 2 are exact enough for tests. */
export function halvesOf(values: number[]): DataView {
  const bits = values.map((value) => {
    if (value === 0) return 0;
    const exponent = Math.floor(Math.log2(Math.abs(value)));
    const fraction = Math.round((Math.abs(value) / 2 ** exponent - 1) * 1024);
    return (value < 0 ? 0x8000 : 0) | ((exponent + 15) << 10) | fraction;
  });
  return shifted(new Uint8Array(Uint16Array.from(bits).buffer));
}

export const GROWING: Growing = {
  state: "empty",
  steps: 0,
  wanted: 0,
  eta: null,
  missing: 3,
  resumes: false,
  gone: false,
  reason: "",
  error: null,
};

export function makeBank(more: Partial<BankInfo> = {}, ids = [4, 0, 8]): BankInfo {
  const each = <T>(make: (place: number) => T) => ids.map((_, place) => make(place));
  return {
    ids,
    letters: ids.map((id) => String.fromCharCode(65 + id)),
    hues: each(() => "#0072B2"),
    importance: each((place) => 2 ** -(place + 1)),
    importance_error: each(() => null),
    contribution: each((place) => 2 - place),
    dead: [],
    method: "shares",
    affine: true,
    residual: 0.5,
    base: 0.2,
    logit: 4,
    mean_code: each((place) => place + 1),
    present: each((place) => 20 - place),
    classes: each(() => [{ name: "tench", value: 1.2 }]),
    quality: {
      error: 0.41,
      error_crops: null,
      error_locations: null,
      sparsity: null,
      agreement: 0.95,
      r2: 0.8,
      n_images: 20,
      n_left_out: 0,
    },
    caveats: ["Only 20 photos."],
    about: [["Method", "CRAFT"]],
    code: "ww.Craft()",
    complete: true,
    ...more,
  };
}

function makeCrops(row: number): CropInfo[] {
  return (["active", "active", "random"] as const).map((kind, i) => ({
    image: i === 0 ? "pond" : "elsewhere",
    box: [0, 0, 10, 10],
    activation: row + i,
    kind,
  }));
}

export function makeConceptState(more: Partial<ConceptTraits> = {}): ConceptTraits {
  const photo = (name: string, contributions: number[], place: number) => ({
    name,
    place,
    width: 100,
    height: 100,
    seen: [0, 0, 100, 100] as [number, number, number, number],
    predicted: "tench",
    p: 0.9,
    logit: contributions.reduce((a, b) => a + b, 0) + 0.5,
    base: 0.1,
    residual: 0.3,
    gap: 0.1,
    contributions,
    right: true,
  });
  return {
    selected_concepts: [4],
    selected_image: "pond",
    map_kind: "codes",
    opacity: 0.8,
    threshold: 0.1,
    scales: {},
    names: { "4": "fins" },
    notes: {},
    hidden: [],
    pinned: [],
    merged: [],
    card_kind: "prototypes",
    percentile: 80,
    _title: "EfficientNet-Lite0",
    _target: "tench",
    _bank: makeBank(),
    _crops: [0, 1, 2].map(makeCrops),
    _sprite: bytesOf([]),
    _sprite_side: 8,
    _sprite_columns: 4,
    _images: [photo("pond", [3, 1, -0.5], 0), photo("lake", [1, 0, 0], 1)],
    _photos: [],
    _large: {},
    _strip: { total: 2, mark: 1 },
    _codes: { pond: bytesOf(Array.from({ length: 12 }, (_, i) => i * 20)), lake: bytesOf(Array(12).fill(0)) },
    _code_scales: [10, 5, 2],
    _grid: [2, 2],
    _overlays: {},
    _overlay_scales: {},
    _present: { pond: [1, 1, 0], lake: [0, 0, 0] },
    _effects: halvesOf([1, 0, 0, -1, 0, 2, 0, 0, 0, 0, 0, 0]),
    _mean_codes: { pond: [2, 0.5, 0], lake: [0, 0, 0] },
    _logits: halvesOf([2, 1, 0, -1, 0, 0, 0, 0]),
    _classes: ["tench", "pike", "eel", "hog"],
    _status: { state: "done", stage: null, done: 1, total: 1, eta: null, error: null },
    _seq: 1,
    _model: { given: true, reason: "", photos: "", split: "", rank: "", most: 12 },
    _prototypes: {},
    _prototype: {},
    _growing: GROWING,
    _selection: "IPY_MODEL_selection",
    _kernel: true,
    ...more,
  };
}

export function makeConceptModel(more: Partial<ConceptTraits> = {}): FakeModel {
  return new FakeModel(makeConceptState(more) as unknown as Traits);
}
