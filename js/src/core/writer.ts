/**
 * Writing traits from the browser: at once for this page, and by message for Python.
 *
 * Not by the model's own `save_changes`: it waits for the kernel to say that it is idle after each update, which
 * ipykernel 7.4 never says for an update that arrives while a cell awaits. All later updates would then be lost.
 */
import type { Kernel } from "./kernel";
import { type AnyModel, listen } from "./model";
import { PUBLIC_TRAITS, type PublicTraits } from "./wire";

/** How long what was set here is held against older values that come back, in milliseconds. */
const HOLD = 5_000;

/** What sends traits to Python. */
interface Sender extends Pick<Kernel, "state" | "cut" | "whenBack"> {
  ask(kind: "set", body: { traits: object }): Promise<unknown>;
}

export class TraitWriter<T extends object = PublicTraits> {
  #model: Pick<AnyModel, "get" | "set">;
  #kernel: Sender;
  /** What was set and not sent yet. */
  #unsent: Partial<T> = {};
  /** What was set last, while Python has not applied it. */
  #held: Partial<T> = {};
  #underWay = 0;
  #savedAt = Number.NEGATIVE_INFINITY;

  /**
   * @param model - the widget's model
   * @param kernel - sends the values
   * @param signal - ends all listening
   * @param names - traits that both sides write
   */
  constructor(
    model: Pick<AnyModel, "get" | "set" | "on" | "off">,
    kernel: Sender,
    signal: AbortSignal,
    names: readonly string[] = PUBLIC_TRAITS,
  ) {
    this.#model = model;
    this.#kernel = kernel;
    for (const name of names)
      listen(model, `change:${name}`, () => this.#hold(name as keyof T & string), signal);
    kernel.whenBack(() => {
      this.#savedAt = performance.now(); // Python's older values come back with the connection
      this.save();
    });
  }

  /** Sets a trait on this page, for all views of the model. */
  set<K extends keyof T & string>(name: K, value: T[K]): void {
    this.#unsent[name] = value;
    this.#held[name] = value;
    this.#savedAt = performance.now();
    this.#model.set(name, value);
  }

  /** Sends what was set since the last time, now or once there is a connection. */
  save(): void {
    const traits = this.#unsent;
    if (Object.keys(traits).length === 0 || this.#kernel.cut) return;
    this.#unsent = {};
    if (this.#kernel.state === "saved") {
      this.#held = {};
      return;
    }
    this.#underWay += 1;
    this.#savedAt = performance.now();
    void this.#kernel.ask("set", { traits }).then(() => {
      this.#underWay -= 1;
      if (this.#underWay === 0) this.#held = { ...this.#unsent };
    });
  }

  /** Takes back an older value that Python echoes while a newer one is on its way. */
  #hold<K extends keyof T & string>(name: K): void {
    if (!(name in this.#held) || performance.now() - this.#savedAt > HOLD) return;
    const wanted = this.#held[name];
    if (this.#model.get(name) !== wanted) this.#model.set(name, wanted);
  }
}
