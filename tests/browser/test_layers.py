"""Layers, scores and partners of AttributionView in a real JupyterLab, and in its exported page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lab_driver import write_notebook
from PIL import Image

pytestmark = pytest.mark.browser

CELL = """
import whatwhere as ww
model = ww.load_model("efficientnet_lite0", device="cpu")
photos = {name: ww.examples.photos()[name] for name in ("coffee", "chelsea")}
view = ww.AttributionView(model, photos, method=ww.Sobol(grid=6, rows=8, first_order=True))
view
"""


def test_layers_scores_and_partners(lab, browser, screenshots):
    write_notebook(lab.server.root / "layers.ipynb", [CELL])
    lab.open("layers.ipynb")
    lab.run_all()
    view = lab.view(state="done")

    view.get_by_role("radio", name="Sign").click()
    lab.until("ww.dataset.index === 'slope'")
    lab.until_python("view.index == 'slope'")
    largest = float(lab.python("print(abs(view.attribution.values(kind='slope')).max())"))
    assert f"+{largest:.2f} logits, for" in view.locator(".legend").inner_text()
    view.screenshot(path=screenshots / "sign.png")
    view.get_by_role("radio", name="Sign").press("Home")
    view.get_by_label("Score").select_option("softmax")
    lab.until("ww.dataset.index === 'total' && ww.dataset.score === 'softmax'")
    view.get_by_label("Score").select_option("logit")

    # A click searches for a cell's partners; the other index, the button and Escape go back.
    picture = view.get_by_role("application")
    box = picture.bounding_box()
    picture.click(position={"x": box["width"] / 2, "y": box["height"] / 2})
    lab.until("ww.dataset.partners === 'done'")
    assert lab.python("print(view._pairs['found']['forwards'])") == str(8 * 16)
    view.screenshot(path=screenshots / "partners.png")
    picture.press("Escape")
    lab.until("ww.dataset.partners === ''")
    lab.until_python("view._pairs == {}")
    for _ in range(2):
        picture.press("ArrowLeft")
    picture.press("Enter")
    lab.until("ww.dataset.partners === 'done'")
    view.get_by_role("button", name="Back").click()
    lab.until("ww.dataset.partners === ''")

    # The exported page holds the layers.
    path = Path(lab.python("print(view.to_html('layers.html').resolve())"))
    assert path.stat().st_size < 250_000
    context = browser.new_context(offline=True)
    page = context.new_page()
    noted = []
    page.on("pageerror", lambda e: noted.append(str(e)))
    page.goto(path.as_uri())
    page.get_by_role("radio", name="First order").click()
    page.locator(".ww[data-index='first']").wait_for()
    page.get_by_role("radio", name="Sign").click()
    page.locator(".ww[data-index='slope']").wait_for()
    page.get_by_role("radio", name="Uncertainty").click()
    page.locator(".ww[data-index='error']").wait_for()
    page.get_by_label("Score").select_option("margin")
    page.locator(".ww[data-index='error'][data-score='margin']").wait_for()
    page.get_by_role("radio", name="Sign").click()
    page.get_by_text("Not stored in this page").wait_for()
    context.close()
    assert noted == []


def test_uncertainty_is_a_layer(lab, screenshots):
    write_notebook(lab.server.root / "uncertainty.ipynb", [CELL])
    lab.open("uncertainty.ipynb")
    lab.run_all()
    view = lab.view(state="done")

    # Alone and beside the total index; Python has it both ways.
    view.get_by_role("radio", name="Uncertainty").click()
    lab.until("ww.dataset.index === 'error'")
    lab.until_python("view.index == 'error'")
    largest = float(lab.python("print(view.attribution.standard_error().max())"))
    assert f"{largest:.{2 if largest >= 0.095 else 3}f} of the variance, standard error" in view.inner_text()
    view.screenshot(path=screenshots / "uncertainty.png")
    view.get_by_role("button", name="Side by side").click()
    lab.until("ww.dataset.panels === '4'")
    for name in ("First order", "Sign"):
        view.get_by_role("checkbox", name=name).press("Space")
    lab.until_python("view.layers == ['total', 'error']")
    view.screenshot(path=screenshots / "uncertainty_beside.png")

    # what is saved is both maps side by side, as wide as two photos
    with lab.page.expect_download() as saving:
        view.get_by_role("button", name="Save picture").click()
    assert saving.value.suggested_filename.endswith("_Total_Uncertainty.png")
    saving.value.save_as(screenshots / "uncertainty_saved.png")
    panels = view.locator(".panels .pic")
    boxes = [panels.nth(k).bounding_box() for k in range(2)]
    across = boxes[1]["x"] + boxes[1]["width"] - boxes[0]["x"]
    with Image.open(screenshots / "uncertainty_saved.png") as saved:
        pixels = np.asarray(saved.convert("RGB"), dtype=int)
    halves = np.array_split(pixels[: pixels.shape[0] // 2], 2, axis=1)
    assert all(half.std() > 30 for half in halves)  # a photo in each
    assert pixels.shape[1] / across > 1  # at least as large as on the page
    lab.python("view.layers = ['total', 'slope', 'error']")
    lab.until("ww.dataset.layers === 'total slope error' && ww.dataset.panels === '3'")
    view.get_by_role("button", name="Side by side").press("Enter")
    lab.until("ww.dataset.panels === '0'")
    lab.until_python("view.layers == []")
    view.get_by_role("radio", name="Total").click()
    lab.until("ww.dataset.index === 'total'")
