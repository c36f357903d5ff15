import { describe, expect, it } from "vitest";
import { alphaOf, colorTable, paintValues } from "../src/core/colormap";
import { sampleLine, smoothField } from "../src/core/field";
import { count, counted, duration, percent, quantity, remaining, shareOfAll } from "../src/core/format";
import { decodePlane } from "../src/core/planes";
import { luminance } from "../src/core/theme";
import { COLORMAPS, TO_VIEW } from "../src/core/wire";

describe("planes", () => {
  it("reads little-endian levels at an odd offset", () => {
    const buffer = new ArrayBuffer(101 + 2 * 2 * 4);
    const bytes = new DataView(buffer, 101);
    [0, 65535, 65535, 13107, 32768, 0, 65535, 0].forEach((level, i) => {
      bytes.setUint16(2 * i, level, true);
    });
    const second = decodePlane(bytes, [1, 2], 1, 0.5, 0.1);
    expect([...(second?.values ?? [])]).toEqual([expect.closeTo(0.25, 4), 0]);
    expect([...(second?.errors ?? [])]).toEqual([expect.closeTo(0.1, 6), 0]);
    const first = decodePlane(bytes, [1, 2], 0, 0.5, 0.1);
    expect(first?.values[1]).toBeCloseTo(0.5, 6);
    expect(first?.errors[1]).toBeCloseTo(0.02, 6);
  });

  it("gives nothing rather than nonsense when the bytes are too short", () => {
    expect(decodePlane(new DataView(new ArrayBuffer(8)), [1, 2], 1, 1, 1)).toBeNull();
    expect(decodePlane(new DataView(new ArrayBuffer(8)), [1, 2], -1, 1, 1)).toBeNull();
  });
});

describe("monotone cubic", () => {
  const values = [0, 0.1, 0.9, 0.88, 0, 0, 0.3, 1];

  it("passes through every value", () => {
    const out = new Float32Array(values.length);
    sampleLine(values, 0, 1, values.length, [...values.keys()], out);
    out.forEach((value, i) => {
      expect(value).toBeCloseTo(values[i] as number, 6);
    });
  });

  it("stays between its two neighbours everywhere", () => {
    const positions = Array.from({ length: 400 }, (_, i) => (i / 399) * 7);
    const out = new Float32Array(400);
    sampleLine(values, 0, 1, values.length, positions, out);
    positions.forEach((x, i) => {
      const [a, b] = [values[Math.floor(x)] as number, values[Math.ceil(x)] as number];
      expect(out[i]).toBeGreaterThanOrEqual(Math.min(a, b) - 1e-6);
      expect(out[i]).toBeLessThanOrEqual(Math.max(a, b) + 1e-6);
    });
  });

  it("passes through the centres of a two-dimensional map, which never exceeds its extremes", () => {
    const [rows, columns, unit] = [3, 4, 5]; // an odd unit has a pixel at each cell's centre
    const cells = Array.from({ length: rows * columns }, (_, i) => ((i * 7919) % 13) / 13);
    const field = smoothField(cells, rows, columns, rows * unit, columns * unit);
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++) {
        const pixel = (row * unit + 2) * columns * unit + column * unit + 2;
        expect(field[pixel]).toBeCloseTo(cells[row * columns + column] as number, 5);
      }
    expect(Math.max(...field)).toBeLessThanOrEqual(Math.max(...cells) + 1e-6);
    expect(Math.min(...field)).toBeGreaterThanOrEqual(Math.min(...cells) - 1e-6);
  });

  it("draws a single cell level", () => {
    expect([...smoothField([0.5], 1, 1, 2, 2)]).toEqual([0.5, 0.5, 0.5, 0.5]);
  });
});

describe("colour maps", () => {
  it("leave zero, and all up to the threshold, transparent", () => {
    expect(alphaOf(0, 0)).toBe(0);
    expect(alphaOf(0.3, 0.3)).toBe(0);
    expect(alphaOf(1, 0.9)).toBe(1);
    const pixels = new Uint8ClampedArray(12);
    paintValues([0, 0.2, 1], 1, "magma", 0.25, pixels);
    expect([pixels[3], pixels[7], pixels[11]]).toEqual([0, 0, 255]);
    expect([...pixels.slice(8, 11)]).toEqual([0xfc, 0xfd, 0xbf]);
  });

  it("never divide by an empty map's maximum", () => {
    const pixels = new Uint8ClampedArray(4);
    paintValues([0], 0, "viridis", 0, pixels);
    expect(pixels[3]).toBe(0);
  });

  it("exist for every name on the wire", () => {
    for (const name of COLORMAPS) expect(colorTable(name)).toHaveLength(768);
    expect([...TO_VIEW].sort()).toEqual([
      "added",
      "applied",
      "explained",
      "full",
      "layer",
      "pairing",
      "refused",
      "split",
      "thumbnails",
      "welcome",
      "whatif",
    ]);
  });
});

describe("format", () => {
  it("writes probabilities", () => {
    expect(percent(0.94)).toBe("94\u00a0%");
    expect(percent(0.0004)).toBe("<1\u00a0%");
    expect(percent(0)).toBe("0\u00a0%");
    expect(percent(1)).toBe("100\u00a0%");
  });

  it("writes indices, counts and durations", () => {
    expect([shareOfAll(0.42), shareOfAll(1), shareOfAll(1.34)]).toEqual(["0.42", "1.00", "about 1"]);
    expect([quantity(0.4167), quantity(0.0412), quantity(0), quantity(1e-5), quantity(Number.NaN)]).toEqual([
      "0.42",
      "0.041",
      "0.00",
      "<0.001",
      "–",
    ]);
    expect([count(2145), counted(1, "photo"), counted(4, "photo")]).toEqual(["2,145", "1 photo", "4 photos"]);
    expect([duration(0.42), duration(41.2), duration(190)]).toEqual([
      "0.4\u00a0s",
      "41\u00a0s",
      "3\u00a0min",
    ]);
    expect(remaining(0)).toBe("1\u00a0s left");
  });
});

describe("luminance", () => {
  it("tells light from dark, and abstains for what is see-through", () => {
    expect(luminance("rgb(255, 255, 255)")).toBeCloseTo(1, 5);
    expect(luminance("rgb(17, 17, 17)")).toBeLessThan(0.01);
    expect(luminance("rgba(0, 0, 0, 0)")).toBeNull();
    expect(luminance("transparent")).toBeNull();
  });
});
