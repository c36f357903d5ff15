/** Photos that a person drops, pastes or chooses: made small here, read by Python, one after the other. */
import * as wire from "../../../../src/whatwhere/widgets/wire.json";
import { h, on, setAttribute, setText, show } from "../../core/dom";

const { side: MOST_SIDE, bytes: MOST_BYTES } = wire.arriving;
/** A file that is decoded here at all, in MB. */
const MOST_FILE = 60;
/** A small JPEG or PNG of at most so many bytes goes as it is, bit for bit. */
const AS_IT_IS = 3e6;

/** What Python answers. */
type Answer = { kind: string; name?: string; missed?: readonly string[]; message?: string };
type Ask = (name: string, bytes: ArrayBuffer) => Promise<Answer>;

/** Width and height within the largest side, in the same ratio. */
export function fitInside(width: number, height: number, most = MOST_SIDE): [number, number] {
  const scale = Math.min(1, most / Math.max(width, height));
  return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
}

/** What a file is called; a clipboard calls everything "image.png". */
export function nameOf(file: File, pasted: boolean): string {
  return !file.name || (pasted && file.name === "image.png") ? "pasted" : file.name;
}

/**
 * Decodes a file, upright, and makes it small enough to travel.
 *
 * @returns bytes of a JPEG or PNG file
 */
export async function shrink(file: File): Promise<ArrayBuffer> {
  if (file.size > MOST_FILE * 1e6)
    throw new Error(`it has ${Math.round(file.size / 1e6)} MB, and ${MOST_FILE} MB is the most`);
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" }).catch(() => {
    throw new Error("this is no image that the browser can read");
  });
  const [width, height] = fitInside(bitmap.width, bitmap.height);
  const fits = width === bitmap.width && height === bitmap.height && file.size <= AS_IT_IS;
  if (fits && /^image\/(jpeg|png)$/.test(file.type)) {
    bitmap.close();
    return file.arrayBuffer();
  }
  const canvas = h("canvas", { width, height });
  const brush = canvas.getContext("2d");
  if (brush) {
    brush.fillStyle = "#fff"; // under what is transparent, as Python does it
    brush.fillRect(0, 0, width, height);
    brush.imageSmoothingQuality = "high";
    brush.drawImage(bitmap, 0, 0, width, height);
  }
  bitmap.close();
  const write = (type: string) => new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, type, 0.92));
  let blob = file.type === "image/jpeg" ? null : await write("image/png");
  if (!blob || blob.size > AS_IT_IS) blob = await write("image/jpeg");
  if (!blob || blob.size > MOST_BYTES) throw new Error("it stays too large to be sent");
  return blob.arrayBuffer();
}

/** Files one after the other: the first that arrives is shown, and what went wrong is said in the end. */
export class Queue {
  /** What there is to say now. */
  words = "";
  busy = false;
  #waiting: { file: File; name: string }[] = [];

  /**
   * @param ask - sends a photo
   * @param arrived - shows a photo
   * @param changed - called after `words` changed
   * @param prepare - makes the bytes
   */
  constructor(
    private ask: Ask,
    private arrived: (name: string) => void,
    private changed: () => void,
    private prepare: (file: File) => Promise<ArrayBuffer> = shrink,
  ) {}

  /** Takes in files; never rejects. */
  async take(files: Iterable<File>, pasted = false): Promise<void> {
    for (const file of files) this.#waiting.push({ file, name: nameOf(file, pasted) });
    if (this.busy) return;
    this.busy = true;
    const names: string[] = [];
    const troubles: string[] = [];
    /** Why views beside this one cannot take them in. */
    const missed = new Set<string>();
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
      const { file, name } = next;
      this.#say(`Adding ${name}${this.#waiting.length ? `, ${this.#waiting.length} more` : ""} …`);
      try {
        const answer = await this.ask(name, await this.prepare(file));
        if (answer.kind !== "added") troubles.push(answer.message ?? "");
        else if (names.push(answer.name ?? "") === 1) this.arrived(names[0] as string);
        for (const why of answer.missed ?? []) missed.add(`Not in a linked view: ${why}`);
      } catch (error) {
        troubles.push(`${name}: ${(error as Error).message}.`);
      }
    }
    this.busy = false;
    this.#say(
      [names.length ? `Added ${names.join(", ")}.` : "", ...missed, ...troubles].filter(Boolean).join(" "),
    );
  }

  #say(words: string): void {
    this.words = words;
    this.changed();
  }
}

