/**
 * Whether anybody answers, and asking.
 *
 * There is no heartbeat: it would make the notebook's kernel indicator blink. The kernel is asked when a person comes
 * near and it has not been heard of for a while. That it restarts, or is gone, the host says where it can.
 */
import { watchHost } from "./host_kernel";
import { type AnyModel, listen } from "./model";
import { PYTHON_TRAITS, type Reply, TO_VIEW, type ToKernel, VERSION } from "./wire";

/** Silence after which the kernel is asked again, in milliseconds. */
export const STALE_AFTER = 10_000;
/** How long an answer may take before we say that nobody answers. */
export const ANSWER_WITHIN = 5_000;

/** `saved`: an exported page, where there is no kernel to ask. */
export type KernelState = "unknown" | "alive" | "silent" | "saved";

let requests = 0;

/** A mark for a request; `crypto.randomUUID` does not exist on plain http. */
export function makeRid(): string {
  requests += 1;
  return `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 10)}-${requests}`;
}

/** What a kind of view can hear. */
export interface Hearing {
  /** Traits that only Python writes: a change of one is a sign of life. */
  traits: readonly string[];
  /** Kinds of answers. */
  kinds: ReadonlySet<string>;
}

/** The part of a model that carries messages. */
interface Line extends Pick<AnyModel, "on" | "off" | "send" | "widget_manager"> {
  get(name: "_kernel"): boolean;
}

/** What every answer has. */
interface Answer {
  kind: string;
  rid: string;
}

const ATTRIBUTION: Hearing = { traits: PYTHON_TRAITS, kinds: TO_VIEW };

/**
 * The other end of a view's messages.
 *
 * `Sent` has the bodies of the messages by kind; `Told` is any of the answers.
 */
export class Kernel<Sent extends Record<keyof Sent, object> = ToKernel, Told extends Answer = Reply> {
  #model: Line;
  #kinds: ReadonlySet<string>;
  #signal: AbortSignal;
  #changed: () => void;
  #state: KernelState;
  /** When it was last heard of, in milliseconds. */
  #heard = Number.NEGATIVE_INFINITY;
  /** Ends the wait for the answer to the one ping that may be under way. */
  #waiting: ReturnType<typeof setTimeout> | undefined;
  #asked = new Map<string, (reply: Told) => void>();
  /** The process that the view's other half lived in has ended. */
  #lost = false;
  /** Looks whether the host has a kernel to listen to. */
  #watch: () => void = () => undefined;

  /**
   * @param model - the widget's model
   * @param signal - ends all listening
   * @param changed - called after `state` changed
   * @param hearing - what the view can hear
   */
  constructor(model: Line, signal: AbortSignal, changed: () => void, hearing: Hearing = ATTRIBUTION) {
    this.#model = model;
    this.#kinds = hearing.kinds;
    this.#signal = signal;
    this.#changed = changed;
    this.#state = model.get("_kernel") === false ? "saved" : "unknown";
    if (this.#state === "saved") return;
    listen(
      model,
      "msg:custom",
      (content: unknown, buffers: unknown) => this.#receive(content, buffers),
      signal,
    );
    for (const name of hearing.traits) listen(model, `change:${name}`, () => this.#sign(), signal);
    signal.addEventListener("abort", () => clearTimeout(this.#waiting), { once: true });
    this.#watch = watchHost(model.widget_manager, (forGood) => this.#lose(forGood), signal);
    this.#watch();
  }

  get state(): KernelState {
    return this.#state;
  }

  /** Whether asking makes sense. */
  get reachable(): boolean {
    return this.#state === "alive" || this.#state === "unknown";
  }

  /** Asks for a sign of life, unless one is recent or a ping is under way. */
  poke(): void {
    if (this.#state === "saved" || this.#waiting !== undefined || this.#lost || this.#signal.aborted) return;
    this.#watch();
    if (performance.now() - this.#heard < STALE_AFTER) return;
    this.#waiting = setTimeout(() => {
      this.#waiting = undefined;
      this.#become("silent");
    }, ANSWER_WITHIN);
    this.#send("hello", {}, makeRid());
  }

  /** Sends a message that wants no answer. */
  tell<K extends keyof Sent & string>(kind: K, body: Sent[K]): void {
    if (this.#state === "saved" || this.#signal.aborted) return;
    this.#send(kind, body, makeRid());
    if (kind !== "ack") this.poke();
  }

  /** Sends a message and waits for its answer, however long; never rejects. */
  ask<K extends keyof Sent & string>(kind: K, body: Sent[K], buffers?: ArrayBuffer[]): Promise<Told> {
    return new Promise((resolve) => {
      if (this.#state === "saved") return; // after the view's end, what it still had to say is said
      const rid = makeRid();
      this.#asked.set(rid, resolve);
      this.#send(kind, body, rid, buffers);
      this.poke();
    });
  }

  #send(kind: string, body: object, rid: string, buffers?: ArrayBuffer[]): void {
    try {
      this.#model.send({ kind, rid, v: VERSION, ...body }, undefined, buffers);
    } catch (error) {
      console.debug("[whatwhere] could not send", kind, error);
      this.#lose();
    }
  }

  #receive(content: unknown, buffers: unknown): void {
    this.#sign();
    const reply = content as Partial<Answer> | null;
    if (typeof reply !== "object" || reply === null || !this.#kinds.has(String(reply.kind))) {
      console.debug("[whatwhere] ignored a message of unknown kind", content);
      return;
    }
    const resolve = this.#asked.get(String(reply.rid));
    this.#asked.delete(String(reply.rid));
    resolve?.({ ...(reply as Told), buffers } as Told);
  }

  #sign(): void {
    if (this.#lost) return;
    this.#heard = performance.now();
    clearTimeout(this.#waiting);
    this.#waiting = undefined;
    this.#become("alive");
  }

  /** What answered is no more; for good, what was still on its way from it is no sign of life. */
  #lose(forGood = false): void {
    this.#lost ||= forGood;
    this.#heard = Number.NEGATIVE_INFINITY;
    clearTimeout(this.#waiting);
    this.#waiting = undefined;
    this.#become("silent");
  }

  #become(state: KernelState): void {
    if (this.#state === state || this.#signal.aborted) return;
    this.#state = state;
    this.#changed();
  }
}
