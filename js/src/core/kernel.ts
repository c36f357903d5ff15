/**
 * Whether anybody answers, and asking.
 *
 * There is no heartbeat: it would make the notebook's kernel indicator blink, and keep a laptop awake. The kernel is
 * asked for a sign of life with what a person asks of it, when somebody comes near and it has not been heard of for a
 * while, and when something that it computes makes no progress. That it restarts, is gone, is busy or cannot be reached,
 * the host says where it can.
 */
import { HostWatch } from "./host_kernel";
import { type AnyModel, listen } from "./model";
import { joinLine, type Neighbours } from "./neighbours";
import { PYTHON_TRAITS, type Reply, TO_VIEW, type ToKernel, VERSION } from "./wire";

/** Silence after which the kernel is asked again, in milliseconds. */
export const STALE_AFTER = 10_000;
/** How long an answer may take before a busy kernel is said to be busy. */
export const BUSY_AFTER = 2_000;
/** How long an answer may take before we say that nobody answers. */
export const ANSWER_WITHIN = 4_000;

/** `silent`: nothing can be asked; `saved`: an exported page, where there is no kernel to ask. */
export type KernelState = "unknown" | "alive" | "silent" | "saved";

/**
 * What is the matter, where something is. `busy`: it answers when its cell ends, and can be asked; `mute`: it answered
 * before, and does not; `cut`: the host has no connection to it; `gone`: there is none, or none of this view's.
 */
export type Trouble = "" | "busy" | "mute" | "cut" | "gone";

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

/** A request that has no answer yet. */
interface Asked<Told> {
  kind: string;
  body: object;
  buffers: ArrayBuffer[] | undefined;
  resolve(reply: Told): void;
  /** It has been sent; it may have been lost on its way, or its answer. */
  sent: boolean;
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
  #trouble: Trouble = "";
  /** When it was last heard of, in milliseconds. */
  #heard = Number.NEGATIVE_INFINITY;
  /** An answer is awaited. */
  #waiting = false;
  /** Ends the patience with that answer. */
  #patience: ReturnType<typeof setTimeout> | undefined;
  /** Asks for a sign of life when progress that is awaited does not come. */
  #progress: ReturnType<typeof setTimeout> | undefined;
  #asked = new Map<string, Asked<Told>>();
  /** The process that the view's other half lived in has ended. */
  #lost = false;
  #host: HostWatch | null = null;
  #neighbours: Neighbours | null = null;
  #whenBack: (() => void)[] = [];

  /**
   * @param model - the widget's model
   * @param signal - ends all listening
   * @param changed - called after `state` or `trouble` changed
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
    signal.addEventListener("abort", () => this.#rest(), { once: true });
    const told = {
      gone: (forGood: boolean) => this.#lose(forGood),
      cut: () => this.#onCut(),
      back: () => this.#onBack(),
      idle: () => this.#onIdle(),
    };
    this.#host = new HostWatch(model.widget_manager, told, signal);
    this.#neighbours = joinLine(model.widget_manager, () => this.reachable && this.#doubt(), signal);
  }

  get state(): KernelState {
    return this.#state;
  }

  get trouble(): Trouble {
    return this.#trouble;
  }

  /** Whether asking makes sense. */
  get reachable(): boolean {
    return this.#state === "alive" || this.#state === "unknown";
  }

  /** There is no connection: what is asked now is sent when it is back. */
  get cut(): boolean {
    return this.#host?.cut ?? false;
  }

  /** Has something done each time the connection is back, once what was not answered is sent again. */
  whenBack(callback: () => void): void {
    this.#whenBack.push(callback);
  }

