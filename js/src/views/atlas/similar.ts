/** Concepts of other classes that resemble those of this one: both with their crops, how alike, and the way there. */
import type { ConceptMark, Likeness, PageInfo, Similar } from "../../core/atlas_wire";
import { h, icon, on, patchChildren, setAttribute, setText, show } from "../../core/dom";
import { walkWithArrows } from "../../core/roving";
import { makeSegments } from "../concepts/segments";
import { paintTiles, type Sprite } from "../concepts/sprite";
import { makeAbout, makePopover } from "../shared/popover";
import { markConcept } from "./mark";

/** Rows that are shown of all concepts before somebody asks for more. */
const FEW = 8;
/** Between two crops, in pixels of the canvas. */
const GAP = 4;

type Scope = "one" | "all";

const SCOPES: readonly [Scope, string, string][] = [
  ["one", "This concept", "Those that resemble the concept that is selected"],
  ["all", "All concepts", "Those that resemble any concept of this class"],
];

export interface SimilarNow {
  page: PageInfo;
  /** Null while it is looked up. */
  similar: Similar | null;
  /** Concept that is looked at. */
  concept: number | null;
  /** Why a class cannot be opened now; empty if it can. */
  far(id: number): string;
  dark: boolean;
  /** What is said while nothing was looked up. */
  waiting: string;
}

export interface SimilarPanel {
  node: HTMLElement;
  update(now: SimilarNow): void;
}

/**
 * Makes the panel.
 *
 * @param follow - called with the row that a person wants to see
 * @param sprite - decodes the crops
 * @param signal - ends the listening
 */
