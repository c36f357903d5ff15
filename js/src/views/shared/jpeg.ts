/** Pictures from their bytes, without `img` or `fetch`, which some hosts forbid. */

/** Decodes a JPEG. */
export function decodeJpeg(bytes: DataView): Promise<ImageBitmap> {
  const copy = new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength).slice();
  return createImageBitmap(new Blob([copy], { type: "image/jpeg" }));
}
