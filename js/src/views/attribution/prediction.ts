/** The most probable classes, one of which is explained. */
import { h, on, patchChildren, setAttribute, setText, show } from "../../core/dom";
import { percent } from "../../core/format";
import { walkWithArrows } from "../../core/roving";
import type { Context, Part } from "./context";
import { makeOther } from "./other";

/** Makes the list. */
export function makePrediction(context: Context): Part {
  const { act, model, signal } = context;
  const follow = h(
    "button",
    { class: "link sm", type: "button", title: "Explain the predicted class of each photo" },
    "Follow",
  );
  const group = h("div", {
    class: "pred",
    role: "radiogroup",
    "aria-label": "Class to explain",
    "data-flow": "list",
  });
  const blank = h("p", { class: "mut sm blank" }, "Known once the model has seen the photo.");
  const other = makeOther(context);
  const node = h(
    "section",
    { class: "prediction" },
    h("div", { class: "bar" }, h("h2", {}, "Prediction"), follow),
    group,
    blank,
    other.node,
  );

  walkWithArrows(group, (button) => act.selectClass(Number(button.dataset.key)), signal);
  on(
    group,
    "click",
    (event) => {
      const button = (event.target as Element).closest<HTMLElement>("[data-key]");
      if (button) act.selectClass(Number(button.dataset.key));
    },
    signal,
  );
  on(
    follow,
    "click",
    () => {
      act.selectClass(null);
      group.querySelector<HTMLElement>('[tabindex="0"]')?.focus();
    },
    signal,
  );

  return {
    node,
    update(shown, panels) {
      const classes = shown.map?.classes ?? [];
      const keys = classes.map(({ id }) => String(id));
      const buttons = patchChildren(group, keys, makeRow);
      const stop = Math.max(
        0,
        classes.findIndex(({ id }) => id === shown.classId),
      );
      buttons.forEach((button, place) => {
        const each = classes[place];
        if (!each) return;
        const [line, track] = button.children as unknown as [HTMLElement, HTMLElement];
        setText(line.firstElementChild as Element, each.name);
        setText(line.lastElementChild as Element, percent(each.p));
        (track.firstElementChild as HTMLElement).style.width = `${Math.max(0.8, 100 * each.p)}%`;
        setAttribute(button, "aria-checked", each.id === shown.classId ? "true" : "false");
        setAttribute(button, "tabindex", place === stop ? 0 : -1);
        setAttribute(button, "title", each.name);
      });
      show(group, classes.length > 0);
      show(blank, classes.length === 0);
      follow.style.visibility = model.get("selected_class") === null || !shown.map ? "hidden" : "visible";
      other.update(shown, panels);
    },
  };
}

function makeRow(): HTMLElement {
  return h(
    "button",
    { type: "button", role: "radio" },
    h("span", { class: "r" }, h("span", { class: "n" }), h("span", { class: "p" })),
    h("span", { class: "t" }, h("i")),
  );
}