export function makeSimilar(
  follow: (row: Likeness) => void,
  sprite: Sprite,
  signal: AbortSignal,
): SimilarPanel {
  let scope: Scope = "one";
  let whole = false;
  let now: SimilarNow | null = null;
  let shown: readonly Likeness[] = [];
  const scopes = makeSegments("Similar concepts of", SCOPES, choose, signal);
  const button = h(
    "button",
    {
      class: "icon",
      type: "button",
      "aria-label": "How it is compared",
      "aria-haspopup": "dialog",
      title: "How it is compared",
    },
    icon("info"),
  );
  const about = makeAbout(signal);
  const popover = makePopover(button, "How it is compared", about.node, signal);
  const title = h("h2", {}, "Similar concepts ", h("span", { class: "mut" }, "in other classes"));
  const note = h("p", { class: "sm mut said" });
  const list = h("div", {
    class: "likes",
    role: "group",
    "aria-label": "Similar concepts",
    "data-flow": "list",
  });
  const more = h("button", { class: "link", type: "button", hidden: true });
  const node = h(
    "section",
    { class: "similar", "aria-label": "Similar concepts in other classes" },
    h("div", { class: "bar" }, title, scopes.node, button, popover.node),
    note,
    list,
    more,
  );

  function choose(wanted: Scope): void {
    scope = wanted;
    if (now) update(now);
  }

  on(
    more,
    "click",
    () => {
      whole = !whole;
      if (now) update(now);
    },
    signal,
  );
  on(
    list,
    "click",
    (event) => {
      const key = (event.target as Element).closest<HTMLElement>(".like")?.dataset.key;
      const row = shown.find((each) => keyOf(each) === key);
      if (row) follow(row);
    },
    signal,
  );
  walkWithArrows(list, (target) => stopAt(target), signal);
  on(list, "focusin", (event) => stopAt(event.target as HTMLElement), signal);

  /** Has Tab come back to the row that was left. */
  function stopAt(target: HTMLElement): void {
    const row = target.closest(".like");
    if (!row) return;
    for (const each of list.children) setAttribute(each, "tabindex", each === row ? 0 : -1);
  }

  function update(next: SimilarNow): void {
    if (now && now.page.id !== next.page.id) whole = false;
    now = next;
    const { page, similar, concept, dark, waiting } = next;
    const of = page.concepts.find(({ id }) => id === concept);
    const mine = scope === "one" && of !== undefined;
    const every = similar?.rows.filter(({ here }) => !mine || here === concept) ?? [];
    shown = mine || whole ? every : every.slice(0, FEW);
    scopes.update(mine ? "one" : "all", (value) => value === "all" || of !== undefined);
    setText(note, similar ? noteOf(similar, every.length, mine ? of : undefined) : waiting);
    if (similar) about.update(similar.about, similar.code);
    show(button, similar !== null);
    setText(more, whole ? "Show fewer" : `Show all ${every.length}`);
    show(more, !mine && every.length > FEW);
    const rows = patchChildren(list, shown.map(keyOf), makeRow);
    rows.forEach((row, place) => {
      paintRow(row, shown[place] as Likeness, next, dark);
    });
    if (rows.length && !rows.some((row) => row.getAttribute("tabindex") === "0"))
      setAttribute(rows[0] as Element, "tabindex", 0);
  }

  function paintRow(
    row: HTMLElement,
    like: Likeness,
    { page, similar, far }: SimilarNow,
    dark: boolean,
  ): void {
    const here = page.concepts.find(({ id }) => id === like.here);
    if (!here || !similar) return;
    const find = <T extends Element = HTMLElement>(selector: string) => row.querySelector(selector) as T;
    markConcept(find(".here .dot"), here, dark);
    markConcept(find(".there .dot"), like.there.concept, dark);
    const away = far(like.there.class);
    setText(find(".n"), like.there.name);
    setText(find(".c"), like.there.concept.name);
    setText(find(".w"), like.words);
    show(find(".m"), like.mutual);
    setText(find(".a"), away);
    show(find(".a"), away !== "");
    setAttribute(row, "aria-disabled", away !== "" && "true");
    setAttribute(row, "title", away ? `${like.there.name}: ${away}` : `Go to ${like.there.name}`);
    const bitmap = sprite.get(similar.sprite);
    if (!bitmap) return;
    for (const [selector, tiles] of [
      [".here canvas", similar.tiles[like.here] ?? []],
      [".there canvas", like.tiles],
    ] as const) {
      const { side, columns } = similar;
      const places = tiles.map((at, i) => ({ at, x: i * (side + GAP), y: 0, side }));
      const size = [Math.max(1, tiles.length * (side + GAP) - GAP), side] as const;
      const canvas = find<HTMLCanvasElement>(selector);
      paintTiles(canvas, size, bitmap, side, columns, places);
      canvas.style.setProperty("--tiles", String(Math.max(1, tiles.length)));
    }
  }

  return { node, update };
}

const keyOf = ({ here, there }: Likeness): string => `${here}>${there.class}.${there.concept.id}`;

function noteOf(similar: Similar, found: number, of: ConceptMark | undefined): string {
  if (found) return similar.note;
  const whose = of ? `concept ${of.letter}` : "a concept of this class";
  return similar.rows.length
    ? `No concept of another class resembles ${whose}. ${similar.note}`
    : similar.note;
}

/** What is read between the letters, by whoever does not see that two concepts stand side by side. */
const unseen = (text: string) => h("span", { class: "vh" }, text);

function makeRow(): HTMLElement {
  const crops = (place: string, before: string) =>
    h(
      "span",
      { class: place },
      unseen(before),
      h("span", { class: "dot" }),
      h("canvas", { "aria-hidden": "true" }),
    );
  const name = h("b", { class: "n" });
  return h(
    "button",
    { class: "like", type: "button", tabindex: -1 },
    crops("here", "Concept "),
    crops("there", " resembles concept "),
    h(
      "span",
      { class: "told" },
      h(
        "span",
        { class: "t" },
        h("span", {}, unseen(" of "), name),
        h("span", { class: "c mut" }),
        h("span", { class: "a sm mut", hidden: true }),
      ),
      h("span", { class: "w sm mut" }),
      h("span", { class: "m sm" }, "matched one to one"),
    ),
  );
}
