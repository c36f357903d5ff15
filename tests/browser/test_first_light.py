"""The first notebook and the view in a real JupyterLab."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from lab_driver import write_notebook
from nbclient import NotebookClient

pytestmark = pytest.mark.browser

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "01_where_does_it_look.ipynb"
REAL = """
import whatwhere as ww
model = ww.load_model("efficientnet_lite0", device="cpu")
view = ww.AttributionView(model, ww.examples.photos(), method=ww.Sobol(grid=8, rows={rows}))
view
"""
PIXELS = """ww => {
  const canvas = [...ww.querySelectorAll("canvas")].sort((a, b) => b.width * b.height - a.width * a.height)[0];
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let sum = 0;
  for (let i = 0; i < data.length; i += 4) sum = (sum * 31 + data[i] + 3 * data[i + 1] + 7 * data[i + 2]) % 1000000007;
  return sum;
}"""


def open_view(lab, name, rows):
    write_notebook(lab.server.root / f"{name}.ipynb", [REAL.format(rows=rows)])
    lab.open(f"{name}.ipynb")
    lab.run_all()


def test_the_first_notebook_as_a_newcomer_runs_it(lab, screenshots):
    shutil.copy(NOTEBOOK, lab.server.root)
    lab.open(NOTEBOOK.name)
    lab.run_all()
    lab.view(ready=1)
    lab.until("Number(ww.dataset.rows) >= 4 && ww.dataset.preview === '0'")
    view = lab.view(ready=1)
    assert view.get_attribute("data-class") == "967"

    # Another of the ten strongest classes: drawn by the browser, while the kernel computes.
    view.get_by_role("radio", name=re.compile(r"^cup \d")).click()
    lab.until("ww.dataset.class === '968'")

    # Stop: the second cell is waiting for the job meanwhile, and the cells after it then run.
    view.get_by_role("button", name="Stop").click()
    lab.until("ww.dataset.state === 'partial'")
    lab.until_python("view.job.state == 'stopped' and view.colormap == 'viridis'")

    before = view.evaluate(PIXELS)
    view.get_by_label("Opacity").focus()
    for _ in range(5):
        lab.page.keyboard.press("ArrowLeft")
    lab.until_python("view.opacity == 0.75")
    assert view.evaluate(PIXELS) != before
    view.scroll_into_view_if_needed()
    view.screenshot(path=screenshots / "stopped.png")
    view.get_by_role("button", name="Continue").click()
    lab.until("ww.dataset.state === 'done'")
    assert lab.python("print(view.attribution.rows)") == "32"
    page = lab.server.root / "where_does_it_look.html"
    assert 50_000 < page.stat().st_size < 600_000


def test_light_and_dark(lab, screenshots):
    open_view(lab, "themes", rows=8)
    view = lab.view(state="done")
    for theme in ("Light", "Dark"):
        lab.theme(f"JupyterLab {theme}")
        lab.until(f"ww.dataset.theme === '{theme.lower()}'")
        view.screenshot(path=screenshots / f"lab-{theme.lower()}.png")
    colours = view.evaluate("ww => [getComputedStyle(ww).color, getComputedStyle(ww).backgroundColor]")
    red = int(colours[0].split("(")[1].split(",")[0])
    assert red > 180, f"text on the dark theme is {colours[0]}"
    lab.theme("JupyterLab Light")


def test_a_class_that_is_not_stored_is_asked_of_the_kernel(lab):
    open_view(lab, "other", rows=4)
    view = lab.view(state="done")
    field = view.get_by_placeholder("Other class")
    field.fill("expresso")
    field.press("Enter")
    view.get_by_role("button", name="espresso maker").wait_for()
    field.fill("tench")
    field.press("Enter")
    lab.until("ww.dataset.class === '0'")
    assert lab.python("print(view.selected_class)") == "0"


def test_another_photo_is_computed_when_it_is_chosen(lab):
    open_view(lab, "photos", rows=4)
    lab.view(state="done", image="coffee")
    view = lab.view()
    view.get_by_role("button", name="chelsea").or_(view.get_by_role("radio", name="chelsea")).first.click()
    lab.view(state="done", image="chelsea")
    assert lab.python("print(view.selected_image, sorted(view.attributions))") == "chelsea ['chelsea', 'coffee']"
    lab.python("view.selected_image = 'coffee'; view.selected_class = 'cup'; view.colormap = 'viridis'")
    lab.view(image="coffee", **{"class": "968"})


def test_keyboard_only(lab):
    open_view(lab, "keys", rows=512)
    view = lab.view(ready=1, preview=0)
    view.get_by_role("radio", name=re.compile(r"^espresso \d")).focus()
    lab.page.keyboard.press("ArrowDown")
    lab.until("ww.dataset.class !== '967'")
    lab.page.keyboard.press("?")
    view.get_by_role("dialog").wait_for()
    lab.page.keyboard.press("Escape")
    view.get_by_role("dialog").wait_for(state="hidden")
    lab.page.keyboard.press("Escape")
    lab.until("ww.dataset.state === 'partial'")
    # Lab's own keys do nothing inside: x would cut the cell, b would add one.
    cells = lab.page.locator(".jp-Cell").count()
    view.get_by_role("application").focus()
    for key in ("b", "x", "ArrowRight", "ArrowDown"):
        lab.page.keyboard.press(key)
    view.get_by_text(re.compile(r"row \d, column \d", re.IGNORECASE)).first.wait_for()
    assert lab.page.locator(".jp-Cell").count() == cells


def test_reloading_the_page_during_a_job(lab):
    open_view(lab, "reload", rows=512)
    lab.view(ready=1, preview=0)
    lab.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    lab.reload()
    lab.view(ready=1)
    first = int(lab.view(ready=1).get_attribute("data-rows"))
    lab.until(f"Number(ww.dataset.rows) > {first}")
    lab.view().get_by_role("button", name="Stop").click()
    lab.until("ww.dataset.state === 'partial'")


def test_a_restarted_kernel_is_said_and_what_is_drawn_still_works(lab):
    open_view(lab, "restart", rows=4)
    view = lab.view(state="done")
    lab.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    lab.page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"
    )
    view.get_by_role("radio", name=re.compile(r"^cup \d")).click()
    lab.until("ww.dataset.class === '968'")
    view.get_by_role("radio", name=re.compile(r"^consomme \d")).click()
    lab.until("ww.dataset.class === '925' && ww.dataset.kernel === '0'")
    lab.errors.clear()  # JupyterLab reports the futures that its restart cancelled


FAILING = """
import numpy as np, torch, whatwhere as ww
class Net(torch.nn.Module):
    left = 60
    def forward(self, x):
        Net.left -= 1
        if Net.left < 0:
            raise OSError("no disk left for this batch")
        return torch.stack([x[:, 0, :60].mean((1, 2)), x.mean((1, 2, 3)), x.amax((1, 2, 3))], 1)
