/** Legend, layers, sliders and facts beside the picture. */
import { h, icon, on, setAttribute, setText, show } from "../../core/dom";
import { percent } from "../../core/format";
import { walkWithArrows } from "../../core/roving";
import { COLORMAPS, type LayerName, SCORES } from "../../core/wire";
import { makeAbout, makePopover } from "../shared/popover";
import type { Context, Part } from "./context";
import { makeLegend } from "./legend";
import { isOneMethod, LAYERS, layersOf, type Shown } from "./state";
import { COARSE, headingWords, rowsWords, SCORE_NAMES, surenessWords } from "./words";

/** Makes the heading: what the map answers, and how it was made. */
export function makeHeading(context: Context): Part {
  const lead = h("span");
  const name = h("span", { class: "mut" });
  const back = h("button", { class: "link", type: "button", title: "Back to the map (Esc)" }, "Back");
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
  /** One of several methods is shown alone. */
  let among = false;
  const popover = makePopover(info, "How this map was made", about.node, context.signal);
  const node = h("div", { class: "heading bar" }, h("h2", {}, lead, " ", name), back, info, popover.node);
  const { model, act } = context;
  const goBack = () => {
    if (among) act.choose("selected_method", "");
    else act.leavePartners();
    node.closest(".ww")?.querySelector<HTMLElement>(".pic")?.focus(); // the button goes, the focus stays near
  };
  on(back, "click", goBack, context.signal);
  return {
    node,
    update(shown, panels) {
      const alone = model.get("selected_method");
      const [strong, rest] = headingWords(
        panels.length ? { ...shown, partners: null, reading: null } : shown,
      );
      among = !shown.partners && Boolean(alone) && (model.get("_methods") ?? []).length > 1;
      setText(lead, strong);
      setText(name, among ? `${rest}: ${alone}` : rest);
      show(back, among || (shown.partners !== null && panels.length === 0));
      setText(back, among ? "All methods" : "Back");
      const told = (panels.length ? panels : [shown]).filter(({ map }) => map);
      show(info, told.length > 0);
      about.update(aboutOf(told), [...new Set(told.map(codeOf))].join("\n"));
    },
  };
}

/** How maps were made: what they have in common once, what differs under their names. */
export function aboutOf(maps: readonly Shown[]): [string, string][] {
  const rows = new Map<string, [string, string][]>();
  for (const { map, label } of maps)
    for (const [name, value] of map?.about ?? []) rows.set(name, [...(rows.get(name) ?? []), [label, value]]);
  return [...rows].flatMap(([name, told]): [string, string][] => {
    const same = told.length === maps.length && told.every(([, value]) => value === told[0]?.[1]);
    return same ? [[name, told[0]?.[1] ?? ""]] : told.map(([label, value]) => [`${name}, ${label}`, value]);
  });
}

/** The Python lines that make the numbers that are shown. */
export function codeOf({ map, reading, classId, className, partners }: Shown): string {
  if (!map) return "";
  const options = [String(classId)];
  const error = reading?.index === "error" && !partners;
  if (reading && reading.index !== "total" && !error && !partners) options.push(`kind="${reading.index}"`);
  if (reading && reading.score !== map.score) options.push(`score="${reading.score}"`);
  const read = `${error ? "standard_error" : "values"}(${options.join(", ")})  # ${className}`;
  if (!partners) return `${map.code}\na.${read}`;
  const cell = partners.search.cell.join(", ");
  const model = /\.run\((.*), photo\)$/.exec(map.code)?.[1] ?? "model";
  return `${map.code}\np = ww.SobolPairs((${cell}), partners=16).run(${model}, a, target=${classId})\np.${read}`;
}

/** Makes the column of controls. */
export function makeControls(context: Context, saver: HTMLElement): Part {
  const parts = [
    makeLegend(context),
    makeLayers(context, saver),
    makeMarks(context),
    makeSliders(context),
    makeFacts(),
  ];
  return {
    node: h("section", { class: "controls", "aria-label": "Map" }, ...parts.map(({ node }) => node)),
    update(shown, panels) {
      for (const part of parts) part.update(shown, panels);
    },
  };
}

/** Why a layer can be had of none of the maps, or nothing. */
function reasonAgainst(name: LayerName, { map }: Shown, panels: readonly Shown[]): string {
  const maps = panels.length ? panels.flatMap((panel) => panel.map ?? []) : map ? [map] : [];
  return maps.every(({ missing }) => missing?.[name]) ? (maps[0]?.missing?.[name] ?? "") : "";
}

