"""Figures of the first release: engine overhead, time to the first and the full map, class switch, sizes.

Run ``python tests/benchmarks/first_light.py`` on an idle machine; it needs ``pip install -e ".[test]"`` and, for the
figures of the browser, Debian's chromium. Figures are printed as rows of a table for ``RESULTS.md``.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "browser"))

CELL = """
import time, whatwhere as ww
model = ww.load_model("efficientnet_lite0", device="cpu")
photos = ww.examples.photos()
ready = time.time()
"""
SHOW = """
shown_at = time.time()
first = []
view = ww.AttributionView(model, photos)
view.observe(lambda c: first.append(time.time()), "_seq")
view
"""


def row(what: str, figure: str) -> None:
    print(f"| {what} | {figure} |", flush=True)


def import_seconds() -> float:
    code = "import time; t = time.perf_counter(); import whatwhere; print(time.perf_counter() - t)"
    runs = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout) for _ in range(7)
    ]
    return statistics.median(runs)


def engine() -> None:
    """Self time, the ratio to the bare network, and the full map, without a browser."""
    import torch

    import whatwhere as ww
    from whatwhere.pixels.images import read_photo

    model, photo = ww.load_model("efficientnet_lite0", device="cpu"), ww.examples.photos()["coffee"]
    one = model.to_input(model.preprocess.pixels(read_photo(photo)))
    batch = one.repeat(model.batch_size, 1, 1, 1).contiguous(memory_format=torch.channels_last)
    inside = [0.0]
    forward = model.net.forward

    def timed(x):
        begin = time.perf_counter()
        out = forward(x)
        inside[0] += time.perf_counter() - begin
        return out

    def bare(count: int) -> float:
        with torch.inference_mode():
            begin = time.perf_counter()
            for _ in range(count):
                forward(batch)
            return (time.perf_counter() - begin) / (count * model.batch_size)

    bare(10)
    ratios, selves, totals = [], [], []
    for _ in range(3):
        before = bare(60)
        model.net.forward = timed
        inside[0] = 0.0
        begin = time.perf_counter()
        record = ww.Sobol(grid=8, rows=32).run(model, photo, progress=False)
        total = time.perf_counter() - begin
        model.net.forward = forward
        per_forward = (before + bare(60)) / 2
        forwards = record.n_forwards + record.provenance.n_extra
        ratios.append(total / (forwards * per_forward))
        selves.append(total / inside[0] - 1)
        totals.append(total)
    row("full 8 x 8 x 32 map in a script, 2,080 forwards, s (3 runs)", ", ".join(f"{t:.1f}" for t in totals))
    row("time outside the network / inside it (same run)", ", ".join(f"{s:.3f}" for s in selves))
    row("rho = seconds x bare rate / forwards (bracketed)", ", ".join(f"{r:.2f}" for r in ratios))


def browser() -> None:
    """Times in a real JupyterLab, and sizes of what is saved."""
    import nbformat
    from lab_driver import CHROMIUM, FLAGS, Lab, jupyter, write_notebook
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as root, tempfile.TemporaryDirectory() as scratch:
        path = Path(root, "bench.ipynb")
        write_notebook(path, [CELL, SHOW])
        with jupyter(Path(root), Path(scratch)) as server, sync_playwright() as driver:
            chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            lab = Lab(chromium.new_page(viewport={"width": 1280, "height": 1000}), server)
            lab.open(path.name)
            lab.run_all()
            lab.until("Number(ww.dataset.seq) > 0 && ww.dataset.ready === '1'")
            painted = time.time()
            preview = lab.view().get_attribute("data-preview")
            lab.until("ww.dataset.state === 'done'")
            done = time.time()
            shown_at, sent = json.loads(lab.python("print([shown_at, first[0]])"))
            row("cell run to first map sent by the kernel, s", f"{sent - shown_at:.2f}")
            row(
                f"cell run to first map on screen, s ({'preview' if preview == '1' else 'first rows'})",
                f"{painted - shown_at:.2f}",
            )
            row("cell run to the full map on screen, s", f"{done - shown_at:.1f}")
            row("class switch among the stored, ms (median of 20, then worst)", switch(lab))
            lab.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
            lab.page.wait_for_timeout(2000)
            lab.shut_down()
            chromium.close()
        saved = nbformat.read(path, 4)
        state = saved.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {})
        row(
            "saved notebook with one view of four photos, KB",
            f"{path.stat().st_size / 1024:.0f} (state saved: {bool(state)})",
        )


def switch(lab) -> str:
    """Time from a click to the end of the drawing, in the browser."""
    times = lab.page.evaluate(
        """async () => {
          const host = [...document.querySelectorAll("*")].find((e) => e.shadowRoot?.querySelector(".ww"));
          const radios = [...host.shadowRoot.querySelectorAll("[role=radio]")].slice(0, 10);
          const times = [];
          for (let i = 1; i <= 20; i++) {
            const start = performance.now();
            radios[i % radios.length].click();
            await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
            times.push(performance.now() - start);
          }
          return times;
        }"""
    )
    return f"{statistics.median(times):.0f}, {max(times):.0f} (to the end of the next frame)"


def main() -> None:
    import torch

    import whatwhere as ww

    print(f"{time.strftime('%Y-%m-%d')}, {platform.machine()}, {os.cpu_count()} cores", end=", ")
    print(f"Python {platform.python_version()}, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}")
    print("\n| what | figure |\n| --- | --- |")
    row("`import whatwhere`, s (median of 7 processes)", f"{import_seconds():.3f}")
    static = Path(ww.__file__).parent / "static"
    row("front end of the view, KB", f"{(static / 'attribution.js').stat().st_size / 1024:.1f}")
    browser()
    engine()


if __name__ == "__main__":
    main()
