/** What is said of the kernel: that nothing can be asked, and why, or that an answer takes its time. */
import type { KernelState, Trouble } from "../../core/kernel";

/** The other end of a view's messages, as far as words depend on it. */
export interface Answering {
  readonly state: KernelState;
  readonly trouble?: Trouble;
}

const DRAWN = "What is drawn still works";
const WHY: Record<Trouble, string> = {
  "": "",
  busy: `The kernel is busy: it answers when its cell ends. ${DRAWN}.`,
  mute: `No answer from the kernel. ${DRAWN}; if this stays so, restart it and run the cell again.`,
  cut: `No connection to the kernel. ${DRAWN}; Python hears what you choose once it is back.`,
  gone: `No kernel answers. ${DRAWN}; run the cell again to compute more.`,
};
/** The same where there is little room. */
const SHORT: Record<Trouble, string> = {
  "": "",
  busy: "Kernel busy",
  mute: "No answer",
  cut: "No connection",
  gone: "No kernel",
};

/**
 * Why nothing can be asked of the kernel; empty if it can.
 *
 * @param saved - what is said in an exported page
 */
export function silenceWords({ state, trouble }: Answering, saved: string): string {
  if (state === "saved") return saved;
  return state === "silent" ? WHY[trouble || "gone"] : "";
}

/** What takes its time, though it can be asked; empty if nothing does. */
export function busyWords({ state, trouble }: Answering): string {
  return state !== "silent" && trouble === "busy" ? WHY.busy : "";
}

/** What the matter is, in two words, or null. */
export function shortWords({ state, trouble }: Answering): string | null {
  return SHORT[state === "silent" ? trouble || "gone" : (trouble ?? "")] || null;
}

/** How far a computation is said to be that nothing is heard of; empty where it is heard of. */
export function unheardWords({ state, trouble }: Answering): string {
  if (state !== "silent") return "";
  return trouble === "gone" ? "Ended with its kernel" : "Progress not known";
}
