"""How large a saved notebook and an exported page are, and how long the page takes to open."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

_SIDE = 224  # pixels of a photo
_SETUP = """
import torch; torch.set_num_threads(1)
import numpy as np, whatwhere as ww
model = ww.load_model("efficientnet_lite0", device="cpu")
"""
_VIEWS = {
    "nothing": "",
    "AttributionView, four photos, 8 x 8 cells": """
view = ww.AttributionView(model, ww.examples.photos(), method=ww.Sobol(grid=8, rows=4))
view.start(); view.job.wait()
view""",
    "ConceptExplorer, 10 concepts, 50 photos": """
from _views_size import parts
bank = ww.Craft(n_concepts=10, fit_on="locations").run(model, parts(50), progress=False)
view = ww.ConceptExplorer(bank, model)
view.start(); view.job.wait()
view""",
}
# Notes when the view is there, as the page itself sees it: frames are looked at from the first one on.
_READY = """
const look = () => {
  const ww = [...document.querySelectorAll("#ww-root *")].map((e) => e.shadowRoot?.querySelector(".ww")).find(Boolean);
  if (ww?.dataset.ready === "1") window.wwReady = performance.now();
  else requestAnimationFrame(look);
};
requestAnimationFrame(look);
"""
_CLICK = """() => {
  const ww = [...document.querySelectorAll("#ww-root *")].map((e) => e.shadowRoot?.querySelector(".ww")).find(Boolean);
  const before = ww.dataset.selected;
  ww.querySelectorAll(".face")[1].click();
  return before !== ww.dataset.selected;
}"""


def parts(count: int) -> dict[str, Any]:
    """Cut photos from the packaged ones, so that nothing is downloaded.

    Parameters
    ----------
    count : int
        How many.

    Returns
    -------
    dict of str to ndarray of shape (224, 224, 3), uint8
        By name; the same in every process.
    """
    import whatwhere as ww

    rng = np.random.default_rng(0)
    real = [np.stack([p] * 3, -1) if p.ndim == 2 else p[..., :3] for p in ww.examples.photos().values()]
    found = {}
    for n in range(count):
        photo = real[n % len(real)]
        top, left = (int(rng.integers(side - _SIDE)) for side in photo.shape[:2])
        found[f"part {n}"] = photo[top : top + _SIDE, left : left + _SIDE]
    return found


def notebooks() -> list[dict[str, Any]]:
    """Save notebooks with their widgets' state.

    Returns
    -------
    list of dict
        By view, how much larger the notebook is for it.
    """
    import nbformat
    from nbclient import NotebookClient

    rows, bare = [], 0.0
    for name, cell in _VIEWS.items():
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(_SETUP + cell)])
        folder = str(Path(__file__).parent)
        NotebookClient(
            notebook, timeout=600, store_widget_state=True, resources={"metadata": {"path": folder}}
        ).execute()
        size = len(nbformat.writes(notebook).encode()) / 1024
        bare = bare or size
        rows.append({"view": name, "KB": f"{size - bare:.0f}"})
    return rows[1:]


def page_of_concepts(count: int) -> list[dict[str, Any]]:
    """Export a view of ten concepts and fifty photos, and open it from disk.

    Parameters
    ----------
    count : int
        How often.

    Returns
    -------
    list of dict
        Rows of a table.
    """
    from _views_interactions import quantiles
    from lab_driver import CHROMIUM, FLAGS
    from playwright.sync_api import sync_playwright

    import whatwhere as ww

    model = ww.load_model("efficientnet_lite0", device="cpu")
    bank = ww.Craft(n_concepts=10, fit_on="locations").run(model, parts(50), progress=False)
    view = ww.ConceptExplorer(bank, model)
    view.start().wait()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        path = view.to_html(Path(folder, "page.html"))
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        times, answered = [], 0
        for _ in range(count):
            context = chromium.new_context(viewport={"width": 1132, "height": 900}, offline=True)
            context.add_init_script(_READY)
            page = context.new_page()
            page.goto(path.as_uri())
            page.wait_for_function("() => window.wwReady")
            times.append(page.evaluate("() => window.wwReady"))
            answered += page.evaluate(_CLICK)
            context.close()
        chromium.close()
        size = path.stat().st_size / 1024
    view.close()
    return [
        {
            "page": "ConceptExplorer, 10 concepts, 50 photos",
            "KB": f"{size:,.0f}",
            "ms from opening until it is drawn and answers, p50, p95": quantiles(times),
            "first click answered": f"{answered} of {count}",
        }
    ]
