/** Light or dark, as the host is: notebooks name their background in variables, other pages paint it. */

const BACKGROUNDS = ["--jp-layout-color0", "--jp-layout-color1", "--vscode-editor-background"];
/** A theme's style sheet may come after the attribute that announces it. */
const SETTLE = [0, 120, 600];

/** Relative luminance (WCAG) of a CSS colour such as `rgb(17, 17, 17)`, or null if it is see-through or not one. */
export function luminance(color: string): number | null {
  const parts = color.match(/[\d.]+%?/g)?.map(Number.parseFloat);
  if (!/^rgba?\(/.test(color) || !parts || parts.length < 3 || (parts[3] ?? 1) < 0.5) return null;
  const linear = parts.slice(0, 3).map((part) => {
    const share = part / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * (linear[0] ?? 0) + 0.7152 * (linear[1] ?? 0) + 0.0722 * (linear[2] ?? 0);
}

/** Whether the page around an element is dark. */
export function isDark(host: Element): boolean {
  const style = getComputedStyle(host);
  const probe = document.createElement("span");
  probe.style.display = "none";
  host.append(probe);
  try {
    for (const name of BACKGROUNDS) {
      const value = style.getPropertyValue(name).trim();
      if (!value) continue;
      probe.style.backgroundColor = "";
      probe.style.backgroundColor = value;
      const light = luminance(getComputedStyle(probe).backgroundColor);
      if (light !== null) return light < 0.2;
    }
  } finally {
    probe.remove();
  }
  for (const node of [document.body, document.documentElement]) {
    const light = luminance(getComputedStyle(node).backgroundColor);
    if (light !== null) return light < 0.2;
  }
  return matchMedia("(prefers-color-scheme: dark)").matches;
}

/**
 * Keeps `data-theme` of an element at `light` or `dark`.
 *
 * @param root - element to mark
 * @param changed - called after the theme changed
 * @param signal - ends the watching
 */
export function followTheme(root: HTMLElement, changed: () => void, signal: AbortSignal): void {
  const timers = new Set<ReturnType<typeof setTimeout>>();
  const look = () => {
    const theme = isDark(root) ? "dark" : "light";
    if (root.dataset.theme === theme) return;
    root.dataset.theme = theme;
    changed();
  };
  const lookSoon = () => {
    for (const wait of SETTLE) {
      const timer = setTimeout(() => {
        timers.delete(timer);
        look();
      }, wait);
      timers.add(timer);
    }
  };
  const observer = new MutationObserver(lookSoon);
  for (const node of [document.body, document.documentElement]) observer.observe(node, { attributes: true });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", lookSoon, { signal });
  signal.addEventListener(
    "abort",
    () => {
      observer.disconnect();
      for (const timer of timers) clearTimeout(timer);
    },
    { once: true },
  );
  look();
  lookSoon();
}
