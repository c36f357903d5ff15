"""Figures of the Explorer: when each stage is there, how long a choice takes to reach all parts, and its exported page.

``python tests/benchmarks/explorer.py`` measures all and prints the tables for ``RESULTS.md``. Photos come from the
shared folder (``WHATWHERE_SHARED``). Times are by the wall, since a person waits by it, with as many threads as there
are cores: a loaded machine is slower. The model is loaded before the clock starts; its first use is not.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))
from _bench import Options, machine, say, table
from _concepts_bench import ConceptOptions, bare_forward, load, some_photos
from lab_driver import CHROMIUM, FLAGS
from playwright.sync_api import sync_playwright

import whatwhere as ww

if TYPE_CHECKING:
    from collections.abc import Callable

PARTS = ("stages", "page")
PATIENCE = 600
CHOICES = 30
THREADS = os.cpu_count() or 1
# All parts' roots, in the order of the page: the Explorer's own first.
ROOTS = """(function all(root) {
  return [...root.querySelectorAll("*")].flatMap((e) =>
    e.shadowRoot ? [...[...e.shadowRoot.children].filter((c) => c.matches(".ww")), ...all(e.shadowRoot)] : []);
})(document)"""
# Clicks photos of the strip in turn, and waits until maps, concepts and photos by reason show each; milliseconds.
CHOOSE = f"""async ([count, places]) => {{
  const [, where, what, why] = {ROOTS};
  const buttons = [...where.querySelectorAll(".strip button")];
  const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
  const times = [];
  for (let k = 0; k < count; k++) {{
    const before = why.dataset.here;
    const start = performance.now();
    buttons[places[(k + 1) % places.length]].click();
    while (what.dataset.image !== where.dataset.image || why.dataset.here === before) await frame();
    times.push(performance.now() - start);
  }}
  return times;
}}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to run")
    parser.add_argument("--photos", type=int, default=300, help="of the stages, default 300")
    parser.add_argument("--page-photos", type=int, default=50, help="of the exported page, default 50")
    arguments = parser.parse_args()
    print(f"## Explorer\n\n{machine(Options(threads=THREADS))}.\n", flush=True)
    if "stages" in arguments.only:
        print(f"{table(('what', 'seconds', 'wanted'), stages(arguments.photos))}\n", flush=True)
    if "page" in arguments.only:
        print(table(("what", "figure", "wanted"), page(arguments.page_photos)), flush=True)


def stages(count: int) -> list[dict[str, Any]]:
    """Wait for each stage of one Explorer, as a person does who ran the cell."""
    model = load(ConceptOptions(threads=THREADS))
    photos = some_photos(count)
    seen: dict[str, float] = {}
    begin = time.perf_counter()
    explorer = ww.Explorer(model, photos)
    first = explorer.where.job
    seen["made: photos and controls can be shown"] = time.perf_counter() - begin
    explorer.start()
    waiting: dict[str, Callable[[], bool]] = {
        "prediction of the first photo, and a coarse map": lambda: first.record is not None,
        "a map of the method itself": lambda: first.record is not None and not first.record.preview,
        "all photos looked at": lambda: explorer._pages.surveyed,
        "concepts": lambda: explorer.what.job.state == "done",
        "photos by reason": lambda: explorer.why.job.state == "done",
        "the whole map": lambda: first.state == "done",
    }
    while waiting and time.perf_counter() - begin < PATIENCE:
        for name in [name for name, there in waiting.items() if there()]:
            seen[name] = time.perf_counter() - begin
            say(f"{name}: {seen[name]:.2f} s")
            del waiting[name]
        time.sleep(0.002)
    if waiting:
        raise TimeoutError(f"not there after {PATIENCE} s: {list(waiting)}")
    bare = count * bare_forward(model, "cpu")
    explorer.close()
    wanted = {"prediction of the first photo, and a coarse map": "< 1", "a map of the method itself": "< 5"}
    rows = [
        {"what": name, "seconds": f"{seconds:.2f}", "wanted": wanted.get(name, "")} for name, seconds in seen.items()
    ]
    return [
        *rows,
        {"what": f"{count} bare forwards, CPU seconds of one thread", "seconds": f"{bare:.2f}", "wanted": ""},
    ]


def page(count: int) -> list[dict[str, Any]]:
    """Write one page, open it from disk, and choose photos in it."""
    model = load(ConceptOptions(threads=THREADS))
    explorer = ww.Explorer(model, some_photos(count), method=ww.Sobol(grid=8, rows=8))
    explorer.start()
    explorer.wait(PATIENCE)
    graph = explorer.graph
    known = set() if graph is None else set(graph.images)
    places = [k for k, name in enumerate(explorer.where.images) if name in known][:8]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = explorer.to_html(Path(folder) / "explorer.html")
        size = file.stat().st_size
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, headless=True)
        ready = []
        for _ in range(5):
            shown = browser.new_page(viewport={"width": 1164, "height": 900})
            begin = time.perf_counter()
            shown.goto(file.as_uri(), wait_until="commit")
            shown.wait_for_function(
                f"() => {{ const r = {ROOTS}; return r.length === 4 && r.every((x) => x.dataset.ready); }}"
            )
            ready.append(time.perf_counter() - begin)
            times = np.array(shown.evaluate(CHOOSE, [CHOICES, places]))
            shown.close()
        browser.close()
    concepts = explorer.bank.rank if explorer.bank is not None else 0
    explorer.close()
    return [
        {
            "what": f"page of {count} photos and {concepts} concepts",
            "figure": f"{size / 1e6:.2f} MB",
            "wanted": "< 8 MB",
        },
        {
            "what": "interactive from disk, five times",
            "figure": f"{np.median(ready):.2f} s ({min(ready):.2f} to {max(ready):.2f})",
            "wanted": "< 1.5 s",
        },
        {
            "what": f"a photo chosen, until all parts show it, {CHOICES} times: median, 95 %",
            "figure": f"{np.median(times):.0f} ms, {np.quantile(times, 0.95):.0f} ms",
            "wanted": "< 100 ms",
        },
    ]


if __name__ == "__main__":
    main()
