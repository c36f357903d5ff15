/** A strip of thumbnails: a button a photo, painted while it is in sight, so that there may be hundreds. */
import { h, on, patchChildren, setAttribute, setText, show } from "../../core/dom";
import type { KernelState } from "../../core/kernel";
import { walkWithArrows } from "../../core/roving";
import type { StripInfo } from "../../core/wire";
import { paintThumbnail } from "./canvas";
import type { Gallery } from "./gallery";
import { decodeJpeg } from "./jpeg";

/** Side of a thumbnail's canvas, in its own pixels. */
const SIDE = 160;
/** How far out of sight photos are asked for. */
const AHEAD = "240px";

/** What is known of a photo. */
export interface Thumb {
  name: string;
  label: string;
  /** What is read when the pointer rests on it. */
  title?: string;
  /** Null if the page does not hold it, or has not decoded it. */
  bitmap: ImageBitmap | null;
}

/** What the strip is to show now. */
export interface StripNow {
  strip: StripInfo | undefined;
  /** Places of the photos that the page holds. */
  held: ReadonlySet<number>;
  /** Place of the photo that is shown. */
  here: number;
  /** Null of a photo that has not arrived. */
  describe(place: number): Thumb | null;
  /** What else there is on a button. */
  dress(button: HTMLElement, place: number): void;
}

export interface Thumbnails {
  group: HTMLElement;
  /** Says how many photos need the kernel. */
  more: HTMLElement;
  update(now: StripNow): void;
}

interface Context {
  kernel: { readonly state: KernelState };
  act: { selectImage(name: string): void };
  signal: AbortSignal;
}

/**
 * Makes a strip.
 *
 * @param context - the view's
 * @param gallery - photos that the page does not hold
 * @param label - what the group is called
 * @param badge - makes what lies on a thumbnail
 */
