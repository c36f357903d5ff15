/** One Tab stop for a group of buttons; arrows walk inside it. */
import { on } from "./dom";

/**
 * Makes the arrow keys walk over a group's buttons.
 *
 * @param group - its buttons are found anew at each key
 * @param choose - called with the button that the walk arrives at
 * @param signal - ends the listening
 * @param selector - finds the buttons
 */
export function walkWithArrows(
  group: HTMLElement,
  choose: (button: HTMLElement) => void,
  signal: AbortSignal,
  selector = "[data-key]",
): void {
  on(
    group,
    "keydown",
    (event) => {
      const buttons = [...group.querySelectorAll<HTMLElement>(selector)];
      const here = buttons.indexOf(event.target as HTMLElement);
      const target =
        here < 0 ? undefined : buttons[nextPlace(event.key, here, buttons, group.dataset.flow === "list")];
      if (!target) return;
      event.preventDefault();
      event.stopPropagation();
      target.focus();
      choose(target);
    },
    signal,
  );
}

function nextPlace(key: string, here: number, buttons: HTMLElement[], list: boolean): number {
  const columns = list ? 1 : countColumns(buttons);
  const last = buttons.length - 1;
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[key];
  if (key === "Home") return 0;
  if (key === "End") return last;
  if (step === undefined) return -1;
  const next = here + step;
  return next < 0 || next > last ? -1 : next;
}

/** How many buttons stand in the first line, as laid out now. */
function countColumns(buttons: HTMLElement[]): number {
  const top = buttons[0]?.getBoundingClientRect().top;
  const next = buttons.findIndex((button) => button.getBoundingClientRect().top !== top);
  return Math.max(1, next < 0 ? buttons.length : next);
}
