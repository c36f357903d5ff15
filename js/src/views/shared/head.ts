/** The head: what this is, how far it is, and the button that starts and stops. */
import { h, icon, on, setAttribute, setText, show } from "../../core/dom";
import { announcer } from "../../core/timing";
import { type Answering, busyWords, shortWords, unheardWords } from "./answering";
import { makePopover } from "./popover";

/** A screen reader hears of progress at most this often, in milliseconds. */
const ANNOUNCE = 2_000;

/** What the head says now. */
export interface HeadWords {
  title: string;
  subtitle: string;
  /** The status line. */
  status: string;
  /** What the button that computes says; empty if there is nothing to do. */
  verb: string;
  /** What the kernel's silence means; empty if it answers. */
  silence: string;
  computing: boolean;
  done: boolean;
  /** Share of the work that is done, from 0 to 1. */
  progress: number;
}

export interface Head {
  node: HTMLElement;
  update(words: HeadWords): void;
  /** Opens or closes the list of keys. */
  toggleKeys(): void;
}

interface Context {
  kernel: Answering & { expect(progress: boolean): void };
  act: { start(): void; stop(): void };
  signal: AbortSignal;
}

/**
 * Makes the head, with the progress line and the kernel's chip under it.
 *
 * @param context - the view's
 * @param list - keys and what they do
 */
export function makeHead(context: Context, list: readonly [string[], string][]): Head {
  const { kernel, act, signal } = context;
  const title = h("h2");
  const sub = h("span", { class: "mut" });
  const status = h("span", { class: "mut", "aria-hidden": "true" });
  const spoken = h("span", { class: "vh", role: "status", "aria-live": "polite" });
  const job = h("button", { class: "link", type: "button" });
  const keys = h(
    "button",
    { class: "icon", type: "button", "aria-label": "Keys", "aria-haspopup": "dialog", title: "Keys (?)" },
    icon("keys"),
  );
  const bar = h("i");
  const progress = h(
    "div",
    {
      class: "prog",
      role: "progressbar",
      "aria-label": "Computing",
      "aria-valuemin": 0,
      "aria-valuemax": 100,
    },
    bar,
  );
  const chipText = h("span");
  const chip = h("p", { class: "chip sm mut", role: "status", hidden: true }, icon("kernel"), chipText);
  const head = h(
    "header",
    { class: "head" },
    title,
    sub,
    chip,
    h("span", { class: "sp" }),
    h("span", { class: "ctl" }, status, spoken, job, keys),
  );
  const node = h("div", { class: "top" }, head, progress);
  const popover = makePopover(keys, "Keys", listKeys(list), signal);
  const announce = announcer(spoken, ANNOUNCE, signal);
  let computing = false;

  node.append(popover.node);
  on(job, "click", () => (computing ? act.stop() : act.start()), signal);

  return {
    node,
    toggleKeys: () => popover.toggle(),
    update(words) {
      computing = words.computing;
      kernel.expect(computing);
      const unheard = computing ? unheardWords(kernel) : "";
      const told = unheard || words.status;
      setText(title, words.title);
      setText(sub, words.subtitle);
      setText(status, told);
      announce(told);
      setText(job, words.verb);
      show(job, words.verb !== "" && kernel.state !== "saved");
      job.disabled = words.silence !== "";
      setAttribute(job, "title", words.silence || null);
      const share = Math.round(100 * words.progress);
      bar.style.width = words.done ? "0%" : `${share}%`;
      setAttribute(progress, "data-on", computing && !unheard ? 1 : 0);
      setAttribute(progress, "aria-valuenow", share);
      setAttribute(progress, "aria-valuetext", told);
      const why = words.silence || busyWords(kernel);
      setText(chipText, why);
      setAttribute(chip, "data-short", shortWords(kernel));
      setAttribute(chip, "title", why);
      show(chip, why !== "");
    },
  };
}

/** Lists keys, and what they do. */
export function listKeys(list: readonly [string[], string][]): HTMLElement {
  const rows = list.flatMap(([keys, meaning]) => [
    h("dt", {}, ...keys.map((key) => h("kbd", {}, key))),
    h("dd", {}, meaning),
  ]);
  return h("dl", { class: "keys" }, ...rows);
}
