/** Photos and prototypes on one scale: a line for each photo, a diamond for each prototype. */
import { h, setAttribute, setText, show } from "../../core/dom";
import type { ExamplesInfo } from "../../core/proto_wire";
import type { Part } from "./context";
import type { Proto } from "./state";
import { svg } from "./svg";
import { amount, comparisonWords } from "./words";

const [WIDTH, HEIGHT, PAD] = [320, 30, 8];

/** Ends of the scale: of all that is drawn on it. */
export function scaleEnds(examples: ExamplesInfo, members: readonly Proto[]): [number, number] {
  const drawn = [
    ...examples.values,
    ...members.flatMap(({ before, after, crops }) => [before, after, ...rangeOf(crops)]),
  ];
  const known = drawn.filter((value): value is number => value !== null);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  return high > low ? [low, high] : [low - 1, high + 1];
}

/** A standard deviation round the mean. */
function rangeOf(crops: Proto["crops"]): number[] {
  return crops ? [crops[0] - crops[1], crops[0] + crops[1]] : [];
}

/** Makes the scale. */
export function makeScale(): Part {
  const ticks = svg("path", { class: "ticks" });
  const marks = svg("g");
  const drawing = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "scale", role: "img" },
    svg("path", { class: "axis", d: `M${PAD} ${HEIGHT - 6}H${WIDTH - PAD}` }),
    ticks,
    marks,
  );
  const [low, high] = [h("span"), h("span")];
  const key = h("span", { class: "key" });
  const words = h("p", { class: "sm" });
  const box = h("div", {});
  box.append(drawing);
  const node = h("div", { class: "compared" }, box, h("p", { class: "ends sm mut" }, low, key, high), words);

  return {
    node,
    update({ examples, here, members }) {
      const possible = here !== null && examples !== null && examples.values.length > 0;
      show(node, possible);
      if (!possible) return;
      const [first, last] = scaleEnds(examples, members);
      const at = (value: number) => PAD + ((WIDTH - 2 * PAD) * (value - first)) / (last - first);
      const known = examples.values.filter((value): value is number => value !== null);
      setAttribute(ticks, "d", known.map((value) => `M${at(value).toFixed(1)} ${HEIGHT - 18}v12`).join(""));
      const diamonds = members.flatMap((proto) =>
        proto.after === null ? [] : [diamond(at(proto.after), proto === here ? "mark" : "mark other")],
      );
      const noise =
        here.before === null ? [] : [svg("circle", { class: "noise", cx: at(here.before), cy: 7, r: 3.2 })];
      const [from, to] = rangeOf(here.crops);
      const d = `M${at(from ?? 0).toFixed(1)} 7H${at(to ?? 0).toFixed(1)}`;
      const range = from === undefined ? [] : [svg("path", { class: "range", d })];
      marks.replaceChildren(...range, ...noise, ...diamonds);
      setText(low, amount(first));
      setText(high, amount(last));
      const lines = [
        "│\u00a0photos",
        here.after === null ? "" : here.seeded ? "◆\u00a0accentuated" : "◆\u00a0prototype",
        here.crops === null ? "" : "━\u00a0its\u00a0crops",
        here.before === null ? "" : here.seeded ? "○\u00a0before" : "○\u00a0noise",
      ];
      setText(key, lines.filter(Boolean).join(" \u00a0 "));
      const told = comparisonWords(examples, here);
      setText(words, told);
      setAttribute(drawing, "aria-label", told || "Values of the photos");
    },
  };
}

function diamond(x: number, kind: string): SVGElement {
  return svg("path", { class: kind, d: `M${x.toFixed(1)} 1l6 6-6 6-6-6z` });
}
