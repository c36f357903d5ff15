/** Photos, decoded from their bytes without `img` or `fetch`, which some hosts forbid. */

export interface Picture {
  bitmap: ImageBitmap;
  /** The same with little colour, so that hue means the map. */
  muted: HTMLCanvasElement;
}

/** Decodes a JPEG. */
export async function decodePicture(bytes: DataView): Promise<Picture> {
  const copy = new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength).slice();
  const bitmap = await createImageBitmap(new Blob([copy], { type: "image/jpeg" }));
  return { bitmap, muted: mute(bitmap) };
}

/** What holds photos. */
interface Holder {
  get(name: "_photos"): DataView[] | undefined;
}

export class PhotoStore {
  #model: Holder;
  #signal: AbortSignal;
  #ready: () => void;
  /** Decoded, or under way (null), by their bytes. */
  #pictures = new Map<DataView, Picture | null>();

  /**
   * @param model - holds `_photos`
   * @param signal - gives the memory back
   * @param ready - called when a photo can be drawn
   */
  constructor(model: Holder, signal: AbortSignal, ready: () => void) {
    this.#model = model;
    this.#signal = signal;
    this.#ready = ready;
    signal.addEventListener("abort", () => this.#clear(), { once: true });
  }

  /** The photo at a place, or null until it is decoded. */
  get(place: number): Picture | null {
    return this.of(this.#model.get("_photos")?.[place]);
  }

  /** The photo of these bytes, or null until it is decoded. */
  of(bytes: DataView | undefined): Picture | null {
    if (!bytes) return null;
    const known = this.#pictures.get(bytes);
    if (known === undefined) {
      this.#pictures.set(bytes, null);
      this.#decode(bytes).catch((error) => console.warn("[whatwhere] a photo cannot be read", error));
    }
    return known ?? null;
  }

  async #decode(bytes: DataView): Promise<void> {
    const picture = await decodePicture(bytes);
    if (this.#signal.aborted) {
      picture.bitmap.close();
      return;
    }
    this.#pictures.set(bytes, picture);
    this.#ready();
  }

  #clear(): void {
    for (const picture of this.#pictures.values()) picture?.bitmap.close();
    this.#pictures.clear();
  }
}

/** Takes most of the colour, and a little light, from a photo. */
function mute(bitmap: ImageBitmap): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  if (!brush) return canvas;
  brush.drawImage(bitmap, 0, 0);
  const image = brush.getImageData(0, 0, canvas.width, canvas.height);
  const { data } = image;
  for (let i = 0; i < data.length; i += 4) {
    const [r, g, b] = [data[i] as number, data[i + 1] as number, data[i + 2] as number];
    const grey = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    data[i] = quieten(r, grey);
    data[i + 1] = quieten(g, grey);
    data[i + 2] = quieten(b, grey);
  }
  brush.putImageData(image, 0, 0);
  return canvas;
}

function quieten(channel: number, grey: number): number {
  return (grey + 0.2 * (channel - grey)) * 0.865 + 6;
}
