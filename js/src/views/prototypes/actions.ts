/** What people do, as changes of traits and messages. Drawing comes before saving: it must not wait. */
import type { AnyModel } from "../../core/model";
import { PROTO_PUBLIC, type ProtoPublic, type ProtoTraits } from "../../core/proto_wire";
import type { Chosen, Selection } from "../../core/selection";
import { debounce, type Redraw } from "../../core/timing";
import { TraitWriter } from "../../core/writer";
import type { Actions, ProtoKernel } from "./context";
import type { ViewState } from "./state";

/** Time after the last move of a slider until its value is saved, in milliseconds. */
const SAVE_AFTER = 150;

/** Makes the actions. */
export function makeActions(
  model: AnyModel<ProtoTraits>,
  state: ViewState,
  kernel: ProtoKernel,
  selection: Selection,
  redraw: Redraw,
  signal: AbortSignal,
): Actions {
  const writer = new TraitWriter<ProtoPublic>(model as unknown as AnyModel, kernel, signal, PROTO_PUBLIC);
  const saveSoon = debounce(() => writer.save(), SAVE_AFTER, signal);

  /** Tells linked views what a prototype is of. */
  function tell(number: number): void {
    const proto = model.get("_protos")?.[number];
    const chosen: Chosen = {};
    if (proto && proto.concept !== null) chosen.concepts = [proto.concept];
    if (proto && proto.class_id !== null) chosen.class_id = proto.class_id;
    if (Object.keys(chosen).length > 0 && selection.state === "shared") selection.set(chosen);
  }

  return {
    choose(number) {
      if (number === model.get("selected")) return;
      writer.set("selected", number);
      tell(number);
      redraw.now();
      writer.save();
    },
    choosePhoto(name) {
      if (selection.state === "shared") selection.set({ images: [name] });
      redraw.request();
    },
    setPercentile(value) {
      writer.set("percentile", value);
      redraw.request();
      saveSoon();
    },
    toggleTransparency() {
      writer.set("transparency", !model.get("transparency"));
      redraw.now();
      writer.save();
    },
    setFrame(frame) {
      state.frame = frame;
      redraw.request();
    },
    toggle(name) {
      state[name] = !state[name];
      redraw.now();
    },
    setWipe(share) {
      state.wipe = share;
      redraw.request();
    },
    start: () => kernel.tell("start", {}),
    stop: () => kernel.tell("stop", {}),
    redraw: () => redraw.request(),
  };
}
