"""Every view beside its picture: light, dark and narrow, as an exported page, and once in a real JupyterLab.

After a change that is meant, ``pytest tests/browser/test_pictures.py --new-pictures`` keeps the new pictures, and
writes the screenshots at full size to ``screenshots/pictures``: look at them.
"""

from __future__ import annotations

import base64
import math
import re
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
from lab_driver import PATIENCE, write_notebook
from pictures import Album
from PIL import ImageFont

import whatwhere as ww

pytestmark = pytest.mark.browser

KEPT = Path(__file__).parent / "pictures"
# How many views are in one, itself among them.
VIEWS = {"attribution": 1, "concepts": 1, "strategies": 1, "prototypes": 1, "atlas": 3, "explorer": 4}
LOOKS = {"light": ("light", 1132), "dark": ("dark", 1132), "narrow": ("light", 640)}
IN_LAB = ("light", "dark")
LAB_WIDTH = 1100  # whatever room JupyterLab leaves
MARGIN = 32  # of an exported page, both sides
SECONDS = 2  # what is said of each computation, which takes another time each day

TRUTH = {"coffee": "espresso", "chelsea": "Egyptian cat", "rocket": "missile", "camera": "tripod"}
METHOD = "ww.Sobol(grid=5, rows=8)"
CELL = f"""
import torch; torch.set_num_threads(1)
import whatwhere as ww
model = ww.load_model("efficientnet_lite0", device="cpu")
photos = ww.examples.photos()
view = ww.AttributionView(model, {{k: photos[k] for k in ("coffee", "chelsea")}}, method={METHOD})
view
"""
# All text in one font, which comes with Pillow: with another one lines break elsewhere.
FONT = """
(() => {{
  const bytes = Uint8Array.from(atob("{data}"), (c) => c.charCodeAt(0));
  document.fonts.add(new FontFace("Pictured", bytes.buffer));
  const use = () => document.documentElement.style.setProperty("--jp-ui-font-family", "Pictured, sans-serif");
  document.addEventListener("DOMContentLoaded", use);
}})();
"""


class Pages:
    """Exported pages of real results, each computed once it is asked for."""

    def __init__(self, model, photos, folder):
        self.model, self.photos, self.folder = model, photos, folder
        self._written = {}

    def __getitem__(self, name):
        """Return the page of a view."""
        if name not in self._written:
            view = getattr(self, f"_{name}")()
            path = view.to_html(self.folder / f"{name}.html")
            view.close()
            text = re.sub(r'"seconds":[0-9.e+-]+', f'"seconds":{SECONDS}', path.read_text(encoding="utf-8"))
            path.write_text(text, encoding="utf-8")
            self._written[name] = path
        return self._written[name]

    @cached_property
    def parts(self):
        """Parts of the photos; those of one are read as two classes, which have a concept in common."""
        rng = np.random.default_rng(0)
        parts = {}
        for name, photo in self.photos.items():
            for k in range(12 if name == "rocket" else 5):
                side = int(min(photo.shape[:2]) * 0.7)
                top, left = (int(rng.integers(0, length - side + 1)) for length in photo.shape[:2])
                parts[f"{name} {k + 1}"] = photo[top : top + side, left : left + side]
        return parts

    @cached_property
    def labels(self):
        """What the parts are, whatever they are read as."""
        return {name: TRUTH[name.split()[0]] for name in self.parts}

    @cached_property
    def explored(self):
        """The Explorer, whose records others show as well; places by principal components, which rounding leaves."""
        explorer = ww.Explorer(
            self.model,
            self.parts,
            labels=self.labels,
            method=ww.Sobol(grid=5, rows=8),
            concepts=ww.Craft(n_concepts=5, fit_on="locations"),
            strategies=ww.Strategies(layout="pca"),
            concepts_of="all",
            selected_image="camera 1",
        )
        explorer.start()
        explorer.wait(120)
        return explorer

    def _attribution(self):
        photos = {name: self.photos[name] for name in ("coffee", "chelsea")}
        view = ww.AttributionView(self.model, photos, method=ww.Sobol(grid=5, rows=8))
        view.start().wait(120)
        return view

    def _concepts(self):
        return ww.ConceptExplorer(self.explored.bank, self.model, self.parts, selected_image="camera 1")

    def _strategies(self):
        return ww.StrategyView(self.explored.graph, self.model, self.parts, bank=self.explored.bank)

    def _prototypes(self):
        # Each step enlarges what rounding did in those before it: after twelve they are others on another machine.
        method = ww.Maco(steps=2, crops=4, size=224, seed=0)
        grown = method.submit(self.model, ["espresso", "tench", "Egyptian cat"]).wait(120)
        view = ww.PrototypeView(grown, model=self.model, images=self.photos)
        view.start().wait(120)
        return view

    def _atlas(self):
        craft = ww.Craft(n_concepts=4, fit_on="locations")
        classes = ["drilling platform", "missile", "espresso", "mosque"]  # there are too few photos for the last
        atlas = ww.Atlas.of(self.model, self.parts, classes, labels=self.labels, craft=craft, progress=False)
        found = atlas.similar()[0].here
        view = ww.AtlasView(atlas, self.model, self.parts, selected=found[0])
        view.concept = found[1]
        return view

    def _explorer(self):
        return self.explored


