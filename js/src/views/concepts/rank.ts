/** How many concepts: dragging says a number, letting go asks for as many. */
import { h, on, setAttribute, setText, show } from "../../core/dom";
import { debounce } from "../../core/timing";
import type { Context, Part } from "./context";
import { kernelWords, rankWords } from "./words";

/** Time after the last move, by hand or by key, until the concepts are asked for, in milliseconds. */
const ASK_AFTER = 600;

/** Makes the slider; it hides itself in a saved page. */
export function makeRank({ model, kernel, state, act, signal }: Context): Part {
  const input = h("input", { type: "range", min: 1, step: 1, "aria-describedby": "ww-rank" });
  const output = h("output");
  const words = h("p", { class: "sm mut", role: "status", id: "ww-rank" });
  const label = h("label", { class: "sl" }, h("span", { class: "mut" }, "Number of concepts"), input, output);
  const node = h("div", { class: "rank" }, label, words);
  /** The number under the hand. */
  let draft: number | null = null;
  const ask = debounce(
    () => {
      const wanted = draft;
      draft = null;
      if (wanted !== null && !signal.aborted) act.setRank(wanted);
      act.redraw();
    },
    ASK_AFTER,
    signal,
  );
  on(
    input,
    "input",
    () => {
      draft = Number(input.value);
      setText(output, input.value);
      act.redraw();
    },
    signal,
  );
  on(input, "change", ask, signal);
  return {
    node,
    update({ bank }) {
      const given = model.get("_model");
      show(node, bank !== null && kernel.state !== "saved");
      if (!bank) return;
      const reason = given?.rank || kernelWords(kernel);
      const most = Math.max(given?.most ?? 0, bank.ids.length);
      const value = draft ?? state.rank ?? bank.ids.length;
      setAttribute(input, "max", most);
      if (Number(input.value) !== value) input.value = String(value);
      input.style.setProperty("--v", `${(100 * (value - 1)) / Math.max(1, most - 1)}%`);
      input.disabled = reason !== "" || most < 2;
      setText(output, String(value));
      setText(words, reason || rankWords(bank.ids.length, state.rank, most));
    },
  };
}
