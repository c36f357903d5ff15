/** What the host itself knows of the kernel: JupyterLab says when it restarts or ends. Asking nothing costs nothing. */

type Slot = (sender: unknown, status?: unknown) => void;

interface HostSignal {
  connect(slot: Slot): unknown;
  disconnect(slot: Slot): unknown;
}

/** A kernel as JupyterLab's managers of widgets have it. */
export interface HostKernel {
  status?: unknown;
  statusChanged?: HostSignal;
  disposed?: HostSignal;
}

/** What a kernel is on its way from one life to the next, or to none. */
const GONE: ReadonlySet<unknown> = new Set(["restarting", "autorestarting", "terminating", "dead"]);

/**
 * Listens to the host's kernel, where the host shows it, until a signal aborts.
 *
 * @param manager - the host's manager of widgets
 * @param gone - called when the kernel answers no more; with true if all that lived in it is lost
 * @param signal - ends the listening
 * @returns looks whether there is a kernel now that was not there before
 */
export function watchHost(
  manager: unknown,
  gone: (forGood: boolean) => void,
  signal: AbortSignal,
): () => void {
  let watched: HostKernel | null = null;
  const onStatus: Slot = (_, status) => {
    if (GONE.has(status)) gone(true);
  };
  const onDisposed: Slot = () => gone(false);
  const leave = () => {
    watched?.statusChanged?.disconnect(onStatus);
    watched?.disposed?.disconnect(onDisposed);
    watched = null;
  };
  signal.addEventListener("abort", leave, { once: true });

  return () => {
    const kernel = (manager as { kernel?: HostKernel | null } | undefined)?.kernel;
    if (!kernel || kernel === watched || signal.aborted) return;
    leave();
    watched = kernel;
    kernel.statusChanged?.connect(onStatus);
    kernel.disposed?.connect(onDisposed);
  };
}
