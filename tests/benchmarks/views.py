"""Figures of the views: what an interaction takes, on the page and on the wire; memory, notebooks, pages, an atlas.

Run ``python tests/benchmarks/views.py`` on an idle machine; it needs ``pip install -e ".[test]"`` and Debian's
chromium. ``--calm 1.5`` waits before each part until the load is lower than that, at most ``--patience`` seconds.
Figures are printed as tables for ``RESULTS.md``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))

from _bench import Options, machine, say, table
from _views_atlas import NO_PHOTOS, with_kernel, without_kernel
from _views_interactions import INTERACTIONS, Watch, interact, kernel_round_trips, stops
from _views_memory import redisplays
from _views_size import notebooks, page_of_concepts
from lab_driver import CHROMIUM, FLAGS, Lab, jupyter, write_notebook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PHOTOS = 60
SETUP = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
import torch; torch.set_num_threads(1)
import whatwhere as ww
from whatwhere.widgets import _errands
from _views_size import parts
photos = parts({PHOTOS})
model = ww.load_model("efficientnet_lite0", device="cpu")
spent = []  # seconds that the worker took for each answer
run = _errands.Errands.run
def noted(self, key, name, steps, finished, rid=None):
    return run(self, key, name, steps, lambda e: (spent.append(e.job.seconds), finished(e)), rid)
_errands.Errands.run = noted
"""
ATTRIBUTION = """
view = ww.AttributionView(model, dict(list(photos.items())[:6]), method=ww.Sobol(grid=8, rows=4))
view
"""
LONG = """
view = ww.AttributionView(model, dict(list(photos.items())[:1]), method=ww.Sobol(grid=8, rows=4096))
view
"""
CONCEPTS = """
bank = ww.Craft(n_concepts=10, fit_on="locations").run(model, photos, progress=False)
view = ww.ConceptExplorer(bank, model)
view
"""

ATLAS = """
from _views_atlas import make_atlas
atlas = make_atlas(model)
view = atlas and ww.AtlasView(atlas, model)
view
"""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=50, help="interactions of a kind")
    parser.add_argument("--displays", type=int, default=50)
    parser.add_argument("--calm", type=float, default=1.5, help="1-minute load below which a part begins")
    parser.add_argument("--patience", type=float, default=0, help="seconds to wait for it, at most")
    parts = ["attribution", "concepts", "stop", "memory", "notebooks", "page", "atlas"]
    parser.add_argument("--only", nargs="+", choices=parts)
    return parser.parse_args()


def loads(told: argparse.Namespace) -> str:
    """Wait for a calm machine, and say how calm it is."""
    end = time.monotonic() + told.patience
    while os.getloadavg()[0] >= told.calm and time.monotonic() < end:
        time.sleep(5)
    return f"1-minute load {os.getloadavg()[0]:.1f} at the start"


@contextlib.contextmanager
def lab_on(cells: list[str]) -> Iterator[tuple[Lab, Watch]]:
    """Open a notebook in a JupyterLab of its own, and run it."""
    from playwright.sync_api import sync_playwright

    with (
        tempfile.TemporaryDirectory() as root,
        tempfile.TemporaryDirectory() as scratch,
        jupyter(Path(root), Path(scratch)) as server,
        sync_playwright() as driver,
    ):
        write_notebook(Path(root, "bench.ipynb"), cells)
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = chromium.new_page(viewport={"width": 1280, "height": 1000})
        watch = Watch(page)
        lab = Lab(page, server)
        lab.open("bench.ipynb")
        lab.run_all()
        try:
            yield lab, watch
        finally:
            lab.shut_down()
            chromium.close()


