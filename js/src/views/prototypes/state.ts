/** What is shown now, worked out from the traits. Nothing here touches the page. */
import type { AnyModel } from "../../core/model";
import type {
  ExamplesInfo,
  FramesInfo,
  LargeInfo,
  ProtoInfo,
  ProtoStatus,
  ProtoTraits,
} from "../../core/proto_wire";

/** State of one view on one page; never synced, so that two views of a model can differ. */
export interface ViewState {
  /** Frame of the way that is shown; null for what it has become. */
  frame: number | null;
  /** Whether all prototypes of the target are shown, or one alone. */
  together: boolean;
  /** Whether examples are shown as whole photos. */
  photos: boolean;
  /** How much of the width shows the photo that was accentuated, from 0 to 1; null before anybody moved the edge. */
  wipe: number | null;
  /** Whether what the accentuation changed is drawn. */
  difference: boolean;
  dark: boolean;
  /** Large pictures that have been here, by the prototype's number. */
  kept: Map<number, LargeInfo>;
}

/** A prototype with its number. */
export interface Proto extends ProtoInfo {
  number: number;
}

export interface Shown {
  protos: Proto[];
  /** The first prototype of each target, or the one that is looked at. */
  faces: Proto[];
  here: Proto | null;
  /** All prototypes of the same target. */
  members: Proto[];
  frames: FramesInfo | null;
  /** Frame that is shown, null for what it has become. */
  frame: number | null;
  examples: ExamplesInfo | null;
  status: ProtoStatus;
  /** Whether prototypes grow now. */
  growing: boolean;
}

const EMPTY: ProtoStatus = {
  state: "empty",
  stage: null,
  done: 0,
  total: 0,
  eta: null,
  seconds: 0,
  error: null,
};

type Model = AnyModel<ProtoTraits>;

/** Works out what is shown. */
export function deriveShown(model: Model, state: ViewState): Shown {
  const protos = (model.get("_protos") ?? []).map((each, number) => ({ ...each, number }));
  const here = protos[model.get("selected")] ?? protos[0] ?? null;
  const status = { ...EMPTY, ...model.get("_status") };
  const growing = status.state === "computing" && status.stage !== "photos";
  if (growing) state.kept.clear(); // they are growing on
  for (const [number, each] of Object.entries(model.get("_large") ?? {}))
    state.kept.set(Number(number), each);
  const frames = (here && model.get("_frames")?.[String(here.number)]) ?? null;
  const last = (frames?.steps.length ?? 0) - 1;
  return {
    protos,
    faces: chooseFaces(protos, here),
    here,
    members: here ? protos.filter(({ group }) => group === here.group) : [],
    frames: last > 0 ? frames : null,
    frame: state.frame === null || state.frame >= last ? null : state.frame,
    examples: (here && model.get("_examples")?.[here.group]) ?? null,
    status,
    growing,
  };
}

/** One prototype a target. */
export function chooseFaces(protos: readonly Proto[], here: Proto | null): Proto[] {
  const faces = new Map<number, Proto>();
  for (const proto of protos) if (!faces.has(proto.group) || proto === here) faces.set(proto.group, proto);
  return [...faces.values()];
}

/** What a prototype gives now: of the whole picture once that is known, before on crops. */
export function worthOf(proto: Proto): number | null {
  return proto.after ?? proto.trace.at(-1) ?? null;
}

/** Height and width of a picture whose longer side has so many pixels at most. */
export function fitted([height, width]: readonly [number, number], side: number): [number, number] {
  const scale = Math.min(1, side / Math.max(height, width));
  return [Math.max(1, Math.round(height * scale)), Math.max(1, Math.round(width * scale))];
}
