/** The head: what this is, how far it is, and the button that starts and stops. */
import { h, icon, on, setAttribute, setText, show } from "../../core/dom";
import { announcer } from "../../core/timing";
import type { Context, Part } from "./context";
import { makePopover } from "./popover";
import { jobVerb, KEYS, kernelWords, progressOf, statusWords, subtitle } from "./words";

/** A screen reader hears of progress at most this often, in milliseconds. */
const ANNOUNCE = 2_000;

export interface HeadPart extends Part {
  /** Opens or closes the list of keys. */
  toggleKeys(): void;
}

/** Makes the head, with the progress line and the kernel's chip under it. */
export function makeHead(context: Context): HeadPart {
  const { model, kernel, act, signal } = context;
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
  const popover = makePopover(keys, "Keys", listKeys(), signal);
  const announce = announcer(spoken, ANNOUNCE, signal);
  let computing = false;

  node.append(popover.node);
  on(job, "click", () => (computing ? act.stop() : act.start()), signal);

  return {
    node,
    toggleKeys: () => popover.toggle(),
    update(shown) {
      computing = shown.status.state === "computing";
      const words = statusWords(shown.status, shown.map);
      const verb = jobVerb(shown.status);
      const silence = kernelWords(kernel.state);
      setText(title, model.get("_title"));
      setText(sub, subtitle(model.get("_images")?.length ?? 0));
      setText(status, words);
      announce(words);
      setText(job, verb);
      show(job, verb !== "" && kernel.state !== "saved");
      job.disabled = silence !== "";
      setAttribute(job, "title", silence || null);
      const share = Math.round(100 * progressOf(shown.status));
      bar.style.width = shown.status.state === "done" ? "0%" : `${share}%`;
      setAttribute(progress, "data-on", computing ? 1 : 0);
      setAttribute(progress, "aria-valuenow", share);
      setAttribute(progress, "aria-valuetext", words);
      setText(chipText, silence);
      show(chip, silence !== "");
    },
  };
}

function listKeys(): HTMLElement {
  const rows = KEYS.flatMap(([keys, meaning]) => [
    h("dt", {}, ...keys.map((key) => h("kbd", {}, key))),
    h("dd", {}, meaning),
  ]);
  return h("dl", { class: "keys" }, ...rows);
}
