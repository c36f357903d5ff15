/** Splitting a concept into its parts at an earlier layer, by the network. */

import { decodeBase64 } from "../../core/bytes";
import type { Part as ConceptPart } from "../../core/concept_wire";
import { h, on, setAttribute, setText, show } from "../../core/dom";
import { percent } from "../../core/format";
import { decodeJpeg } from "../shared/jpeg";
import type { Context, Part } from "./context";
import { APART_FIRST, kernelWords, partsWords, SPLITTING } from "./words";

/** Crops of a part that are shown. */
const CROPS = 4;

/** Makes the offer, and the parts once they are there. */
export function makeSplit({ model, kernel, signal }: Context): Part {
  const button = h("button", { class: "link sm", type: "button" }, "Split into parts");
  const words = h("span", { class: "sm mut", role: "status" });
  const parts = h("div", { class: "parts", role: "list" });
  const node = h("div", { class: "split" }, h("p", { class: "ifrow" }, button, words), parts);
  const known = new Map<number, { rows: HTMLElement[]; words: string }>();
  let id: number | null = null;

  async function split(concept: number): Promise<void> {
    known.set(concept, { rows: [], words: SPLITTING });
    tell();
    const reply = await kernel.ask("split", { concept });
    if (signal.aborted) return;
    if (reply.kind === "refused") known.set(concept, { rows: [], words: reply.message });
    if (reply.kind === "split") {
      known.set(concept, {
        rows: reply.concepts.map(showPart),
        words: partsWords(reply.layer, reply.caveats),
      });
    }
    tell();
  }
  on(button, "click", () => id !== null && void split(id), signal);

  function tell(): void {
    const told = id === null ? undefined : known.get(id);
    parts.replaceChildren(...(told?.rows ?? []));
    show(parts, Boolean(told?.rows.length));
    show(button, !told);
    setText(words, told?.words ?? "");
  }

  return {
    node,
    update({ opened, bank }) {
      const given = model.get("_model");
      show(node, kernel.state !== "saved" && Boolean(bank?.complete) && opened !== null && !opened.dead);
      const many = opened !== null && opened.parts.length > 1;
      const reason = many ? APART_FIRST : given?.split || given?.reason || kernelWords(kernel);
      button.disabled = reason !== "";
      setAttribute(button, "title", reason || "Finds what it is made of at an earlier layer");
      if (opened && opened.id !== id) {
        id = opened.id;
        tell();
      }
    },
  };
}

function showPart(part: ConceptPart): HTMLElement {
  const crops = part.crops.slice(0, CROPS).map(() => h("canvas", { "aria-hidden": "true" }));
  decodeJpeg(decodeBase64(part.sprite))
    .then((bitmap) => {
      crops.forEach((canvas, i) => {
        const side = part.sprite_side;
        canvas.width = canvas.height = side;
        canvas.getContext("2d")?.drawImage(bitmap, i * side, 0, side, side, 0, 0, side, side);
      });
      bitmap.close();
    })
    .catch((error) => console.warn("[whatwhere] the crops of a part cannot be read", error));
  return h(
    "div",
    { class: "part", role: "listitem" },
    h("span", { class: "partcrops" }, ...crops),
    h("span", { class: "sm" }, h("b", {}, part.letter), ` ${percent(part.importance)}`),
  );
}
