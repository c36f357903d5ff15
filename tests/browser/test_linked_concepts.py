"""An AttributionView and a ConceptExplorer that share a selection, in a real JupyterLab and in an exported page."""

from __future__ import annotations

import re

import pytest
from lab_driver import write_notebook

import whatwhere as ww

pytestmark = pytest.mark.browser

CELLS = [
    """
import torch; torch.set_num_threads(1)
import whatwhere as ww
model = ww.load_model("efficientnet_lite0", device="cpu")
photos = ww.examples.photos()
selection = ww.Selection(images=["chelsea"])
maps = ww.AttributionView(model, photos, method=ww.Sobol(grid=4, rows=4), selection=selection)
maps
""",
    """
job = ww.Craft(n_concepts=4, fit_on="locations").submit(model, photos)
concepts = ww.ConceptExplorer(job, model, photos, selection=selection)
concepts
""",
]
ROOTS = """[...document.querySelectorAll("*")].map((e) => e.shadowRoot?.querySelector(".ww")).filter(Boolean)"""


def until_shown(page, image, concepts):
    """Wait until both views show a photo, and the second these concepts."""
    page.wait_for_function(
        f"""([image, concepts]) => {{
          const [maps, seen, ...rest] = {ROOTS}.map((ww) => ww.dataset);
          return !rest.length && maps?.image === image && seen?.image === image && seen.selected === concepts;
        }}""",
        arg=[image, " ".join(map(str, concepts))],
    )


def photo(page, view, name):
    return page.locator(".ww").nth(view).get_by_role("radio", name=re.compile(f"^{name}")).first


def test_maps_and_concepts_follow_each_other(lab, screenshots):
    write_notebook(lab.server.root / "linked-concepts.ipynb", CELLS)
    lab.open("linked-concepts.ipynb")
    lab.run_all()
    lab.view(state="done", ready=1, concepts=4)
    lab.until_python("concepts.job.state == 'done' and maps.job.state == 'done'")
    ids = [int(k) for k in lab.python("print(*concepts.ids)").split()]
    until_shown(lab.page, "chelsea", ids[:1])
    assert lab.python("print(selection.concepts, selection.images)") == f"{ids[:1]} ['chelsea']"

    photo(lab.page, 0, "coffee").click()
    until_shown(lab.page, "coffee", ids[:1])
    photo(lab.page, 1, "rocket").click()
    until_shown(lab.page, "rocket", ids[:1])
    lab.until_python("maps.selected_image == concepts.selected_image == 'rocket' and selection.by == 'user'")

    lab.page.locator(".face").nth(2).click()
    until_shown(lab.page, "rocket", [ids[2]])
    lab.until_python(f"selection.concepts == concepts.selected_concepts == [{ids[2]}]")
    lab.python(f"selection.concepts = [99, {ids[3]}, {ids[0]}]")
    until_shown(lab.page, "rocket", [ids[3], ids[0]])
    lab.python(f"concepts.selected_concepts = [{ids[1]}]; maps.selected_image = 'coffee'")
    until_shown(lab.page, "coffee", [ids[1]])
    lab.page.locator(".ww").nth(1).screenshot(path=screenshots / "linked-concepts.png")

    lab.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    lab.reload()
    until_shown(lab.page, "coffee", [ids[1]])
    photo(lab.page, 1, "chelsea").click()
    until_shown(lab.page, "chelsea", [ids[1]])
    lab.until_python("maps.selected_image == 'chelsea'")


def test_they_follow_each_other_in_a_page_opened_from_disk(browser, model, photos, tmp_path, screenshots):
    bank = ww.Craft(n_concepts=3, fit_on="locations", designs=8).run(model, photos, progress=False)
    chosen = {name: photos[name] for name in ("coffee", "chelsea")}
    maps = ww.AttributionView(model, chosen, method=ww.Sobol(grid=4, rows=4))
    concepts = ww.ConceptExplorer(bank, model, photos, selection=maps.selection)
    for view in (maps, concepts):
        view.start().wait(120)
    concepts.selected_concepts = list(bank.ids[1:])
    path = ww.to_html([maps, concepts], tmp_path / "linked.html")
    context = browser.new_context(viewport={"width": 1132, "height": 900}, offline=True)
    page = context.new_page()
    noted = []
    page.on("console", lambda m: noted.append(m.text) if m.type in {"error", "warning"} else None)
    page.on("pageerror", lambda e: noted.append(str(e)))
    page.goto(path.as_uri())
    until_shown(page, "coffee", concepts.selected_concepts)
    photo(page, 0, "chelsea").click()
    until_shown(page, "chelsea", concepts.selected_concepts)
    photo(page, 1, "coffee").click()
    until_shown(page, "coffee", concepts.selected_concepts)
    page.locator(".face").nth(0).click()
    until_shown(page, "coffee", [concepts.ids[0]])
    page.screenshot(path=screenshots / "linked-concepts-page.png", full_page=True)
    context.close()
    assert noted == []
    maps.close()
    concepts.close()
