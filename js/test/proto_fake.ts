/** A realistic state of a PrototypeView: a class of two seeds, a concept and a channel, with photos of each. */
import type { ExamplesInfo, ProtoInfo, ProtoTraits } from "../src/core/proto_wire";
import type { Traits } from "../src/core/wire";
import { bytesOf } from "./concept_fake";
import { FakeModel } from "./fake";

export function makeProto(more: Partial<ProtoInfo> = {}): ProtoInfo {
  return {
    label: "tench",
    group: 0,
    variant: "seed 0",
    layers: [],
    size: [512, 512],
    steps: 256,
    wanted: 256,
    before: -0.5,
    after: 12.5,
    crops: [14, 2],
    trace: [0, 4, 9, 14],
    trace_steps: [0, 85, 170, 255],
    concept: null,
    letter: "",
    hue: "",
    class_id: 0,
    unit: "logit",
    seeded: false,
    complete: true,
    caveats: [],
    about: [["Method", "Maco"]],
    code: "ww.Maco()",
    ...more,
  };
}

export function makeExamples(more: Partial<ExamplesInfo> = {}): ExamplesInfo {
  return {
    reason: "",
    count: 3,
    complete: true,
    values: [-1, 2, 9],
    top: [
      { image: "pond", value: 9, peak: null, window: [0, 0, 1, 1], photo: 0, crop: null },
      { image: "lake", value: 2, peak: null, window: [0, 0, 1, 1], photo: 1, crop: null },
    ],
    caveats: [],
    ...more,
  };
}

export function makeProtoState(more: Partial<ProtoTraits> = {}): ProtoTraits {
  const spatial = makeExamples({
    top: [{ image: "pond", value: 3, peak: 7, window: [0.25, 0.5, 0.75, 1], photo: 2, crop: 3 }],
  });
  return {
    selected: 0,
    percentile: 80,
    transparency: true,
    _title: "EfficientNet-Lite0",
    _protos: [
      makeProto(),
      makeProto({ variant: "seed 1", after: 11 }),
      makeProto({
        label: "fins",
        group: 1,
        class_id: null,
        concept: 4,
        letter: "E",
        hue: "#0072B2",
        layers: ["features"],
      }),
      makeProto({ label: "channel 17 of features.4", group: 2, class_id: null, layers: ["features.4"] }),
    ],
    _mosaic: bytesOf([]),
    _mosaic_alpha: bytesOf([]),
    _side: 128,
    _columns: 2,
    _large: {},
    _frames: {
      "0": { data: bytesOf([]), side: 80, columns: 2, steps: [0, 128, 256] },
      "1": { data: bytesOf([]), side: 80, columns: 2, steps: [0, 128, 256] },
    },
    _examples: [
      makeExamples(),
      spatial,
      makeExamples({ reason: "No photos yet.", count: 0, values: [], top: [] }),
    ],
    _tiles: bytesOf([]),
    _tile_side: 96,
    _tile_columns: 4,
    _status: { state: "done", stage: null, done: 1, total: 1, eta: null, seconds: 3, error: null },
    _seq: 1,
    _selection: "IPY_MODEL_selection",
    _kernel: true,
    ...more,
  };
}

export function makeProtoModel(more: Partial<ProtoTraits> = {}): FakeModel {
  return new FakeModel(makeProtoState(more) as unknown as Traits);
}
