"""How fluid StrategyView is with many photos: frames a second while one pans and looks closer, without a GPU.

    python tests/benchmarks/strategy_view.py [photos …]

Photos are random points of 12 concepts; the page is an exported one in headless Chromium with software rendering. A
frame is one that the browser has presented while the pointer moves, or the wheel turns, at every frame: a pan moves a
layer that is larger than what is seen, and a zoom stretches it until it rests, from 20,000 photos on. Choosing a
concept draws all photos anew: the time of one such frame is told beside it. Wall time: a loaded machine is slower.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))
from _strategy_toys import made_graph
from lab_driver import CHROMIUM, FLAGS
from playwright.sync_api import sync_playwright

import whatwhere as ww

COUNTS = (1_000, 10_000, 100_000)
FRAMES = 90
# Moves, or turns the wheel, once a frame; returns milliseconds between frames and what the longest script took.
DRIVE = """async ({ kind, frames }) => {
  const root = [...document.querySelectorAll("*")].map((e) => e.shadowRoot?.querySelector(".ww")).find(Boolean);
  const frame = root.querySelector(".cloud");
  frame.focus();
  frame.setPointerCapture = () => {};
  const box = frame.getBoundingClientRect();
  const at = (k) => ({
    bubbles: true, pointerId: 1, button: 0, cancelable: true,
    clientX: box.left + box.width / 2 + 120 * Math.sin(k / 9), clientY: box.top + box.height / 2 + 60 * Math.cos(k / 7),
  });
  const next = () => new Promise((resolve) => requestAnimationFrame(resolve));
  if (kind === "pan") frame.dispatchEvent(new PointerEvent("pointerdown", at(0)));
  const times = [];
  let last = await next();
  for (let k = 1; k <= frames; k++) {
    if (kind === "choose") root.querySelectorAll(".key")[k % 2].click();
    else if (kind === "zoom")
      frame.dispatchEvent(new WheelEvent("wheel", { ...at(0), deltaY: k % 60 < 30 ? -60 : 60 }));
    else frame.dispatchEvent(new PointerEvent("pointermove", at(k)));
    const now = await next();
    times.push(now - last);
    last = now;
  }
  frame.dispatchEvent(new PointerEvent("pointerup", at(frames)));
  return times;
}"""


def graph_of(count: int):
    """Make photos in 12 clouds, one of them misread in ten."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 12, count)
    phi = rng.gamma(0.3, 0.3, (count, 12)) + 2 * np.eye(12)[group]
    middles = rng.normal(size=(12, 2)) * 1.5
    positions = middles[group] + 0.35 * rng.normal(size=(count, 2))
    return made_graph(phi, labels=(rng.random(count) < 0.1).astype(int), positions=positions)


def measure(count: int, folder: Path) -> None:
    """Print the figures of one number of photos."""
    view = ww.StrategyView(graph_of(count))
    page_file = view.to_html(folder / f"{count}.html")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, headless=True)
        page = browser.new_page(viewport={"width": 1132, "height": 900})
        page.goto(page_file.as_uri())
        page.locator(".ww[data-ready='1']").wait_for(timeout=120_000)
        told = []
        for kind in ("hover", "pan", "zoom", "choose"):
            times = np.array(page.evaluate(DRIVE, {"kind": kind, "frames": FRAMES}))
            if kind == "choose":
                told.append(f"a concept chosen: {np.median(times):.0f} ms")
            else:
                told.append(f"{kind} {1000 / times.mean():.0f} frames/s (95 %: {np.quantile(times, 0.95):.0f} ms)")
        print(f"{count:>7,} photos: {', '.join(told)}; page {page_file.stat().st_size / 1e6:.1f} MB", flush=True)
        browser.close()
    view.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        for wanted in [int(each) for each in sys.argv[1:]] or COUNTS:
            measure(wanted, Path(made))
