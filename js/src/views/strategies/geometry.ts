/** Where photos are: what is under the pointer, inside a lasso, and next in a direction. Nothing here touches the page. */

export interface Spot {
  x: number;
  y: number;
}

/** Photos to look among. */
export interface Cloud {
  count: number;
  x: Float32Array;
  y: Float32Array;
}

/** What of the plane is seen: its middle, and pixels for one of its units. Up is up. */
export interface Viewport {
  cx: number;
  cy: number;
  scale: number;
}

/** How much closer than the whole one can look, and how much further. */
const [CLOSEST, FURTHEST] = [200, 0.5];

/** Shows all photos, with room around them. */
export function showAll(cloud: Cloud, width: number, height: number, pad: number): Viewport {
  let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
  for (let i = 0; i < cloud.count; i++) {
    const [x, y] = [cloud.x[i] as number, cloud.y[i] as number];
    if (x < left) left = x;
    if (x > right) right = x;
    if (y < low) low = y;
    if (y > high) high = y;
  }
  if (left > right) return { cx: 0, cy: 0, scale: 1 };
  const room = [Math.max(1, width - 2 * pad), Math.max(1, height - 2 * pad)] as const;
  const scale = Math.min(room[0] / (right - left || 1e-9), room[1] / (high - low || 1e-9));
  const middle = { cx: (left + right) / 2, cy: (low + high) / 2 };
  return { ...middle, scale: scale > 1e8 ? Math.min(...room) / 4 : scale };
}

/** From the plane to pixels. */
export function toScreen(
  { cx, cy, scale }: Viewport,
  x: number,
  y: number,
  width: number,
  height: number,
): Spot {
  return { x: width / 2 + (x - cx) * scale, y: height / 2 - (y - cy) * scale };
}

/** From pixels to the plane. */
export function toPlane({ cx, cy, scale }: Viewport, at: Spot, width: number, height: number): Spot {
  return { x: cx + (at.x - width / 2) / scale, y: cy - (at.y - height / 2) / scale };
}

/** Looks closer, or from further away, so that what is under the pointer stays there. */
export function zoomAt(
  view: Viewport,
  by: number,
  at: Spot,
  width: number,
  height: number,
  whole: number,
): Viewport {
  const scale = Math.min(CLOSEST * whole, Math.max(FURTHEST * whole, view.scale * by));
  const held = toPlane(view, at, width, height);
  return {
    cx: held.x - (at.x - width / 2) / scale,
    cy: held.y + (at.y - height / 2) / scale,
    scale,
  };
}

/** Moves by pixels. */
export function panBy(view: Viewport, dx: number, dy: number): Viewport {
  return { ...view, cx: view.cx - dx / view.scale, cy: view.cy + dy / view.scale };
}

/** Photos in square cells, so that few are looked at to find the nearest. */
export class Grid {
  #cloud: Cloud;
  #columns: number;
  #rows: number;
  #left: number;
  #low: number;
  #side: number;
  /** Where the photos of each cell begin in `#order`. */
  #starts: Uint32Array;
  #order: Uint32Array;

  /** @param cloud - the photos */
  constructor(cloud: Cloud) {
    this.#cloud = cloud;
    const whole = showAll(cloud, 1, 1, 0);
    const side = Math.max(1, Math.ceil(Math.sqrt(cloud.count / 2)));
    const extent = 1 / whole.scale;
    this.#side = extent / side || 1;
    this.#left = whole.cx - extent / 2;
    this.#low = whole.cy - extent / 2;
    this.#columns = this.#rows = side;
    this.#starts = new Uint32Array(side * side + 1);
    this.#order = new Uint32Array(cloud.count);
    const cells = new Uint32Array(cloud.count);
    for (let i = 0; i < cloud.count; i++) {
      const cell = this.#cellOf(cloud.x[i] as number, cloud.y[i] as number);
      cells[i] = cell;
      this.#starts[cell + 1] = (this.#starts[cell + 1] as number) + 1;
    }
    for (let c = 0; c < side * side; c++)
      this.#starts[c + 1] = (this.#starts[c + 1] as number) + (this.#starts[c] as number);
    const next = this.#starts.slice();
    for (let i = 0; i < cloud.count; i++) {
      const cell = cells[i] as number;
      this.#order[next[cell] as number] = i;
      next[cell] = (next[cell] as number) + 1;
    }
  }

