/** Rectangles. */

/** A box in pixels of the canvas. */
export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
}
