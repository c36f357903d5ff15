/** What the model sees: the heading of the cards with how they were made, and how far they can be trusted. */
import { h, icon, setAttribute, setText, show } from "../../core/dom";
import { makeAbout, makePopover } from "../shared/popover";
import type { Context, Part } from "./context";
import { qualityWords, targetWords } from "./words";

const TITLE = "How these concepts were made";

/** Makes the heading. */
export function makeHeading({ model, signal }: Context, kinds: Part): Part {
  const name = h("span", { class: "mut" });
  const info = h(
    "button",
    { class: "icon", type: "button", "aria-label": TITLE, "aria-haspopup": "dialog", title: TITLE },
    icon("info"),
  );
  const about = makeAbout(signal);
  const popover = makePopover(info, TITLE, about.node, signal);
  const node = h("div", { class: "heading bar" }, h("h2", {}, "What ", name), kinds.node, info, popover.node);
  return {
    node,
    update(shown) {
      const { bank } = shown;
      kinds.update(shown);
      const target = targetWords(model.get("_target"));
      setText(name, target ? `the model sees in ${target}` : "the model sees");
      show(info, bank !== null);
      if (!bank) return;
      const cautions = bank.caveats.map((text): [string, string] => ["Caution", text]);
      about.update([...bank.about, ...cautions], bank.code);
    },
  };
}

/** Makes the line under the cards. */
export function makeQuality(): Part {
  const words = h("span");
  const caution = h("span", { class: "caution" });
  const more = h("span");
  const node = h("p", { class: "quality sm mut" }, words, " ", caution, more);
  return {
    node,
    update({ bank }) {
      show(node, bank !== null);
      if (!bank) return;
      setText(words, `${qualityWords(bank)}.`);
      const [first, ...others] = bank.caveats;
      setText(caution, first ?? "");
      setText(more, others.length ? ` And ${others.length} more under “How these concepts were made”.` : "");
      setAttribute(node, "title", others.join(" ") || null);
    },
  };
}