@pytest.fixture(scope="module")
def pages(model, photos, tmp_path_factory):
    return Pages(model, photos, tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="module")
def album(screenshots, request):
    return Album(KEPT, screenshots / "pictures", renew=request.config.getoption("--new-pictures"))


@pytest.fixture(scope="module")
def font():
    data = ImageFont.load_default(16).font_bytes
    return FONT.format(data=base64.b64encode(data).decode("ascii"))


def all_of(page):
    """Return the view in a window that it fits in: Chromium scrolls strips back where it draws more than the window."""
    view = page.locator(".ww").first
    box = view.bounding_box()
    height = math.ceil(box["y"] + box["height"] + MARGIN)
    page.set_viewport_size({"width": page.viewport_size["width"], "height": height})
    return view


def resting(view):
    """Return a screenshot once it is the same twice: photos are decoded and drawn in their own time."""
    before = None
    for _ in range(50):
        now = view.screenshot(animations="disabled", caret="hide")
        if now == before:
            return now
        before = now
        view.page.wait_for_timeout(100)
    raise AssertionError("the view does not come to rest")


@pytest.fixture
def page(browser, font, look):
    """An empty page, as wide as a look wants it."""
    scheme, width = LOOKS[look]
    context = browser.new_context(
        color_scheme=scheme,
        reduced_motion="reduce",
        offline=True,
        viewport={"width": width + MARGIN, "height": 900},
    )
    context.add_init_script(font)
    opened = context.new_page()
    opened.set_default_timeout(1000 * PATIENCE)
    yield opened
    context.close()


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", VIEWS)
def test_a_page_is_as_it_was_looked_at(page, pages, album, name, look):
    page.goto(pages[name].as_uri())
    page.locator(".ww[data-ready='1']").nth(VIEWS[name] - 1).wait_for()
    album.check(f"{name}-{look}", resting(all_of(page)))


def test_a_notebook_is_as_it_was_looked_at(lab, album, font):
    lab.page.add_init_script(font)
    lab.page.emulate_media(reduced_motion="reduce")
    write_notebook(lab.server.root / "pictures.ipynb", [CELL])
    lab.open("pictures.ipynb")
    lab.run_all()
    lab.view(ready=1, state="done")
    view = lab.view()
    lab.python(f"view.write(_status={{**view._status, 'seconds': {SECONDS}}})")
    view.evaluate(f"ww => {{ ww.getRootNode().host.style.width = '{LAB_WIDTH}px'; }}")
    view.scroll_into_view_if_needed()
    for look in IN_LAB:
        lab.theme(f"JupyterLab {look.capitalize()}")
        album.check(f"lab-{look}", resting(view))


def test_no_picture_is_left_over_and_all_are_small():
    known = {f"{name}-{look}" for name in VIEWS for look in LOOKS} | {f"lab-{look}" for look in IN_LAB}
    assert {path.stem for path in KEPT.iterdir()} == known
    assert sum(path.stat().st_size for path in KEPT.iterdir()) < 400_000
