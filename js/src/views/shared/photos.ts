/** Photos, decoded once. */
import type { AnyModel } from "../../core/model";
import { decodeJpeg } from "./jpeg";

export interface Picture {
  bitmap: ImageBitmap;
  /** The same with little colour, so that hue means the map. */
  muted: HTMLCanvasElement;
}

/** Decodes a JPEG. */
export async function decodePicture(bytes: DataView): Promise<Picture> {
  const bitmap = await decodeJpeg(bytes);
  return { bitmap, muted: mute(bitmap) };
}

/** What holds photos. */
type Holder = Pick<AnyModel, "get">;

export class PhotoStore {
  #model: Holder;
  #signal: AbortSignal;
  #ready: () => void;
  #spare: (place: number) => DataView | null | undefined;
  /** Decoded, or under way (null), by their bytes. */
  #pictures = new Map<DataView, Picture | null>();

  /**
   * @param model - holds `_photos`, `_large` and `_images`
   * @param signal - gives the memory back
   * @param ready - called when a photo can be drawn
   * @param spare - what else there is of a photo that the model does not hold
   */
  constructor(
    model: Holder,
    signal: AbortSignal,
    ready: () => void,
    spare: (place: number) => DataView | null | undefined = () => null,
  ) {
    this.#model = model;
    this.#signal = signal;
    this.#ready = ready;
    this.#spare = spare;
    signal.addEventListener("abort", () => this.#clear(), { once: true });
  }

  /** The photo at a place, or null until it is decoded. */
  get(place: number): Picture | null {
    const held = this.#model.get("_photos")?.[place];
    if (held?.byteLength) return this.of(held);
    const name = this.#model.get("_images")?.[place]?.name ?? "";
    return this.of(this.#model.get("_large")?.[name]) ?? this.of(this.#spare(place));
  }

  /** The photo of these bytes, or null until it is decoded. */
  of(bytes: DataView | null | undefined): Picture | null {
    if (!bytes?.byteLength) return null;
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
    this.#forget();
    this.#pictures.set(bytes, picture);
    this.#ready();
  }

  /** Gives those back that the model holds no more: many may be looked at, one after the other. */
  #forget(): void {
    const large = Object.values(this.#model.get("_large") ?? {});
    const held = new Set([...(this.#model.get("_photos") ?? []), ...large]);
    for (const [bytes, picture] of this.#pictures) {
      if (!picture || held.has(bytes)) continue;
      picture.bitmap.close();
      this.#pictures.delete(bytes);
    }
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