pre = ww.Preprocess(resize=224, crop=(224, 224), mean=(0, 0, 0), std=(1, 1, 1))
model = ww.VisionModel(Net(), preprocess=pre, class_names=["top", "all", "peak"], name="Fails", device="cpu")
view = ww.AttributionView(model, ww.examples.photos()["chelsea"])
view
"""


def test_a_failed_job_says_what_happened_and_keeps_its_map(lab, screenshots):
    write_notebook(lab.server.root / "failing.ipynb", [FAILING])
    lab.open("failing.ipynb")
    lab.run_all()
    view = lab.view(state="failed", ready=1)
    view.get_by_text("no disk left for this batch").first.wait_for()
    assert int(view.get_attribute("data-seq")) > 0
    view.screenshot(path=screenshots / "failed.png")
    lab.python("Net.left = 10**9")
    view.get_by_role("button", name="Try again").first.click()
    lab.view(state="done")


def test_a_host_without_widgets_shows_the_picture(lab, screenshots):
    """A notebook that is not trusted, as after a download: JupyterLab shows no widget, but the picture beside it."""
    name = "saved.ipynb"
    write_notebook(lab.server.root / name, [REAL.format(rows=2), "view.job.wait(); None", "view"])
    notebook = nbformat.read(lab.server.root / name, 4)
    NotebookClient(notebook, timeout=120, store_widget_state=False).execute()
    nbformat.write(notebook, lab.server.root / name)
    lab.open(name)
    picture = lab.page.locator(".jp-OutputArea img").last
    picture.scroll_into_view_if_needed()
    assert "looks for espresso" in picture.get_attribute("alt")
    assert picture.evaluate("img => img.naturalWidth") == 480
    lab.page.screenshot(path=screenshots / "fallback.png")