def view_of(kind: str, told: argparse.Namespace) -> None:
    """Measure the interactions of a view with the kernel, what it answers, and the same without it."""
    load = loads(told)
    with lab_on([SETUP, ATTRIBUTION if kind == "attribution" else CONCEPTS]) as (lab, watch):
        settle(lab, kind)
        alive = {name: interact(lab, watch, *each, told.count) for name, each in INTERACTIONS[kind].items()}
        say(f"{kind}: interactions with the kernel")
        answers = kernel_round_trips(lab, watch, kind, told.count)
        say(f"{kind}: round trips; load {os.getloadavg()[0]:.1f}")
        lab.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        lab.page.wait_for_timeout(10_500)  # a sign of life counts for ten seconds
        lab.view().hover()
        lab.until("ww.dataset.kernel === '0'")
        alone = {name: interact(lab, watch, *each, told.count) for name, each in INTERACTIONS[kind].items()}
    shown = [title for title in next(iter(alone.values())) if "ms" in title]
    rows = [
        {"interaction": name, **alive[name], **{f"without the kernel: {k}": alone[name][k] for k in shown}}
        for name in alive
    ]
    print(f"\n### {kind}: {load}, {os.getloadavg()[0]:.1f} at the end\n")
    print(table(list(rows[0]), rows))
    print()
    print(table(list(answers[0]), answers))


def settle(lab: Lab, kind: str) -> None:
    """Wait until all is computed that a person would wait for."""
    lab.view(ready=1)
    if kind == "attribution":
        lab.python("for name in list(view._jobs): view.selected_image = name; view.job.wait()")
        lab.python("view.selected_image = 'part 0'")
    else:
        lab.until_python("view.job.state == 'done' and view._effects")
    lab.view(state="done", ready=1)
    lab.view().scroll_into_view_if_needed()


def main() -> None:
    told = arguments()
    parts: dict[str, Callable[[], Any]] = {
        "attribution": lambda: view_of("attribution", told),
        "concepts": lambda: view_of("concepts", told),
        "stop": lambda: stop(told),
        "memory": lambda: memory(told),
        "notebooks": lambda: print("\n" + table(["view", "KB"], notebooks())),
        "page": lambda: page(told),
        "atlas": lambda: atlas(told),
    }
    print(machine(Options()))
    for name, part in parts.items():
        if not told.only or name in told.only:
            part()


def stop(told: argparse.Namespace) -> None:
    load = loads(told)
    with lab_on([SETUP, LONG]) as (lab, _):
        lab.until("ww.dataset.state === 'computing' && Number(ww.dataset.rows) > 0")
        lab.python("view.stop()")
        lab.until_python("view.job.state == 'stopped'")
        rows = stops(lab, told.count)
    print(f"\n### stop: {load}\n")
    print(table(list(rows[0]), rows))


def memory(told: argparse.Namespace) -> None:
    load = loads(told)
    rows = []
    for kind, cell in (("AttributionView", ATTRIBUTION), ("ConceptExplorer", CONCEPTS)):
        with lab_on([SETUP, cell, "view"]) as (lab, _):
            settle(lab, "attribution" if kind == "AttributionView" else "concepts")
            rows.append({"widget": kind, **redisplays(lab, told.displays)})
    with lab_on(["import ipywidgets\nview = ipywidgets.FloatSlider()\nview", "1", "view"]) as (lab, _):
        lab.page.locator(".widget-slider").first.wait_for()
        rows.append({"widget": "ipywidgets.FloatSlider, to compare", **redisplays(lab, told.displays)})
    print(f"\n### memory: {load}\n")
    print(table(list(rows[0]), rows))


def page(told: argparse.Namespace) -> None:
    load = loads(told)
    print(f"\n### page: {load}\n")
    rows = page_of_concepts(told.count)
    print(table(list(rows[0]), rows))


def atlas(told: argparse.Namespace) -> None:
    import whatwhere as ww

    load = loads(told)
    print(f"\n### atlas: {load}\n")
    alone = without_kernel(ww.load_model("efficientnet_lite0", device="cpu"), told.count)
    if not alone:
        print(NO_PHOTOS)
        return
    with lab_on([SETUP, ATLAS]) as (lab, watch):
        lab.page.locator('.ww[data-page][data-ready="1"]').wait_for()
        lab.until_python("view.what.job.state == 'done'")
        alive = with_kernel(lab, watch, told.count)
    for rows in (alive, alone):
        print(table(list(rows[0]), rows))
        print()


if __name__ == "__main__":
    main()
