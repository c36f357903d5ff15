/** Numbers as people read them. */

const SPACE = "\u00a0"; // a number and its unit stay on one line

/** A probability: `94 %`, `<1 %`. */
export function percent(share: number): string {
  if (!Number.isFinite(share)) return "–";
  if (share > 0 && share < 0.005) return `<1${SPACE}%`;
  return `${Math.round(share * 100)}${SPACE}%`;
}

/** An index of a map: two significant digits at least, no more than three decimals. */
export function quantity(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (value !== 0 && Math.abs(value) < 0.0005) return "<0.001";
  return value.toFixed(value !== 0 && Math.abs(value) < 0.095 ? 3 : 2);
}

/** A share that chance can push above 1: an estimate from few rows says no more than that it is about all. */
export function shareOfAll(value: number): string {
  return value > 1 ? "about 1" : quantity(value);
}

/** A quantity that may have either sign: `+0.42`, `−0.07`. */
export function signedQuantity(value: number): string {
  const size = quantity(Math.abs(value));
  if (value === 0 || size.startsWith("<")) return size;
  return value < 0 ? `−${size}` : `+${size}`;
}

/** A count: `2,145`. */
export function count(value: number): string {
  return Math.round(value).toLocaleString("en");
}

/** A noun with its number: `1 photo`, `4 photos`. */
export function counted(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? "" : "s"}`;
}

/** A duration: `0.4 s`, `41 s`, `3 min`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 0.95) return `${Math.max(0.1, seconds).toFixed(1)}${SPACE}s`;
  if (seconds < 99.5) return `${Math.round(seconds)}${SPACE}s`;
  return `${Math.round(seconds / 60)}${SPACE}min`;
}

/** Time left, never zero: `3 s left`. */
export function remaining(seconds: number): string {
  return `${duration(Math.max(1, seconds))} left`;
}

/** A number with its sign, for logits: `+6.4`, `−0.3`, `0`. */
export function signed(value: number, digits = 1): string {
  if (!Number.isFinite(value)) return "–";
  const text = Math.abs(value).toFixed(digits);
  if (Number(text) === 0) return "0";
  return value < 0 ? `−${text}` : `+${text}`;
}

/** An amount of any size, to three digits: `35.7`, `0.042`, `1,200`. */
export function amount(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (value !== 0 && Math.abs(value) < 0.0005) return "<0.001";
  return Number(value.toPrecision(3)).toLocaleString("en", { maximumFractionDigits: 3 });
}