/** What is drawn of the class: one layer, or, side by side, those that are ticked. */
function makeLayers({ model, act, signal }: Context, saver: HTMLElement): Part {
  const group = h("div", { class: "tabs", "aria-label": "What is drawn" });
  const buttons = LAYERS.map(([name, text]) => {
    const button = h("button", { type: "button", "data-key": name }, text);
    group.append(button);
    return button;
  });
  const why = h("p", { class: "vh", id: "ww-index-why" });
  const spread = h("button", { class: "tog", type: "button" }, "Side by side");
  const isOpen = (button: HTMLElement) => button.getAttribute("aria-disabled") !== "true";
  const nameOf = (button: HTMLElement) => button.dataset.key as LayerName;
  const choose = (button: HTMLElement) => {
    if (isOpen(button)) act.layOut([nameOf(button)]);
  };
  const tick = (button: HTMLElement) => {
    const name = nameOf(button);
    const ticked = (each: LayerName) => layersOf(model).includes(each) !== (each === name);
    if (isOpen(button)) act.layOut(LAYERS.map(([each]) => each).filter(ticked));
  };
  on(
    spread,
    "click",
    () => act.layOut(layersOf(model).length ? [] : buttons.filter(isOpen).map(nameOf)),
    signal,
  );
  walkWithArrows(group, (button) => layersOf(model).length === 0 && choose(button), signal);
  on(
    group,
    "click",
    (event) => {
      const button = (event.target as Element).closest<HTMLElement>("[data-key]");
      if (button) (layersOf(model).length ? tick : choose)(button);
    },
    signal,
  );
  return {
    node: h("div", {}, h("div", { class: "row" }, group, why), h("div", { class: "row" }, spread, saver)),
    update(shown, panels) {
      const layers = layersOf(model);
      const many = layers.length > 0;
      show(spread, isOneMethod(model));
      setAttribute(spread, "aria-pressed", many ? "true" : "false");
      setAttribute(spread, "title", many ? "Goes back to one of them" : "Shows several of them");
      setAttribute(group, "role", many ? "group" : "radiogroup");
      const chosen: readonly LayerName[] = many ? layers : [model.get("index") ?? "total"];
      buttons.forEach((button, place) => {
        const [name, , title] = LAYERS[place] as (typeof LAYERS)[number];
        const reason = reasonAgainst(name, shown, panels);
        setAttribute(button, "role", many ? "checkbox" : "radio");
        setAttribute(button, "aria-checked", chosen.includes(name) ? "true" : "false");
        setAttribute(button, "tabindex", many || chosen.includes(name) ? 0 : -1);
        setAttribute(button, "aria-disabled", reason ? "true" : null);
        setAttribute(button, "aria-describedby", reason ? "ww-index-why" : null);
        setAttribute(button, "title", reason || title);
        if (reason) setText(why, reason);
      });
    },
  };
}

const MARKS = [
  ["map", "Map", "Shows the map over the photo"],
  ["unsure", "Unsure", "Hatches cells whose 95 % interval is wide, or reaches down to nothing"],
  ["cells", "Cells", "Shows what was measured, without smoothing"],
] as const;

function makeMarks({ state, act, signal }: Context): Part {
  const buttons = MARKS.map(([name, text, title]) => {
    const button = h("button", { class: "tog", type: "button", title }, text);
    on(button, "click", () => act.toggle(name), signal);
    return [name, button] as const;
  });
  const group = h("div", { class: "toggles", role: "group", "aria-label": "On the photo" });
  group.append(...buttons.map(([, button]) => button));
  return {
    node: h("div", { class: "row" }, group),
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

const SCORE_OPTIONS = [...SCORES, "own" as const].map((name) => [name, SCORE_NAMES[name]] as const);
const COLORMAP_OPTIONS = COLORMAPS.map(
  (name) => [name, `${name[0]?.toUpperCase()}${name.slice(1)}`] as const,
);
const SCALE_OPTIONS = [
  ["image", "Each its own"],
  ["shared", "Shared by all maps"],
] as const;

const OWN_COLORS: Partial<Record<LayerName, string>> = {
  slope: "Signs have two colours of their own",
  error: "Uncertainty has colours of its own",
};

interface Choice<T extends string> {
  node: HTMLElement;
  update(value: T): void;
  /** Shows or hides one of its options. */
  offer(value: T, offered: boolean): void;
  /** Disables it with a reason; without one, enables it. */
  disable(reason: string): void;
}

function makeSliders({ model, act, signal }: Context): Part {
  function makeChoice<T extends string>(
    label: string,
    options: readonly (readonly [T, string])[],
    choose: (value: T) => void,
  ): Choice<T> {
    const entries = options.map(([value, text]) => h("option", { value }, text));
    const select = h("select", {}, ...entries);
    on(select, "change", () => choose(select.value as T), signal);
    return {
      node: h("label", { class: "sl" }, h("span", { class: "mut" }, label), select),
      update(value) {
        if (select.value !== value) select.value = value;
      },
      offer(value, offered) {
        for (const entry of entries) if (entry.value === value) show(entry, offered);
      },
      disable(reason) {
        select.disabled = reason !== "";
        setAttribute(select, "title", reason || null);
      },
    };
  }
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
  const colors = makeChoice("Colour map", COLORMAP_OPTIONS, (value) => act.choose("colormap", value));
  const scores = makeChoice("Score", SCORE_OPTIONS, (value) => act.choose("score", value));
  const scales = makeChoice("Scale", SCALE_OPTIONS, (value) => act.choose("scale", value));
  const choices = [scores, scales, colors];
  return {
    node: h("div", { class: "sliders" }, ...[...sliders, ...choices].map(({ node }) => node)),
    update({ map, reading, partners }, panels) {
      const score = model.get("score") ?? "logit";
      scores.update(score);
      scores.offer(
        "own",
        [map, ...panels.map((panel) => panel.map)].some(
          (each) => each?.score !== map?.score || each?.score === "own",
        ) || score === "own",
      );
      scales.update(model.get("scale") ?? "image");
      show(scales.node, panels.length > 1 || (model.get("_images") ?? []).length > 1);
      colors.update(model.get("colormap"));
      const own = reading && !partners && panels.length === 0 ? OWN_COLORS[reading.index] : "";
      colors.disable(own ?? "");
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
  const part = h("span", { class: "mut" });
  const dots = h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i"), h("i"));
  const sure = h("p");
  const rows = h("b");
  const of = h("span", { class: "mut" });
  const rowsText = h("p");
  const node = h(
    "div",
    { class: "facts" },
    h("div", { class: "fact" }, figure, " ", part, dots, sure),
    h("div", { class: "fact" }, rows, " ", of, rowsText),
  );
  return {
    node,
    update(shown: Shown, panels) {
      show(node, panels.length === 0);
      const told = surenessWords(shown);
      setText(figure, told.figure);
      setText(part, told.of ?? "");
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
