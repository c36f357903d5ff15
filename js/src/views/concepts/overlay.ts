/** Concepts as colours: each in its hue and texture, several of them blended. */
import type { Box } from "../../core/box";
import { smoothField } from "../../core/field";
import type { CellPlane } from "./codec";
import { hueOn, inkOn, type Rgb, type Texture, toRgb } from "./palette";
import type { Layer } from "./state";

/** Pixels of a drawn map along its longer side; the browser enlarges it to the screen. */
const FIELD = 144;
/** What is left of a hue between stripes and dots. */
const BETWEEN = 0.42;
/** Side of a stripe's or dot's tile, in pixels of the field. */
const TILE = 6;

interface Field {
  values: Float32Array;
  rows: number;
  columns: number;
}

/** Smooth fields are made once a plane. */
const smoothed = new WeakMap<CellPlane, Field>();

function fieldOf(plane: CellPlane, smooth: boolean): Field {
  if (!smooth) return plane;
  const known = smoothed.get(plane);
  if (known) return known;
  const unit = Math.max(1, Math.floor(FIELD / Math.max(plane.rows, plane.columns)));
  const [rows, columns] = [plane.rows * unit, plane.columns * unit];
  const field = {
    values: smoothField(plane.values, plane.rows, plane.columns, rows, columns),
    rows,
    columns,
  };
  smoothed.set(plane, field);
  return field;
}

/** What is left of the photo under the strongest colour. */
const SHOWS_THROUGH = 0.24;

/** Opacity of a value: nothing up to the threshold, then rising evenly, so that amounts can be told apart. */
export function opacityOf(share: number, threshold: number): number {
  if (share <= threshold) return 0;
  const rise = Math.min(1, (share - threshold) / (1 - threshold));
  return (1 - SHOWS_THROUGH) * Math.min(1, 0.12 + 0.88 * rise) * Math.min(1, 8 * rise);
}

/** How much of a hue a texture leaves at a pixel. */
export function textureAt(texture: Texture, x: number, y: number): number {
  if (texture === 1) return (x + y) % TILE < TILE / 2 ? 1 : BETWEEN;
  if (texture === 2) return (x % TILE) ** 2 + (y % TILE) ** 2 < (TILE / 2) ** 2 ? 1 : BETWEEN;
  return 1;
}

/** Where a letter belongs, in shares of what the model sees. */
export interface Mark {
  layer: Layer;
  x: number;
  y: number;
}

export class ConceptOverlay {
  readonly canvas = document.createElement("canvas");

  /**
   * Paints layers.
   *
   * @param layers - those that are absent from the photo are left out
   * @param threshold - share of a concept's scale below which nothing is painted
   * @param smooth - through the cells, or the cells themselves
   * @param dark - whether the page is
   * @returns where each concept is most
   */
  paint(layers: readonly Layer[], threshold: number, smooth: boolean, dark: boolean): Mark[] {
    const drawn = layers.flatMap((layer) =>
      layer.plane && layer.present !== false && layer.top > 0
        ? [{ layer, field: fieldOf(layer.plane, smooth), rgb: toRgb(hueOn(layer.concept.hue, dark)) }]
        : [],
    );
    const first = drawn[0];
    if (!first) return [];
    this.canvas.width = first.field.columns;
    this.canvas.height = first.field.rows;
    const brush = this.canvas.getContext("2d");
    if (brush) {
      const image = brush.createImageData(this.canvas.width, this.canvas.height);
      blend(drawn, threshold, smooth, first.field.columns, image.data);
      brush.putImageData(image, 0, 0);
    }
    return drawn.flatMap(({ layer, field }) => peakOf(layer, field, threshold));
  }
}

function blend(
  drawn: readonly { layer: Layer; field: Field; rgb: Rgb }[],
  threshold: number,
  textured: boolean,
  columns: number,
  out: Uint8ClampedArray,
): void {
  for (let i = 0; 4 * i < out.length; i++) {
    let [red, green, blue, sum, keep] = [0, 0, 0, 0, 1];
    for (const { layer, field, rgb } of drawn) {
      const share = Math.min(1, (field.values[i] ?? 0) / layer.top);
      let alpha = opacityOf(share, threshold);
      if (alpha === 0) continue;
      if (textured) alpha *= textureAt(layer.concept.texture, i % columns, Math.floor(i / columns));
      red += alpha * rgb[0];
      green += alpha * rgb[1];
      blue += alpha * rgb[2];
      sum += alpha;
      keep *= 1 - alpha;
    }
    if (sum === 0) continue;
    out[4 * i] = red / sum;
    out[4 * i + 1] = green / sum;
    out[4 * i + 2] = blue / sum;
    out[4 * i + 3] = 255 * (1 - keep);
  }
}

function peakOf(layer: Layer, { values, rows, columns }: Field, threshold: number): Mark[] {
  let best = 0;
  for (let i = 1; i < values.length; i++) if ((values[i] ?? 0) > (values[best] ?? 0)) best = i;
  if ((values[best] ?? 0) <= threshold * layer.top) return [];
  return [{ layer, x: ((best % columns) + 0.5) / columns, y: (Math.floor(best / columns) + 0.5) / rows }];
}

/** Draws a concept's letter in its hue; marks that would lie on each other move apart. */
export function paintMarks(
  brush: CanvasRenderingContext2D,
  marks: readonly { letter: string; hue: string; x: number; y: number }[],
  seen: Box,
  scale: number,
): void {
  const radius = 11 * scale;
  const taken: { x: number; y: number }[] = [];
  brush.font = `600 ${12 * scale}px system-ui, sans-serif`;
  brush.textAlign = "center";
  brush.textBaseline = "middle";
  const rim = radius + 2 * scale;
  for (const { letter, hue, ...at } of marks) {
    let { x, y } = at;
    x = Math.max(seen.x + rim, Math.min(seen.x + seen.width - rim, x));
    y = Math.max(seen.y + rim, Math.min(seen.y + seen.height - rim, y));
    while (taken.some((other) => Math.hypot(other.x - x, other.y - y) < 2 * radius)) x += 2 * radius;
    taken.push({ x, y });
    brush.beginPath();
    brush.arc(x, y, radius, 0, 2 * Math.PI);
    brush.fillStyle = hue;
    brush.fill();
    brush.lineWidth = 2 * scale;
    brush.strokeStyle = "#fff";
    brush.stroke();
    brush.lineWidth = scale;
    brush.strokeStyle = "rgba(0,0,0,.45)";
    brush.beginPath();
    brush.arc(x, y, radius + 1.5 * scale, 0, 2 * Math.PI);
    brush.stroke();
    brush.fillStyle = inkOn(hue);
    brush.fillText(letter, x, y + 0.5 * scale);
  }
}
