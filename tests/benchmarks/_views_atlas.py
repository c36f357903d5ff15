"""What a click on a class takes until its page is drawn: with the kernel, and on an exported page without one."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from _views_interactions import Traffic, quantiles

if TYPE_CHECKING:
    from _views_interactions import Watch
    from lab_driver import Lab

    import whatwhere as ww

NO_PHOTOS = "Not measured: the shared photographs are not on this machine (set WHATWHERE_SHARED)."
_PHOTOS, _CONCEPTS = 40, 10  # of a class

# The atlas's root, and the roots of the views inside it; drawn is all of the page, heading, concepts and photos.
_FIND = """
const roots = (from) => [...from.querySelectorAll("*")].map((e) => e.shadowRoot?.querySelector(".ww")).filter(Boolean);
const atlas = () => roots(document).find((ww) => "page" in ww.dataset);
const drawn = (id) => {
  const ww = atlas();
  if (ww?.dataset.page !== String(id) || ww.dataset.ready !== "1") return false;
  return [...ww.querySelectorAll(".part")].every((part) =>
    part.closest("[hidden]") || roots(part)[0]?.dataset.ready === "1");
};
const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
"""
_CLICK = f"""async (id) => {{{_FIND}
  const start = performance.now();
  atlas().querySelector(`.class[data-key="${{id}}"]`).click();
  while (!drawn(id)) await frame();
  return performance.now() - start;
}}"""
_DRAWN = f"(id) => {{{_FIND} return drawn(id); }}"
_LIKE = f"""(id) => {{{_FIND} return drawn(id) && atlas().dataset.similar === "1"; }}"""


def make_atlas(model: ww.VisionModel) -> ww.Atlas | None:
    """Make an atlas of ten classes.

    Parameters
    ----------
    model : VisionModel
        The network.

    Returns
    -------
    Atlas or None
        In memory; None where there are no photographs.
    """
    from _concepts_bench import class_folders, class_photos

    import whatwhere as ww

    images, labels = {}, {}
    for folder in class_folders():
        found = class_photos(folder, _PHOTOS)
        images |= found
        labels |= dict.fromkeys(found, int(folder[:3]))
    if not images:
        return None
    craft = ww.Craft(n_concepts=_CONCEPTS, fit_on="locations")
    return ww.Atlas.of(model, images, sorted(set(labels.values())), labels=labels, craft=craft, progress=False)


def with_kernel(lab: Lab, watch: Watch, count: int) -> list[dict[str, str]]:
    """Open class after class in JupyterLab, each once the one before is at rest.

    Parameters
    ----------
    lab : Lab
        The page, with ``view``.
    watch : Watch
        Of its websocket.
    count : int
        How many clicks of a kind.

    Returns
    -------
    list of dict
        Rows of a table.
    """
    ids = [int(each) for each in lab.python("print(*view.atlas)").split()]
    lab.python("import time")
    rows = []
    for name, order in (("a class, its page is new", ids), ("one of the two classes looked at last", ids[:2])):
        for target in order[-2:]:  # the two that are kept; the last is shown, and the first comes next
            _open(lab, target)
        times, spent, kernel, watch.traffic = [], 0.0, 0.0, Traffic()
        for target in itertools.islice(itertools.cycle(order), count):
            before, used = watch.processor, float(lab.python("print(time.process_time())"))
            since = watch.traffic.received_bytes
            times.append(lab.page.evaluate(_CLICK, target))
            drawn = float(lab.python("print(time.process_time())"))
            spent, kernel = spent + watch.processor - before, kernel + 1000 * (drawn - used)
            received = watch.traffic.received_bytes - since
            _rest(lab, target)
        rows.append(
            {
                "click on": name,
                "ms to its page, p50, p95": quantiles(times),
                "processor of the page, ms": f"{spent / len(times):.0f}",
                "of the kernel, ms": f"{kernel / len(times):.0f}",
                "received last, bytes": f"{received:,}",
            }
        )
    return rows


def _open(lab: Lab, target: int) -> None:
    lab.page.evaluate(_CLICK, target)
    _rest(lab, target)


def _rest(lab: Lab, target: int) -> None:
    """Wait until nothing is computed of a class any more."""
    lab.page.wait_for_function(_LIKE, arg=target)
    lab.until_python("view.what.job.state == 'done' and view.why.job.state == 'done'")
    lab.page.wait_for_timeout(300)


def without_kernel(model: ww.VisionModel, count: int) -> list[dict[str, str]]:
    """Open class after class on an exported page, which is opened anew when all were seen.

    Parameters
    ----------
    model : VisionModel
        The network.
    count : int
        How many clicks of a kind.

    Returns
    -------
    list of dict
        Rows of a table; none where there are no photographs.
    """
    from lab_driver import CHROMIUM, FLAGS
    from playwright.sync_api import sync_playwright

    import whatwhere as ww

    atlas = make_atlas(model)
    if atlas is None:
        return []
    view = ww.AtlasView(atlas, model)
    times: dict[str, list[float]] = {"a class, for the first time": [], "a class that was looked at": []}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        path = view.to_html(Path(folder, "atlas.html"))
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        while min(map(len, times.values())) < count:
            context = chromium.new_context(viewport={"width": 1132, "height": 900}, offline=True)
            page = context.new_page()
            page.goto(path.as_uri())
            page.wait_for_function(_DRAWN, arg=view.selected)
            ids = [target for target in atlas if target != view.selected]
            for taken in times.values():
                for target in ids:
                    page.wait_for_timeout(100)
                    taken.append(page.evaluate(_CLICK, target))
            context.close()
        chromium.close()
        size = path.stat().st_size / 2**20
    view.close()
    page_of = f"{len(atlas)} classes, {size:.1f} MB"
    return [
        {"exported page": page_of, "click on": name, "ms to its page, p50, p95": quantiles(taken[:count])}
        for name, taken in times.items()
    ]
