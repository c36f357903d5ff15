/** Legend, layers, sliders and facts beside the picture. */
import { paintValues } from "../../core/colormap";
import { h, icon, on, setAttribute, setText, show } from "../../core/dom";
import { percent, quantity } from "../../core/format";
import { COLORMAPS } from "../../core/wire";
import { makeAbout, makePopover } from "../shared/popover";
import type { Context, Part } from "./context";
import type { Shown } from "./state";
import { COARSE, rowsWords, surenessWords } from "./words";

const LEGEND_WIDTH = 256;

/** Makes the heading: what the map answers, and how it was made. */
export function makeHeading(context: Context): Part {
  const name = h("span", { class: "mut" });
  const info = h(
    "button",
    {
      class: "icon",
      type: "button",
      "aria-label": "How this map was made",
      "aria-haspopup": "dialog",
      title: "How this map was made",
    },
    icon("info"),
  );
  const about = makeAbout(context.signal);
  const popover = makePopover(info, "How this map was made", about.node, context.signal);
  const node = h("div", { class: "heading bar" }, h("h2", {}, "Where ", name), info, popover.node);
  return {
    node,
    update(shown) {
      setText(name, shown.className ? `it looks for ${shown.className}` : "it looks");
      setAttribute(name, "title", shown.className || null);
      show(info, shown.map !== null);
      if (shown.map) about.update(shown.map.about, shown.map.code);
    },
  };
}

/** Makes the column of controls. */
export function makeControls(context: Context): Part {
  const parts = [makeLegend(context), makeLayers(context), makeSliders(context), makeFacts()];
  return {
    node: h("section", { class: "controls", "aria-label": "Map" }, ...parts.map(({ node }) => node)),
    update(shown) {
      for (const part of parts) part.update(shown);
    },
  };
}

function makeLegend({ model }: Context): Part {
  const canvas = h("canvas", { "aria-hidden": "true", width: LEGEND_WIDTH, height: 1 });
  const top = h("span");
  const node = h("div", { class: "legend sm mut" }, h("span", {}, "0"), canvas, top);
  const ramp = Float32Array.from({ length: LEGEND_WIDTH }, (_, i) => i / (LEGEND_WIDTH - 1));
  return {
    node,
    update(shown) {
      const { plane, stored, map } = shown;
      setText(top, plane && stored && map ? `${quantity(stored.max)} ${map.unit}` : "no map");
      const brush = canvas.getContext("2d");
      if (!brush) return;
      const image = brush.createImageData(LEGEND_WIDTH, 1);
      paintValues(ramp, 1, model.get("colormap"), model.get("threshold"), image.data);
      const opacity = plane ? model.get("opacity") : 0;
      for (let i = 3; i < image.data.length; i += 4) image.data[i] = (image.data[i] as number) * opacity;
      brush.putImageData(image, 0, 0);
    },
  };
}

const LAYERS = [
  ["map", "Map", "Shows the map over the photo"],
  ["uncertainty", "Uncertainty", "Hatches cells whose 95 % interval is wide, or reaches down to nothing"],
  ["cells", "Cells", "Shows what was measured, without smoothing"],
] as const;

function makeLayers({ state, act, signal }: Context): Part {
  const buttons = LAYERS.map(([name, text, title]) => {
    const button = h("button", { class: "tog", type: "button", title }, text);
    on(button, "click", () => act.toggle(name), signal);
    return [name, button] as const;
  });
  return {
    node: h(
      "div",
      { class: "row", role: "group", "aria-label": "Layers" },
      ...buttons.map(([, button]) => button),
    ),
    update() {
      for (const [name, button] of buttons)
        setAttribute(button, "aria-pressed", state[name] ? "true" : "false");
    },
  };
}

const SLIDERS = [
  ["opacity", "Opacity", 100],
  ["threshold", "Threshold", 90],
] as const;

function makeSliders({ model, act, signal }: Context): Part {
  const sliders = SLIDERS.map(([name, text, max]) => {
    const input = h("input", { type: "range", min: 0, max, step: 1 });
    const output = h("output");
    on(input, "input", () => act.adjust(name, Number(input.value) / 100), signal);
    return {
      name,
      max,
      input,
      output,
      node: h("label", { class: "sl" }, h("span", { class: "mut" }, text), input, output),
    };
  });
  const select = h("select", {}, ...COLORMAPS.map((name) => h("option", { value: name }, name)));
  on(select, "change", () => act.setColormap(select.value), signal);
  const colors = h("label", { class: "sl" }, h("span", { class: "mut" }, "Colour map"), select);
  return {
    node: h("div", { class: "sliders" }, ...sliders.map(({ node }) => node), colors),
    update() {
      const colormap = model.get("colormap");
      if (select.value !== colormap) select.value = colormap;
      for (const { name, max, input, output } of sliders) {
        const value = Math.round(100 * model.get(name));
        if (Number(input.value) !== value) input.value = String(value);
        input.style.setProperty("--v", `${(100 * value) / max}%`);
        setAttribute(input, "aria-valuetext", `${value} %`);
        setText(output, percent(value / 100));
      }
    },
  };
}

function makeFacts(): Part {
  const figure = h("b");
  const dots = h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i"), h("i"));
  const sure = h("p");
  const rows = h("b");
  const of = h("span", { class: "mut" });
  const rowsText = h("p");
  const node = h(
    "div",
    { class: "facts" },
    h("div", { class: "fact" }, figure, dots, sure),
    h("div", { class: "fact" }, rows, " ", of, rowsText),
  );
  return {
    node,
    update(shown: Shown) {
      const told = surenessWords(shown);
      setText(figure, told.figure);
      setText(sure, told.words);
      show(dots, told.dots !== null);
      [...dots.children].forEach((dot, i) => {
        setAttribute(dot, "class", i < (told.dots ?? 0) ? "on" : null);
      });
      const { figure: number, of: wanted } = rowsWords(shown);
      setText(rows, number);
      setText(of, wanted);
      setText(rowsText, shown.map?.preview ? COARSE : "Rows of masks behind this map");
    },
  };
}
