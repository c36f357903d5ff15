/** Pictures, decoded from their bytes without `img` or `fetch`, which some hosts forbid. */

/** Decoded pictures that are kept at most. */
const KEPT = 96;

/** Kind of a picture, by its first bytes. */
export function kindOf(bytes: DataView): string {
  const first = bytes.byteLength > 3 ? bytes.getUint32(0) : 0;
  if (first === 0x52494646) return "image/webp";
  return first === 0x89504e47 ? "image/png" : "image/jpeg";
}

export class Bitmaps {
  #signal: AbortSignal;
  #ready: () => void;
  /** Decoded, or under way (null), by their bytes; those used last at the end. */
  #known = new Map<DataView, ImageBitmap | null>();

  /**
   * @param signal - gives the memory back
   * @param ready - called when a picture can be drawn
   */
  constructor(signal: AbortSignal, ready: () => void) {
    this.#signal = signal;
    this.#ready = ready;
    signal.addEventListener(
      "abort",
      () => {
        for (const bitmap of this.#known.values()) bitmap?.close();
        this.#known.clear();
      },
      { once: true },
    );
  }

  /** The picture of these bytes, or null until it is decoded. */
  get(bytes: DataView | undefined): ImageBitmap | null {
    if (!bytes || bytes.byteLength === 0) return null;
    const known = this.#known.get(bytes);
    if (known === undefined) {
      this.#known.set(bytes, null);
      this.#decode(bytes).catch((error) => console.warn("[whatwhere] a picture cannot be read", error));
      return null;
    }
    this.#known.delete(bytes);
    this.#known.set(bytes, known);
    return known;
  }

  async #decode(bytes: DataView): Promise<void> {
    const copy = new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength).slice();
    const bitmap = await createImageBitmap(new Blob([copy], { type: kindOf(bytes) }));
    if (this.#signal.aborted) {
      bitmap.close();
      return;
    }
    this.#known.set(bytes, bitmap);
    for (const [old, each] of this.#known) {
      if (this.#known.size <= KEPT) break;
      if (each === null) continue;
      each.close();
      this.#known.delete(old);
    }
    this.#ready();
  }
}
