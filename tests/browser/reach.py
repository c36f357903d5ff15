"""Whether everybody gets everywhere: what axe-core finds, and the way of the Tab key."""

from __future__ import annotations

from pathlib import Path

import pytest

AXE = Path(__file__).parents[2] / "js" / "node_modules" / "axe-core" / "axe.min.js"
_HERE = """() => {
  let node = document.activeElement;
  while (node.shadowRoot?.activeElement) node = node.shadowRoot.activeElement;
  if (node === document.body) return null;
  window.__seen = [...(window.__seen ?? []), node];
  return window.__seen.indexOf(node);
}"""


def violations(page) -> list[str]:
    """Ask axe-core; skips where it is not installed."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed: npm install --no-save in js/")
    script = AXE.read_text(encoding="utf-8") + "; axe.run().then((r) => r.violations.map((v) => v.id + ': ' + v.help))"
    return page.evaluate(script)


def tab_stops(page, *, most: int = 60) -> list[int]:
    """Press Tab from the top of the page to its end; return when each place was first reached."""
    seen: list[int] = []
    page.locator("body").click(position={"x": 2, "y": 2})
    while len(seen) < most:
        page.keyboard.press("Tab")
        here = page.evaluate(_HERE)
        if here is None:
            break
        seen.append(here)
    return seen
