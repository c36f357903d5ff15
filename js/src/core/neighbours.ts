/** The views that speak with one kernel: what one of them finds out, the others look into at once. */

/** It lies on the host's manager of widgets: every kind of view has a copy of this module. */
const LINE = Symbol.for("whatwhere.line");

export interface Neighbours {
  /** Has all others ask for a sign of life. */
  doubt(): void;
}

/**
 * Joins the views of a kernel.
 *
 * @param manager - the host's manager of widgets; there is one for each kernel
 * @param doubt - called when another view has had no answer
 * @param signal - ends the membership
 */
export function joinLine(manager: unknown, doubt: () => unknown, signal: AbortSignal): Neighbours | null {
  if (typeof manager !== "object" || manager === null || signal.aborted) return null;
  const holder = manager as { [LINE]?: Set<() => unknown> };
  holder[LINE] ??= new Set();
  const line = holder[LINE];
  line.add(doubt);
  signal.addEventListener("abort", () => line.delete(doubt), { once: true });
  return {
    doubt() {
      for (const other of line) if (other !== doubt) other();
    },
  };
}