  /** Asks for a sign of life, unless one is recent or an answer is awaited. */
  poke(): void {
    if (performance.now() - this.#heard < STALE_AFTER) this.#host?.look();
    else this.#doubt();
  }

  /** Notes whether word of progress is awaited: if none comes, the kernel is asked though nobody comes near. */
  expect(progress: boolean): void {
    if (progress && this.#progress === undefined) this.#watchProgress(STALE_AFTER);
    if (progress) return;
    clearTimeout(this.#progress);
    this.#progress = undefined;
  }

  /** A person asked for something by another way, such as the selection: an answer is awaited. */
  askedBeside(): void {
    this.#doubt();
  }

  /** Sends a message that wants no answer; without a connection it is not sent. */
  tell<K extends keyof Sent & string>(kind: K, body: Sent[K]): void {
    if (this.#state === "saved" || this.#signal.aborted || this.cut) return;
    this.#send(kind, body, makeRid());
    if (kind !== "ack") this.#doubt();
  }

  /** Sends a message, now or once there is a connection, and waits for its answer, however long; never rejects. */
  ask<K extends keyof Sent & string>(kind: K, body: Sent[K], buffers?: ArrayBuffer[]): Promise<Told> {
    return new Promise((resolve) => {
      if (this.#state === "saved") return; // after the view's end, what it still had to say is said
      const rid = makeRid();
      const asked = { kind, body, buffers, resolve, sent: !this.cut };
      this.#asked.set(rid, asked);
      if (!asked.sent) return;
      this.#send(kind, body, rid, buffers);
      if (kind === "set") this.#await();
      else this.#doubt();
    });
  }

  /** Asks for a sign of life, whatever was heard before, unless an answer is awaited. */
  #doubt(): void {
    this.#host?.look();
    if (this.#state === "saved" || this.#waiting || this.#lost || this.cut || this.#signal.aborted) return;
    this.#await();
    this.#send("hello", {}, makeRid());
  }

  /** An answer is awaited from now on. */
  #await(): void {
    if (this.#waiting || this.#lost || this.#signal.aborted) return;
    this.#waiting = true;
    const before = this.#heard;
    this.#patience = setTimeout(() => {
      if (!this.#isBusy()) this.#judgeIn(ANSWER_WITHIN - BUSY_AFTER, before);
    }, BUSY_AFTER);
  }

  /** Says that nobody answers, if nothing was heard since a moment. */
  #judgeIn(time: number, before: number): void {
    this.#patience = setTimeout(() => {
      if (this.#isBusy()) return;
      if (this.#heard > before) return this.#judgeIn(ANSWER_WITHIN, this.#heard); // of its progress: it lives
      this.#rest();
      if (this.#state === "silent") return;
      this.#become("silent", Number.isFinite(this.#heard) ? "mute" : "gone");
      this.#neighbours?.doubt();
    }, time);
  }

  /** Says that it is busy, where the host says so; the host also says when it is idle. */
  #isBusy(): boolean {
    const busy = this.#host?.busy ?? false;
    if (busy) this.#become(this.#state === "silent" ? "alive" : this.#state, "busy");
    return busy;
  }

  #watchProgress(after: number): void {
    this.#progress = setTimeout(() => {
      this.#progress = undefined;
      if (!this.reachable) return; // once it is, the view is drawn, and expects progress again
      const quiet = performance.now() - this.#heard;
      if (quiet >= STALE_AFTER) this.#doubt();
      this.#watchProgress(quiet < STALE_AFTER ? STALE_AFTER - quiet : STALE_AFTER);
    }, after);
  }

  #send(kind: string, body: object, rid: string, buffers?: ArrayBuffer[], again = false): void {
    const mark = again ? { again } : {};
    try {
      this.#model.send({ kind, rid, v: VERSION, ...mark, ...body }, undefined, buffers);
    } catch (error) {
      console.debug("[whatwhere] could not send", kind, error);
      this.#lose();
    }
  }

  #receive(content: unknown, buffers: unknown): void {
    this.#sign(true);
    const reply = content as Partial<Answer> | null;
    if (typeof reply !== "object" || reply === null || !this.#kinds.has(String(reply.kind))) {
      console.debug("[whatwhere] ignored a message of unknown kind", content);
      return;
    }
    const asked = this.#asked.get(String(reply.rid));
    this.#asked.delete(String(reply.rid));
    asked?.resolve({ ...(reply as Told), buffers } as Told);
  }

  /** It lives; where `answers`, it also hears. */
  #sign(answers = false): void {
    if (this.#lost || this.cut) return;
    this.#heard = performance.now();
    if (answers) this.#rest();
    if (answers || this.#trouble !== "busy") this.#become("alive", "");
  }

  /** Awaits no answer. */
  #rest(): void {
    clearTimeout(this.#patience);
    this.#waiting = false;
    if (this.#signal.aborted) this.expect(false);
  }

  /** What it was busy with is done: now it has time to answer. */
  #onIdle(): void {
    if (this.#trouble !== "busy") return;
    this.#rest();
    this.#await();
  }

  #onCut(): void {
    if (this.#lost) return;
    this.#rest();
    this.#become("silent", "cut");
  }

  /** What was not answered is sent again, in order; Python does once what it heard twice. */
  #onBack(): void {
    if (this.#lost || this.#signal.aborted) return;
    this.#become("unknown", "");
    for (const [rid, asked] of this.#asked) {
      this.#send(asked.kind, asked.body, rid, asked.buffers, asked.sent);
      asked.sent = true;
    }
    for (const callback of this.#whenBack) callback();
    this.#await();
    this.#send("back", {}, makeRid());
  }

  /** What answered is no more; for good, what was still on its way from it is no sign of life. */
  #lose(forGood = false): void {
    this.#lost ||= forGood;
    this.#heard = Number.NEGATIVE_INFINITY;
    this.#rest();
    this.#become("silent", "gone");
  }

  #become(state: KernelState, trouble: Trouble): void {
    if ((this.#state === state && this.#trouble === trouble) || this.#signal.aborted) return;
    this.#state = state;
    this.#trouble = trouble;
    this.#changed();
  }
}
