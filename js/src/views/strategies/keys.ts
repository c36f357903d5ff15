/** The keys on the photos: the nearest in a direction, choosing, and looking closer. */
import { on } from "../../core/dom";
import type { Context } from "./context";
import { type Direction, walk, zoomAt } from "./geometry";
import { type Plot, spotOf } from "./plot";
import { nameOf, photoLabel } from "./words";

const DIRECTIONS: Record<string, Direction> = {
  ArrowLeft: "left",
  ArrowRight: "right",
  ArrowUp: "up",
  ArrowDown: "down",
};
const CLOSER = 1.4;
/** Room that a photo has to the edge when it is walked to. */
const EDGE = 30;

/** Follows the keys until the view ends. */
export function followKeys({ model, state, act, signal }: Context, plot: Plot, save: () => void): void {
  const begin = (): number => {
    const { here, points, isShown } = plot.shown();
    if (here !== null && isShown(here)) return here;
    for (let i = 0; i < (points?.count ?? 0); i++) if (isShown(i)) return i;
    return -1;
  };
  const go = (row: number) => {
    if (row < 0) return;
    state.focused = row;
    state.hovered = -1;
    bringIntoSight(plot, row);
    act.say(photoLabel(plot.shown(), row, model.get("_classes") ?? []));
    act.redraw();
  };
  const zoom = (by: number) => {
    const { width, height } = plot.size();
    const at = spotOf(plot, state.focused) ?? { x: width / 2, y: height / 2 };
    plot.look(zoomAt(plot.view(), by, at, width, height, plot.whole().scale));
  };
  /** Chooses all shown photos that have the colour of the one that the keys are on. */
  const chooseAlike = () => {
    const { points, concepts, isShown } = plot.shown();
    const from = state.focused >= 0 ? state.focused : begin();
    if (!points || from < 0) return;
    const rows = points.rows[model.get("by")];
    const alike = Array.from({ length: points.count }, (_, i) => i).filter(
      (i) => isShown(i) && rows[i] === rows[from],
    );
    const concept = concepts[rows[from] as number];
    act.choose([from, ...alike.filter((i) => i !== from)], false);
    act.say(`${alike.length} photos of ${concept ? nameOf(concept) : "no concept"} chosen`);
  };

  on(
    plot.frame,
    "keydown",
    (event) => {
      const { points, isShown } = plot.shown() ?? {};
      if (!points || !isShown || event.ctrlKey || event.metaKey || event.altKey) return;
      const direction = DIRECTIONS[event.key];
      const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
      if (direction) {
        const { focused } = state;
        go(focused < 0 || !isShown(focused) ? begin() : walk(points, focused, direction, isShown));
      } else if (key === "Enter" || key === " ") {
        if (state.focused < 0) go(begin());
        if (state.focused >= 0) act.choose([state.focused], event.shiftKey);
      } else if (key === "l") chooseAlike();
      else if (key === "0") plot.look(null);
      else if (key === "+" || key === "=") zoom(CLOSER);
      else if (key === "-") zoom(1 / CLOSER);
      else if (key === "s") save();
      else return;
      event.preventDefault();
    },
    signal,
  );
}

/** Moves what is seen so that a photo is inside. */
function bringIntoSight(plot: Plot, row: number): void {
  const at = spotOf(plot, row);
  const { points } = plot.shown();
  const { width, height } = plot.size();
  if (!at || !points || width === 0) return;
  if (at.x >= EDGE && at.x <= width - EDGE && at.y >= EDGE && at.y <= height - EDGE) return;
  const view = plot.view();
  const inside = (value: number, size: number) => Math.max(EDGE, Math.min(size - EDGE, value));
  plot.look({
    ...view,
    cx: view.cx + (at.x - inside(at.x, width)) / view.scale,
    cy: view.cy - (at.y - inside(at.y, height)) / view.scale,
  });
}
