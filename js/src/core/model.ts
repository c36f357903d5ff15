/** The part of anywidget's model that the views use, and listening that ends by itself. */
import type { Traits } from "./wire";

// biome-ignore lint/suspicious/noExplicitAny: anywidget's handlers take whatever the event carries
type Handler = (...args: any[]) => void;

export interface AnyModel<T extends Record<string, unknown> = Traits> {
  get<K extends keyof T & string>(name: K): T[K];
  set<K extends keyof T & string>(name: K, value: T[K]): void;
  on(event: string, callback: Handler): void;
  off(event: string, callback: Handler): void;
  send(content: unknown, callbacks?: unknown, buffers?: ArrayBuffer[]): void;
  /** Finds other models; not every host has it. */
  widget_manager?: { get_model(id: string): Promise<unknown> };
}

/**
 * Listens to a model until a signal aborts.
 *
 * @param model - the model
 * @param event - such as `change:opacity` or `msg:custom`
 * @param callback - called with the event's arguments
 * @param signal - ends the listening
 */
export function listen(
  model: { on: AnyModel["on"]; off: AnyModel["off"] },
  event: string,
  callback: Handler,
  signal: AbortSignal,
): void {
  if (signal.aborted) return;
  model.on(event, callback);
  signal.addEventListener("abort", () => model.off(event, callback), { once: true });
}
