/**
 * What the host itself knows of the kernel: JupyterLab says when it restarts or ends, when its connection is lost and
 * back, and whether it is busy. Asking nothing costs nothing.
 */

type Slot = (sender: unknown, told?: unknown) => void;

interface HostSignal {
  connect(slot: Slot): unknown;
  disconnect(slot: Slot): unknown;
}

/** A kernel as JupyterLab's managers of widgets have it. */
export interface HostKernel {
  status?: unknown;
  statusChanged?: HostSignal;
  connectionStatus?: unknown;
  connectionStatusChanged?: HostSignal;
  disposed?: HostSignal;
}

/** What is done about what the host tells. */
export interface Told {
  /** The kernel answers no more; with true, all that lived in it is lost. */
  gone?(forGood: boolean): void;
  /** The connection is lost; the host tries to get it back. */
  cut?(): void;
  /** The connection is there again, and the host has read all states. What was under way may not have arrived. */
  back?(): void;
  /** It has done what it was busy with. */
  idle?(): void;
}

/** What a kernel is on its way from one life to the next, or to none. */
const GONE: ReadonlySet<unknown> = new Set(["restarting", "autorestarting", "terminating", "dead"]);

/** How long the host may take to read all states from a kernel that it has a connection to again, in milliseconds. */
export const RESTORED_WITHIN = 5_000;

interface Manager {
  kernel?: HostKernel | null;
  /** Told once the host has read all states; until then an older one may come over what is newer. */
  restored?: HostSignal;
}

/** The host's kernel, where the host shows it. */
export class HostWatch {
  #manager: Manager | undefined;
  #told: Told;
  #signal: AbortSignal;
  #watched: HostKernel | null = null;
  #cut = false;
  /** Ends the wait for the states. */
  #patience: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param manager - the host's manager of widgets
   * @param told - is called; not for what was so before
   * @param signal - ends the listening
   */
  constructor(manager: unknown, told: Told, signal: AbortSignal) {
    this.#manager = (manager ?? undefined) as Manager | undefined;
    this.#told = told;
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#leave(), { once: true });
    this.look();
  }

  /** There is no connection. What is sent now would wait in the host, and be done long after it was asked for. */
  get cut(): boolean {
    return this.#cut;
  }

  /** The kernel runs a cell, or handles a message. */
  get busy(): boolean {
    return this.#watched?.status === "busy";
  }

  /** Looks whether there is a kernel now that was not there before: the notebook connects after it is drawn. */
  look(): void {
    const kernel = this.#manager?.kernel;
    if (!kernel || kernel === this.#watched || this.#signal.aborted) return;
    this.#leave();
    this.#watched = kernel;
    kernel.statusChanged?.connect(this.#onStatus);
    kernel.connectionStatusChanged?.connect(this.#onConnection);
    kernel.disposed?.connect(this.#onDisposed);
  }

  #leave(): void {
    this.#watched?.statusChanged?.disconnect(this.#onStatus);
    this.#watched?.connectionStatusChanged?.disconnect(this.#onConnection);
    this.#watched?.disposed?.disconnect(this.#onDisposed);
    this.#watched = null;
    this.#cut = false;
    this.#endWait();
  }

  #onStatus: Slot = (_, status) => {
    if (GONE.has(status)) this.#told.gone?.(true);
    else if (status === "idle") this.#told.idle?.();
  };

  #onConnection: Slot = (_, status) => {
    this.#endWait();
    if (status !== "connected") {
      if (!this.#cut) this.#told.cut?.();
      this.#cut = true;
    } else if (this.#cut) {
      this.#manager?.restored?.connect(this.#onRestored);
      this.#patience = setTimeout(
        () => this.#onRestored(null),
        this.#manager?.restored ? RESTORED_WITHIN : 0,
      );
    }
  };

  #onRestored: Slot = () => {
    this.#endWait();
    this.#cut = false;
    this.#told.back?.();
  };

  #endWait(): void {
    clearTimeout(this.#patience);
    this.#manager?.restored?.disconnect(this.#onRestored);
  }

  #onDisposed: Slot = () => {
    this.#leave();
    this.#told.gone?.(false);
  };
}
