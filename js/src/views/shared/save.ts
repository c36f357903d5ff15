/** Saving what is seen as a picture: the photo as it is drawn, what its colours stand for, and what it shows in words. */
import { h, on, setText } from "../../core/dom";
import { decodePicture, type Picture } from "./photos";

type Brush = CanvasRenderingContext2D;

export interface LegendLine {
  /** A concept's letter, hue, and ink on it. */
  mark?: { letter: string; hue: string; ink: string };
  low: string;
  high: string;
  /** Fills a box with the colours from low to high. */
  ramp(brush: Brush, x: number, y: number, width: number, height: number): void;
}

/** What is seen of a photo. */
export interface Snapshot {
  /** The photo's name. */
  image: string;
  /** Of the photo, in its own pixels, and its width on the page. */
  width: number;
  height: number;
  shown: number;
  /**
   * Paints it, with what lies over it, on a canvas of its own.
   *
   * @param brush - of the canvas
   * @param scale - pixels of the canvas for one of the page
   * @param whole - the photo at its own size, where Python gave it
   */
  paint(brush: Brush, scale: number, whole: Picture | null): void;
  legend: LegendLine[];
  /** What is shown, and then how it was made. */
  lines: string[];
  /** Parts of the file's name. */
  name: string[];
}

/** Longer side of the photo in the picture, in pixels: smaller ones are enlarged so that the words can be read. */
const [LEAST, MOST] = [640, 2048];
/** Width of a photo under which words have the page's own size. */
const WORDS = 600;
const RAMP_GROUND = "#8a8984";
export const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";

/** A name for a file, of letters, digits, dots and dashes. */
export function fileName(parts: readonly string[]): string {
  const plain = parts.map((part) => part.replace(/[^\p{L}\p{N}.]+/gu, "-").replace(/^[-.]+|[-.]+$/g, ""));
  return `${plain.filter(Boolean).join("_").slice(0, 120)}.png`;
}

/** Breaks a text into lines no wider than there is room. */
export function breakLines(text: string, room: number, measure: (text: string) => number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const longer = `${lines.at(-1)} ${word}`;
    if (lines.length && measure(longer) <= room) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

/** Size of the photo in the picture, and pixels for one of the page. */
export function sizeOf({ width, height, shown }: Snapshot): { width: number; height: number; scale: number } {
  const longer = Math.max(width, height);
  const zoom = Math.max(LEAST, Math.min(MOST, longer)) / longer;
  return {
    width: Math.round(width * zoom),
    height: Math.round(height * zoom),
    scale: (width * zoom) / Math.max(1, shown),
  };
}

function makeCanvas(width: number, height: number): [HTMLCanvasElement, Brush] {
  const canvas = h("canvas", { width: Math.round(width), height: Math.round(height) });
  const brush = canvas.getContext("2d");
  if (!brush) throw new Error("this page has no canvas");
  return [canvas, brush];
}

/** Draws photo, legend and words, in the view's own colours. */
function compose(snapshot: Snapshot, whole: Picture | null, root: Element): HTMLCanvasElement {
  const { width, height, scale } = sizeOf(snapshot);
  const [photo, brush] = makeCanvas(width, height);
  snapshot.paint(brush, scale, whole);
  const style = getComputedStyle(root);
  const color = (name: string) => style.getPropertyValue(name).trim();
  const unit = width / WORDS; // one pixel of the page, for words
  const [pad, row] = [16 * unit, 20 * unit];
  const font = (bold: boolean) => `${bold ? 600 : 400} ${13 * unit}px ${FONT}`;
  const words = snapshot.lines.flatMap((text, i) => {
    brush.font = font(i === 0);
    const lines = breakLines(text, width, (part) => brush.measureText(part).width);
    return lines.map((line) => ({ line, bold: i === 0 }));
  });
  const below = snapshot.legend.length * row + words.length * row + (snapshot.legend.length ? pad / 2 : 0);
  const [page, pen] = makeCanvas(width + 2 * pad, height + below + 2.5 * pad);
  pen.fillStyle = color("--bg");
  pen.fillRect(0, 0, page.width, page.height);
  pen.drawImage(photo, pad, pad);
  pen.textBaseline = "middle";
  let y = pad + height + pad / 2 + row / 2;
  for (const line of snapshot.legend) {
    paintLegend(pen, line, pad, y, width, unit, color("--ink2"));
    y += row;
  }
  if (snapshot.legend.length) y += pad / 2;
  pen.textAlign = "left";
  for (const { line, bold } of words) {
    pen.font = font(bold);
    pen.fillStyle = color(bold ? "--ink" : "--ink2");
    pen.fillText(line, pad, y);
    y += row;
  }
  return page;
}

function paintLegend(
  pen: Brush,
  line: LegendLine,
  x: number,
  y: number,
  width: number,
  unit: number,
  ink: string,
): void {
  let left = x;
  if (line.mark) {
    const radius = 8 * unit;
    pen.beginPath();
    pen.arc(left + radius, y, radius, 0, 2 * Math.PI);
    pen.fillStyle = line.mark.hue;
    pen.fill();
    pen.font = `600 ${11 * unit}px ${FONT}`;
    pen.textAlign = "center";
    pen.fillStyle = line.mark.ink;
    pen.fillText(line.mark.letter, left + radius, y + 0.5 * unit);
    left += 24 * unit;
  }
  pen.font = `400 ${12 * unit}px ${FONT}`;
  pen.textAlign = "left";
  pen.fillStyle = ink;
  pen.fillText(line.low, left, y);
  left += pen.measureText(line.low).width + 8 * unit;
  const right = x + width - pen.measureText(line.high).width;
  pen.fillText(line.high, right, y);
  const room = Math.max(0, right - 8 * unit - left);
  pen.fillStyle = RAMP_GROUND;
  pen.fillRect(left, y - 4 * unit, room, 8 * unit);
  line.ramp(pen, left, y - 4 * unit, room, 8 * unit);
}

function toBlob(canvas: HTMLCanvasElement): Promise<Blob> {
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("the picture is empty"))), "image/png"),
  );
}