  #column(x: number): number {
    return Math.max(0, Math.min(this.#columns - 1, Math.floor((x - this.#left) / this.#side)));
  }

  #row(y: number): number {
    return Math.max(0, Math.min(this.#rows - 1, Math.floor((y - this.#low) / this.#side)));
  }

  #cellOf(x: number, y: number): number {
    return this.#row(y) * this.#columns + this.#column(x);
  }

  /** Calls for every photo of the cells that a box touches. */
  each(left: number, low: number, right: number, high: number, call: (point: number) => void): void {
    const [first, last] = [this.#column(left), this.#column(right)];
    for (let row = this.#row(low); row <= this.#row(high); row++) {
      const [from, to] = [row * this.#columns + first, row * this.#columns + last + 1];
      for (let k = this.#starts[from] as number; k < (this.#starts[to] as number); k++)
        call(this.#order[k] as number);
    }
  }

  /** The photo nearest to a place, within a distance, of those that are shown; -1 if there is none. */
  nearest(x: number, y: number, within: number, shown: (point: number) => boolean): number {
    let [best, found] = [within * within, -1];
    this.each(x - within, y - within, x + within, y + within, (i) => {
      const away = ((this.#cloud.x[i] as number) - x) ** 2 + ((this.#cloud.y[i] as number) - y) ** 2;
      if (away > best || (away === best && i < found) || !shown(i)) return;
      best = away;
      found = i;
    });
    return found;
  }
}

/** Whether a place is inside a closed line (even-odd). */
export function isInside(line: readonly Spot[], x: number, y: number): boolean {
  let inside = false;
  for (let i = 0, j = line.length - 1; i < line.length; j = i++) {
    const [a, b] = [line[i] as Spot, line[j] as Spot];
    if (a.y > y !== b.y > y && x < ((b.x - a.x) * (y - a.y)) / (b.y - a.y) + a.x) inside = !inside;
  }
  return inside;
}

/** Photos inside a closed line, in their order. */
export function insideOf(
  cloud: Cloud,
  grid: Grid,
  line: readonly Spot[],
  shown: (point: number) => boolean,
): number[] {
  if (line.length < 3) return [];
  const [xs, ys] = [line.map(({ x }) => x), line.map(({ y }) => y)];
  const found: number[] = [];
  grid.each(Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys), (i) => {
    if (shown(i) && isInside(line, cloud.x[i] as number, cloud.y[i] as number)) found.push(i);
  });
  return found.sort((a, b) => a - b);
}

/** Places round one, in eighths of a turn, at growing distance; those to the right first. */
const [TURNS, ROUNDS] = [8, 4];

/**
 * Moves places apart that lie on each other, as little as it takes and later ones rather than earlier ones.
 *
 * @param spots - places
 * @param rooms - how far each has to be from those before it
 * @param frame - width and height, from 0, that no place is moved out of
 * @returns how far each moves
 */
export function moveApart(spots: readonly Spot[], rooms: readonly number[], frame: Spot): Spot[] {
  const placed: Spot[] = [];
  return spots.map((spot, i) => {
    const room = rooms[i] as number;
    const isFree = (at: Spot) => placed.every(({ x, y }) => Math.hypot(at.x - x, at.y - y) >= room - 1e-6);
    const isInside = (at: Spot) => at.x >= 0 && at.y >= 0 && at.x <= frame.x && at.y <= frame.y;
    const tried = [{ x: 0, y: 0 }];
    for (let round = 1; round <= ROUNDS; round++)
      for (let turn = 0; turn < TURNS; turn++) {
        const angle = ((turn % 2 === 0 ? turn : -(turn + 1)) / TURNS) * Math.PI;
        tried.push({ x: (round * room * Math.cos(angle)) / 2, y: (round * room * Math.sin(angle)) / 2 });
      }
    const by = tried.find(({ x, y }) => {
      const at = { x: spot.x + x, y: spot.y + y };
      return isFree(at) && ((x === 0 && y === 0) || isInside(at));
    }) ?? { x: 0, y: 0 };
    placed.push({ x: spot.x + by.x, y: spot.y + by.y });
    return by;
  });
}

export type Direction = "left" | "right" | "up" | "down";

/** How much worse it is to go sideways. */
const SIDEWAYS = 2;

/**
 * The nearest photo in a direction: no further to the side than ahead, and the straighter the better. Photos in one
 * place follow each other in their order, so that a walk reaches all of them.
 */
export function walk(
  { count, x, y }: Cloud,
  from: number,
  direction: Direction,
  shown: (point: number) => boolean,
): number {
  const across = direction === "left" || direction === "right";
  const sign = direction === "right" || direction === "up" ? 1 : -1;
  const [main, side] = across ? [x, y] : [y, x];
  const [here, level] = [main[from] as number, side[from] as number];
  let [best, found] = [Infinity, -1];
  for (let i = 0; i < count; i++) {
    if (i === from) continue;
    const ahead = sign * ((main[i] as number) - here);
    const aside = Math.abs((side[i] as number) - level);
    if (ahead === 0 && aside === 0 && sign * (i - from) > 0 && shown(i)) {
      if (best > 0 || Math.abs(i - from) < Math.abs(found - from)) found = i;
      best = 0;
      continue;
    }
    if (ahead <= 0 || aside > ahead) continue;
    const cost = ahead + SIDEWAYS * aside;
    if (cost < best && shown(i)) {
      best = cost;
      found = i;
    }
  }
  return found;
}

/** A photo in the middle of each group: nearest to the group's medians. */
export function middles(
  cloud: Cloud,
  rows: ArrayLike<number>,
  shown: (point: number) => boolean,
): Map<number, number> {
  const groups = new Map<number, number[]>();
  for (let i = 0; i < cloud.count; i++) {
    if (!shown(i)) continue;
    const row = rows[i] as number;
    const own = groups.get(row);
    if (own) own.push(i);
    else groups.set(row, [i]);
  }
  const found = new Map<number, number>();
  for (const [row, own] of groups) {
    const [x, y] = [medianOf(own, cloud.x), medianOf(own, cloud.y)];
    const away = (i: number) => Math.abs((cloud.x[i] as number) - x) + Math.abs((cloud.y[i] as number) - y);
    found.set(
      row,
      own.reduce((a, b) => (away(b) < away(a) ? b : a)),
    );
  }
  return found;
}

function medianOf(points: readonly number[], values: Float32Array): number {
  const sorted = Float32Array.from(points, (i) => values[i] as number).sort();
  return sorted[sorted.length >> 1] as number;
}