export function makeThumbnails<Info>(
  { kernel, act, signal }: Context,
  gallery: Gallery<Info>,
  label: string,
  badge: () => HTMLElement,
): Thumbnails {
  const group = h("div", { class: "strip", role: "radiogroup", "aria-label": label });
  const more = h("p", { class: "mut sm beyond", role: "status", hidden: true });
  const inSight = new Set<Element>();
  /** What lies on each canvas: a bitmap of the page, or the bytes of one that arrived. */
  const painted = new WeakMap<HTMLCanvasElement, ImageBitmap | DataView>();
  let buttons: HTMLElement[] = [];
  let listed = "";
  let now: StripNow | null = null;
  let shownLast = -1;
  /** Place that was chosen before it arrived. */
  let awaited = -1;

  const observer = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) {
        if (isIntersecting) inSight.add(target);
        else leave(target as HTMLElement);
      }
      arrive();
    },
    { root: group, rootMargin: AHEAD },
  );
  signal.addEventListener("abort", () => observer.disconnect(), { once: true });

  const choose = (button: HTMLElement | null) => {
    awaited = -1;
    if (!button || button.getAttribute("aria-disabled") === "true") return;
    const place = placeOf(button);
    const name = now?.describe(place)?.name;
    if (name === undefined) awaited = place;
    else act.selectImage(name);
  };
  walkWithArrows(group, choose, signal);
  on(group, "click", (event) => choose((event.target as Element).closest<HTMLElement>("[data-key]")), signal);

  const make = () => {
    const button = h(
      "button",
      { type: "button", role: "radio" },
      h("canvas", { "aria-hidden": "true" }),
      badge(),
    );
    observer.observe(button);
    return button;
  };

  /** Gives the memory of a thumbnail back that can be painted again. */
  function leave(button: HTMLElement): void {
    inSight.delete(button);
    const canvas = canvasOf(button);
    if (!(painted.get(canvas) instanceof DataView)) return;
    painted.delete(canvas);
    canvas.width = canvas.height = 0;
  }

  /** Paints what is in sight, and asks for what is missing of it. */
  function arrive(): void {
    const missing: number[] = [];
    for (const button of buttons) {
      if (!inSight.has(button) || now?.held.has(placeOf(button))) continue;
      const tile = gallery.get(placeOf(button));
      if (!tile) missing.push(placeOf(button));
      else if (tile.bytes) paintBytes(canvasOf(button), tile.bytes);
    }
    gallery.want(missing);
  }

  function paintBytes(canvas: HTMLCanvasElement, bytes: DataView): void {
    if (painted.get(canvas) === bytes) return;
    painted.set(canvas, bytes);
    decodeJpeg(bytes)
      .then((bitmap) => {
        if (!signal.aborted && painted.get(canvas) === bytes) paintThumbnail(canvas, bitmap, SIDE);
        bitmap.close();
      })
      .catch((error) => console.warn("[whatwhere] a photo cannot be read", error));
  }

  function paintHeld(canvas: HTMLCanvasElement, bitmap: ImageBitmap | null): void {
    if (!bitmap || painted.get(canvas) === bitmap) return;
    paintThumbnail(canvas, bitmap, SIDE);
    painted.set(canvas, bitmap);
  }

  function list({ strip, held }: StripNow): void {
    const total = strip?.total ?? 0;
    const alive = kernel.state === "alive" || gallery.started;
    const all = alive ? Array.from({ length: total }, (_, place) => place) : [];
    const keys = [...new Set([...all, ...held])].sort((a, b) => a - b).map(String);
    const lacking = total - [...held].filter((place) => place < total).length;
    const silent = kernel.state === "silent" || kernel.state === "saved";
    show(more, silent && lacking > 0);
    setText(more, `${lacking} more ${lacking === 1 ? "photo needs" : "photos need"} the kernel`);
    const key = keys.join();
    if (key === listed) return;
    listed = key;
    const before = buttons;
    buttons = patchChildren(group, keys, make);
    const stays = new Set(buttons);
    for (const button of before) if (!stays.has(button)) inSight.delete(button);
  }

  /** Brings the photo that is shown into sight, without moving the page. */
  function follow(here: number): void {
    const button = buttons.find((each) => placeOf(each) === here);
    if (!button || here === shownLast) return;
    shownLast = here;
    const [mine, box] = [button.getBoundingClientRect(), group.getBoundingClientRect()];
    if (mine.top < box.top) group.scrollTop -= box.top - mine.top + 6;
    if (mine.bottom > box.bottom) group.scrollTop += mine.bottom - box.bottom + 6;
  }

  function patch(button: HTMLElement, next: StripNow, stop: number): void {
    const place = placeOf(button);
    const thumb = next.describe(place);
    const text = thumb?.label ?? `Photo ${place + 1}`;
    setAttribute(button, "aria-checked", place === next.here ? "true" : "false");
    setAttribute(button, "tabindex", place === stop ? 0 : -1);
    setAttribute(button, "aria-label", text);
    setAttribute(button, "title", thumb?.title ?? text);
    const held = next.held.has(place);
    setAttribute(button, "aria-disabled", !held && kernel.state !== "alive" ? "true" : null);
    if (held) paintHeld(canvasOf(button), thumb?.bitmap ?? null);
    next.dress(button, place);
  }

  return {
    group,
    more,
    update(next) {
      now = next;
      gallery.follow(next.strip);
      list(next);
      const stop = buttons.some((each) => placeOf(each) === next.here)
        ? next.here
        : buttons[0]
          ? placeOf(buttons[0])
          : -1;
      for (const button of buttons) patch(button, next, stop);
      follow(next.here);
      arrive();
      const waiting = awaited < 0 ? undefined : buttons.find((each) => placeOf(each) === awaited);
      if (!waiting || !next.describe(awaited)) return;
      const { activeElement } = group.getRootNode() as ShadowRoot;
      if (activeElement === waiting) choose(waiting);
      else awaited = -1;
    },
  };
}

function placeOf(button: Element): number {
  return Number((button as HTMLElement).dataset.key);
}

function canvasOf(button: Element): HTMLCanvasElement {
  return button.firstElementChild as HTMLCanvasElement;
}