/** Time that the photo at its own size may take, in milliseconds; after it the smaller one of the page is saved. */
const WHOLE_WITHIN = 4_000;

/** What answers messages. */
interface Asked {
  readonly reachable: boolean;
  ask(kind: "full", body: { image: string }): Promise<{ kind: string; buffers?: DataView[] }>;
}

/** Asks Python for a photo at its own size; null where nobody answers, in an exported page for one. */
async function askWhole(kernel: Asked, image: string): Promise<Picture | null> {
  if (!kernel.reachable) return null;
  const late = new Promise<null>((resolve) => setTimeout(resolve, WHOLE_WITHIN, null));
  const reply = await Promise.race([kernel.ask("full", { image }), late]);
  const bytes = reply?.buffers?.[0];
  return reply?.kind === "full" && bytes ? decodePicture(bytes) : null;
}

function download(blob: Blob, name: string, near: HTMLElement): void {
  const address = URL.createObjectURL(blob);
  const link = h("a", { href: address, download: name, hidden: true });
  near.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60_000); // once the browser has read it
}

export interface Saver {
  node: HTMLElement;
  save(): Promise<void>;
  copy(): Promise<void>;
}

/**
 * Makes two buttons, and says what came of them.
 *
 * @param take - what is seen now, or null if nothing is
 * @param kernel - may have the photo at its own size
 * @param signal - ends the listening
 */
export function makeSaver(take: () => Snapshot | null, kernel: Asked, signal: AbortSignal): Saver {
  const saving = h(
    "button",
    { class: "link", type: "button", title: "Photo, legend and caption as a PNG (S)" },
    "Save picture",
  );
  const copying = h(
    "button",
    { class: "link", type: "button", title: "Copies the same picture (C)" },
    "Copy",
  );
  const words = h("span", { class: "sm mut", role: "status" });
  const node = h("div", { class: "saver" }, saving, copying, words);

  async function run(
    told: string,
    failed: string,
    use: (made: Promise<Blob>, name: string) => unknown,
  ): Promise<void> {
    const root = node.closest(".ww");
    const snapshot = take();
    if (!root || !snapshot) return setText(words, "There is no photo to save.");
    const name = fileName(snapshot.name);
    const make = async () => {
      const whole = await askWhole(kernel, snapshot.image);
      const made = await toBlob(compose(snapshot, whole, root));
      whole?.bitmap.close();
      return made;
    };
    const made = make();
    made.catch(() => undefined); // told below, also where nobody waits for it
    try {
      await use(made, name);
      setText(words, told.replace("…", name));
    } catch (error) {
      console.debug("[whatwhere] a picture cannot be kept", error);
      setText(words, failed);
    }
  }
  const save = () =>
    run("Saved as …", "This page cannot make pictures.", async (made, name) =>
      download(await made, name, node),
    );
  const copy = () =>
    // the item is made at once, while the press still counts; the picture may come later
    run("Copied", "This page may not copy pictures: save it instead.", (made) =>
      navigator.clipboard.write([new ClipboardItem({ "image/png": made })]),
    );
  on(saving, "click", () => void save(), signal);
  on(copying, "click", () => void copy(), signal);
  return { node, save, copy };
}

/** S saves the picture that has the focus, C copies it. */
export function followSaveKeys(frame: HTMLElement, saver: Saver, signal: AbortSignal): void {
  on(
    frame,
    "keydown",
    (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const run = { s: saver.save, c: saver.copy }[event.key.toLowerCase()];
      if (!run) return;
      event.preventDefault();
      void run();
    },
    signal,
  );
}
