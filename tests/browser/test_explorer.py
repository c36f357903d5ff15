"""The Explorer in a real JupyterLab and in an exported page: three columns, one instrument."""

from __future__ import annotations

import re

import pytest
from lab_driver import write_notebook
from reach import tab_stops, violations

import whatwhere as ww

pytestmark = pytest.mark.browser

CELL = """
import torch; torch.set_num_threads(1)
import numpy as np
import whatwhere as ww
model = ww.load_model("efficientnet_lite0", device="cpu")
rng = np.random.default_rng(0)
photos = {}
for name, photo in ww.examples.photos().items():
    for k in range(4):
        side = int(min(photo.shape[:2]) * 0.8)
        top, left = (int(rng.integers(0, length - side + 1)) for length in photo.shape[:2])
        photos[f"{name} {k + 1}"] = photo[top:top + side, left:left + side]
explorer = ww.Explorer(model, photos, method=ww.Sobol(grid=4, rows=4))
explorer
"""
ROOTS = """(function all(root) {
  return [...root.querySelectorAll("*")].flatMap((e) =>
    e.shadowRoot ? [...[...e.shadowRoot.children].filter((c) => c.matches(".ww")), ...all(e.shadowRoot)] : []);
})(document)"""


def until_shown(page, **wanted):
    """Wait until the views agree upon what is shown."""
    page.wait_for_function(
        f"""(wanted) => {{
          const roots = {ROOTS};
          return Object.entries(wanted).every(([name, value]) =>
            roots.filter((root) => name in root.dataset).every((root) => root.dataset[name] === value)
            && roots.some((root) => name in root.dataset));
        }}""",
        arg=wanted,
        timeout=60_000,
    )


def photo(page, name):
    return page.locator(".part.where").get_by_role("radio", name=re.compile(f"^{name}")).first


def test_one_cell_shows_all_of_it_linked(lab, screenshots):
    write_notebook(lab.server.root / "explorer.ipynb", [CELL])
    lab.open("explorer.ipynb")
    lab.run_all()
    lab.until_python("explorer.why.job.state == 'done' and explorer.where.job.state == 'done'")
    page = lab.page
    until_shown(page, explained="all", image="coffee 1")
    assert page.locator(".part").count() == 3

    photo(page, "rocket 2").click()
    until_shown(page, image="rocket 2")
    lab.until_python("explorer.selected_image == explorer.what.selected_image == 'rocket 2'")
    lab.python("explorer.selected_image = 'chelsea 3'")
    until_shown(page, image="chelsea 3")

    chooser = page.get_by_label("Concepts of")
    texts = chooser.locator("option").all_inner_texts()
    assert texts[0] == "all photos (16)"
    name = texts[1].rsplit(" (", 1)[0]
    chooser.select_option(label=texts[1])
    lab.until_python("explorer.explained is not None and explorer.why.job.state == 'done'")
    lab.until_python(f"model.class_names.label(explorer.explained) == {name!r}")
    target = lab.python("print(explorer.explained)")
    until_shown(page, explained=target)
    page.locator(".part.what .face").first.wait_for()
    lab.python("explorer.concepts_of = 'all'")
    until_shown(page, explained="all")
    page.screenshot(path=screenshots / "explorer.png")

    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    lab.reload()
    until_shown(page, explained="all", image="chelsea 3")
    photo(page, "coffee 1").click()
    lab.until_python("explorer.selected_image == 'coffee 1'")


def test_a_page_from_disk_holds_all_of_it_and_reacts(browser, model, photos, tmp_path, screenshots):
    explorer = ww.Explorer(model, photos, method=ww.Sobol(grid=4, rows=4))
    explorer.start()
    explorer.wait(120)
    path = explorer.to_html(tmp_path / "explorer.html")
    context = browser.new_context(viewport={"width": 1164, "height": 900}, offline=True)
    page = context.new_page()
    noted = []
    page.on("console", lambda m: noted.append(m.text) if m.type in {"error", "warning"} else None)
    page.on("pageerror", lambda e: noted.append(str(e)))
    page.goto(path.as_uri())
    until_shown(page, image="coffee")
    photo(page, "chelsea").click()
    until_shown(page, image="chelsea")
    page.locator(".part.what .face").nth(1).click()
    until_shown(page, selected=str(explorer.bank.ids[1]))
    page.screenshot(path=screenshots / "explorer-page.png", full_page=True)
    assert violations(page) == []
    seen = tab_stops(page, most=150)
    assert seen == list(range(len(seen))), "Tab reaches each place once"
    assert 30 <= len(seen) < 150
    for width in (672, 432):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function("() => document.documentElement.scrollWidth <= window.innerWidth")
    context.close()
    assert noted == []
    explorer.close()
