/** What-if: a slider for the opened concept, and the classes as they were and as they would be. */
import { type ClassChange, LARGEST_SCALE } from "../../core/concept_wire";
import { h, on, patchChildren, setAttribute, setText, show } from "../../core/dom";
import { percent } from "../../core/format";
import { paintChips } from "./chip";
import type { Context, Part } from "./context";
import { type Concept, readFactors, type Shown } from "./state";
import { WhatIf } from "./whatif";
import { factorWords, kernelWords, letters } from "./words";

/** Classes that are shown. */
const CLASSES = 5;
/** Steps of the slider for a factor of 1. */
const STEPS = 20;

interface Answer {
  classes: ClassChange[] | null;
  /** What stands there without classes, or beside old ones. */
  words: string;
}

/** Asks Python, one request at a time, and keeps the last answer. */
function makeAsker({ model, kernel, act, signal }: Context): (image: string) => Answer {
  let answered = "";
  let classes: ClassChange[] | null = null;
  let of = "";
  let refused = "";
  let underWay = false;

  async function ask(image: string, scales: Record<string, number>, key: string): Promise<void> {
    underWay = true;
    const reply = await kernel.ask("whatif", { image, scales });
    underWay = false;
    if (signal.aborted) return;
    if (reply.kind === "refused" && reply.superseded) return;
    answered = key;
    refused = reply.kind === "refused" ? reply.message : "";
    if (reply.kind === "whatif") [classes, of] = [reply.classes, image];
    act.redraw();
  }
  return (image) => {
    const scales = model.get("scales") ?? {};
    const key = JSON.stringify([image, scales]);
    const old = of === image ? classes : null;
    if (key === answered) return { classes: old, words: refused };
    const given = model.get("_model");
    if (!given?.given) return { classes: old, words: given?.reason ?? "" };
    if (!kernel.reachable) return { classes: old, words: kernelWords(kernel) };
    if (Object.keys(scales).length === 0 && !old) return { classes: null, words: "" };
    if (!underWay) void ask(image, scales, key);
    return { classes: old, words: "Asking the network…" };
  };
}

/** Makes the panel. */
export function makeChanges(context: Context): Part {
  const { model, state, act, signal } = context;
  const whatIf = new WhatIf(model);
  const ask = makeAsker(context);
  const chip = h("span", { class: "chips" });
  const factor = h("b");
  const slider = h("input", { type: "range", min: 0, max: LARGEST_SCALE * STEPS, step: 1, class: "factor" });
  const ticks = h(
    "div",
    { class: "ticks sm mut", "aria-hidden": "true" },
    ...["mute", "as is", "double"].map((t) => h("span", {}, t)),
  );
  const others = h("p", { class: "sm mut" });
  const reset = h("button", { class: "link sm", type: "button" }, "Reset");
  const list = h("div", { class: "changes", role: "list" });
  const words = h("p", { class: "sm mut", role: "status" });
  const head = h("p", { class: "ifhead" }, "What if ", chip, " were ", factor);
  const left = h("div", {}, head, slider, ticks, h("div", { class: "ifrow" }, others, reset));
  const node = h("section", { class: "whatif", "aria-label": "What if" }, left, h("div", {}, list, words));
  let opened: Concept | null = null;

  on(slider, "input", () => opened && act.scale(opened, Number(slider.value) / STEPS), signal);
  on(
    reset,
    "click",
    () => {
      act.resetScales();
      slider.focus({ preventScroll: true });
    },
    signal,
  );

  function answer(shown: Shown): Answer {
    if (!shown.image) return { classes: null, words: "" };
    if (!whatIf.exact || !shown.bank) return ask(shown.image.name);
    const factors = readFactors(shown.bank, model.get("scales") ?? {});
    return { classes: whatIf.classes(shown.place, shown.image.name, factors, CLASSES), words: "" };
  }

  return {
    node,
    update(shown) {
      opened = shown.opened;
      const told = answer(shown);
      const possible = told.classes !== null || told.words !== "" || Boolean(model.get("_model")?.given);
      show(node, shown.image !== null && opened !== null && possible && Boolean(shown.bank?.complete));
      if (!opened) return;
      const scales = model.get("scales") ?? {};
      const value = scales[opened.id] ?? 1;
      paintChips(chip, opened, state.dark);
      setText(factor, factorWords(value));
      if (Number(slider.value) !== value * STEPS) slider.value = String(Math.round(value * STEPS));
      slider.style.setProperty("--v", `${(100 * value) / LARGEST_SCALE}%`);
      setAttribute(slider, "aria-label", `What if ${opened.title} were weaker or stronger`);
      setAttribute(slider, "aria-valuetext", factorWords(value));
      slider.disabled = !whatIf.exact && (!context.kernel.reachable || !model.get("_model")?.given);
      const changed = shown.rows.filter(({ parts }) => parts.some(({ id }) => id in scales));
      const rest = changed.filter((each) => each !== opened);
      setText(
        others,
        rest.length
          ? `and ${rest.map((c) => `${letters([c])} ${factorWords(scales[c.id] ?? 1)}`).join(", ")}`
          : "",
      );
      reset.style.visibility = changed.length ? "visible" : "hidden";
      fillClasses(list, told.classes ?? []);
      setText(words, told.words);
      show(words, told.words !== "");
    },
  };
}

function fillClasses(list: HTMLElement, classes: readonly ClassChange[]): void {
  const rows = patchChildren(
    list,
    classes.map(({ name }) => name),
    makeRow,
  );
  rows.forEach((row, i) => {
    const each = classes[i];
    if (!each) return;
    const [name, number, track] = [...row.children] as [HTMLElement, HTMLElement, HTMLElement];
    const [fill, mark] = [...track.children] as [HTMLElement, HTMLElement];
    const same = percent(each.p) === percent(each.before);
    setText(name, each.name);
    setAttribute(name, "title", each.name);
    setText(number.firstElementChild as Element, percent(each.p));
    setText(number.lastElementChild as Element, same ? "" : ` from ${percent(each.before)}`);
    fill.style.width = `${100 * each.p}%`;
    mark.style.left = `${100 * each.before}%`;
    setAttribute(row, "data-moved", same ? null : 1);
  });
}

function makeRow(): HTMLElement {
  return h(
    "div",
    { role: "listitem", class: "change" },
    h("span", { class: "n" }),
    h("span", { class: "p" }, h("span"), h("span", { class: "mut" })),
    h("span", { class: "t", "aria-hidden": "true" }, h("i"), h("u")),
  );
}
