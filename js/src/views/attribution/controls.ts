/** Legend, layers, sliders and facts beside the picture. */
import { h, icon, on, setAttribute, setText, show } from "../../core/dom";
import { percent } from "../../core/format";
import { walkWithArrows } from "../../core/roving";
import { COLORMAPS, type IndexName, SCORES } from "../../core/wire";
import { makeAbout, makePopover } from "../shared/popover";
import type { Context, Part } from "./context";
import { makeLegend } from "./legend";
import { INDICES, type Shown } from "./state";
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
      const [strong, rest] = headingWords(panels.length ? { ...shown, partners: null } : shown);
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
  if (reading && reading.index !== "total" && !partners) options.push(`kind="${reading.index}"`);
  if (reading && reading.score !== map.score) options.push(`score="${reading.score}"`);
  const read = `values(${options.join(", ")})  # ${className}`;
  if (!partners) return `${map.code}\na.${read}`;
  const cell = partners.search.cell.join(", ");
  const model = /\.run\((.*), photo\)$/.exec(map.code)?.[1] ?? "model";
  return `${map.code}\np = ww.SobolPairs((${cell}), partners=16).run(${model}, a, target=${classId})\np.${read}`;
}

/** Makes the column of controls. */
export function makeControls(context: Context, saver: HTMLElement): Part {
  const parts = [
    makeLegend(context),
    makeIndices(context),
    makeLayers(context, saver),
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

/** What is drawn of the class, one of three. */
function makeIndices({ model, state, act, signal }: Context): Part {
  const group = h("div", { class: "tabs", role: "radiogroup", "aria-label": "What is drawn" });
  const buttons = INDICES.map(([name, text]) => {
    const button = h("button", { type: "button", role: "radio", "data-key": name }, text);
    group.append(button);
    return button;
  });
  const why = h("p", { class: "vh", id: "ww-index-why" });
  const spread = h("button", { class: "tog", type: "button", title: "Shows all of them" }, "Side by side");
  on(spread, "click", () => act.toggle("spread"), signal);
  const choose = (button: HTMLElement) => {
    if (button.getAttribute("aria-disabled") !== "true") act.choose("index", button.dataset.key as IndexName);
  };
  walkWithArrows(group, choose, signal);
  on(
    group,
    "click",
    (event) => {
      const button = (event.target as Element).closest<HTMLElement>("[data-key]");
      if (button) choose(button);
    },
    signal,
  );
  return {
    node: h("div", { class: "row" }, group, spread, why),
    update({ map }, panels) {
      show(spread, state.spread || panels.length === 0);
      setAttribute(spread, "aria-pressed", state.spread && panels.length > 0 ? "true" : "false");
      const chosen = model.get("index") ?? "total";
      buttons.forEach((button, place) => {
        const [name, , title] = INDICES[place] as (typeof INDICES)[number];
        const maps = panels.length ? panels.flatMap((panel) => panel.map ?? []) : map ? [map] : [];
        const reason = maps.every(({ missing }) => missing?.[name]) ? (maps[0]?.missing?.[name] ?? "") : "";
        setAttribute(button, "aria-checked", name === chosen ? "true" : "false");
        setAttribute(button, "tabindex", name === chosen ? 0 : -1);
        setAttribute(button, "aria-disabled", reason ? "true" : null);
        setAttribute(button, "aria-describedby", reason ? "ww-index-why" : null);
        setAttribute(button, "title", reason || title);
        if (reason) setText(why, reason);
      });
    },
  };
}

const LAYERS = [
  ["map", "Map", "Shows the map over the photo"],
  ["uncertainty", "Uncertainty", "Hatches cells whose 95 % interval is wide, or reaches down to nothing"],
  ["cells", "Cells", "Shows what was measured, without smoothing"],
] as const;

function makeLayers({ state, act, signal }: Context, saver: HTMLElement): Part {
  const buttons = LAYERS.map(([name, text, title]) => {
    const button = h("button", { class: "tog", type: "button", title }, text);
    on(button, "click", () => act.toggle(name), signal);
    return [name, button] as const;
  });
  return {
    node: h(
      "div",
      { class: "row" },
      h(
        "div",
        { class: "toggles", role: "group", "aria-label": "Layers" },
        ...buttons.map(([, button]) => button),
      ),
      saver,
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

const SCORE_OPTIONS = [...SCORES, "own" as const].map((name) => [name, SCORE_NAMES[name]] as const);
const COLORMAP_OPTIONS = COLORMAPS.map(
  (name) => [name, `${name[0]?.toUpperCase()}${name.slice(1)}`] as const,
);
const SCALE_OPTIONS = [
  ["image", "Each map its own"],
  ["shared", "Shared by all maps"],
] as const;

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
      colors.disable(reading?.index === "slope" && !partners ? "Signs have two colours of their own" : "");
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