interface Line {
  readonly state: string;
  readonly reachable: boolean;
  ask(kind: "photo", body: { name: string }, buffers: ArrayBuffer[]): Promise<unknown>;
}

interface Context {
  kernel: Line;
  act: { selectImage(name: string): void; redraw(): void };
  signal: AbortSignal;
}

export interface Arriving {
  /** The button, and what is said. */
  node: HTMLElement;
  /** What is seen while a file is over the view. */
  target: HTMLElement;
  /** Listens for files that are dropped on a view, or pasted into it. */
  follow(root: HTMLElement): void;
  /** `reason`: why no photo can be added, or nothing. */
  update(reason: string): void;
}

/** Makes the button, the drop target and what they say. */
export function makeArriving({ kernel, act, signal }: Context): Arriving {
  const input = h("input", { type: "file", accept: "image/*", multiple: true, hidden: true });
  const button = h("button", { class: "link sm", type: "button" }, "Add a photo");
  const words = h("p", { class: "sm mut added", role: "status", hidden: true });
  const over = h("p");
  const target = h("div", { class: "drop", "aria-hidden": "true", hidden: true }, over);
  const ask: Ask = (name, bytes) => kernel.ask("photo", { name }, [bytes]) as Promise<Answer>;
  const queue = new Queue(
    ask,
    (name) => act.selectImage(name),
    () => act.redraw(),
  );
  let reason = "";

  /** Takes files, if that can be; without any, there is nothing to do. */
  const take = (files: Iterable<File>, pasted = false) => {
    if (!reason) return void queue.take([...files], pasted);
    queue.words = reason;
    act.redraw();
  };
  on(button, "click", () => input.click(), signal);
  on(
    input,
    "change",
    () => {
      take([...(input.files ?? [])]);
      input.value = ""; // the same file can be chosen again
    },
    signal,
  );

  function follow(root: HTMLElement): void {
    const holds = (data: DataTransfer | null) => data?.types.includes("Files");
    for (const type of ["dragover", "drop"] as const)
      on(
        root,
        type,
        (event) => {
          const data = event.dataTransfer;
          if (!data || !holds(data)) return;
          event.preventDefault(); // the browser would leave the page for the file
          event.stopPropagation();
          const files = [...data.items].filter(({ kind }) => kind === "file");
          const wrong = files.length > 0 && files.every(({ type }) => type && !type.startsWith("image/"));
          data.dropEffect = reason || wrong ? "none" : "copy";
          setText(over, reason || (wrong ? "Only photos can be added" : "Drop to add"));
          show(target, type === "dragover");
          if (type === "drop") take(data.files);
        },
        signal,
      );
    on(
      root,
      "dragleave",
      (event) => {
        if (!root.contains(event.relatedTarget as Node | null)) show(target, false);
      },
      signal,
    );
    on(
      root,
      "paste",
      (event) => {
        const files = event.clipboardData?.files;
        if (!files?.length) return;
        event.preventDefault();
        event.stopPropagation();
        take(files, true);
      },
      signal,
    );
  }

  return {
    node: h("div", { class: "adding" }, button, input, words),
    target,
    follow,
    update(why) {
      reason = why;
      button.disabled = why !== "";
      setAttribute(button, "title", why || "Or drop it on the view, or paste it");
      show(button, kernel.state !== "saved");
      const told = queue.busy && !kernel.reachable ? `${queue.words} ${why}` : queue.words;
      setText(words, told);
      show(words, told !== "");
    },
  };
}
