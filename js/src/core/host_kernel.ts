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

/** What a kernel is on its way from one life to the next, or to none; "starting" comes after the old one's last words. */
const GONE: ReadonlySet<unknown> = new Set([
  "restarting",
  "autorestarting",
  "starting",
  "terminating",
  "dead",
]);

/**
 * Listens to the host's kernel, where the host shows it, until a signal aborts.
 *
 * @param manager - the host's manager of widgets
 * @param gone - called when all that lived in the kernel is lost
 * @param signal - ends the listening
 * @returns looks whether there is a kernel now that was not there before
 */
export function watchHost(manager: unknown, gone: () => void, signal: AbortSignal): () => void {
  let watched: HostKernel | null = null;
  const onStatus: Slot = (_, status) => {
    if (GONE.has(status)) gone();
  };
  const leave = () => {
    watched?.statusChanged?.disconnect(onStatus);
    watched?.disposed?.disconnect(gone);
    watched = null;
  };
  signal.addEventListener("abort", leave, { once: true });

  return () => {
    const kernel = (manager as { kernel?: HostKernel | null } | undefined)?.kernel;
    if (!kernel || kernel === watched || signal.aborted) return;
    leave();
    watched = kernel;
    kernel.statusChanged?.connect(onStatus);
    kernel.disposed?.connect(gone);
  };
}
