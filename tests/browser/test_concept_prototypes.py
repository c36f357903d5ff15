"""Prototypes on ConceptExplorer's cards in a real JupyterLab, and in its exported page."""

from __future__ import annotations

import re

import pytest
from lab_driver import write_notebook
from reach import violations

import whatwhere as ww

pytestmark = pytest.mark.browser

WIDTHS = (1132, 640, 400)
CONCEPTS = """
import torch; torch.set_num_threads(1)
import whatwhere as ww
model = ww.load_model("efficientnet_lite0", device="cpu")
bank = ww.Craft(n_concepts=4, fit_on="locations").run(model, ww.examples.photos(), progress=False)
{more}
view = ww.ConceptExplorer(bank, model, prototypes={prototypes})
view
"""
THREE = "some = ww.Maco(steps=8, crops=2, size=128).run(model, ww.targets.concepts(bank)[:3], progress=False)"
# Mean opacity of what is drawn on a canvas, and a print of its colours.
LOOK = """(drawn) => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [drawn.width, drawn.height];
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  brush.drawImage(drawn, 0, 0);
  const { data } = brush.getImageData(0, 0, canvas.width, canvas.height);
  let [alpha, print] = [0, 0];
  for (let i = 0; i < data.length; i += 4) {
    alpha += data[i + 3];
    print = (print * 31 + data[i] + 7 * data[i + 1]) % 1000003;
  }
  return [alpha / (data.length / 4) / 255, print];
}"""


def look(canvas):
    return tuple(canvas.evaluate(LOOK))


def until_drawn(page, canvas, before):
    """Wait until something else is drawn on a canvas."""
    page.wait_for_function(f"([canvas, before]) => ({LOOK})(canvas)[1] !== before", arg=[canvas, before], polling=100)


def test_prototypes_grow_on_the_cards(lab, screenshots):
    write_notebook(lab.server.root / "cards.ipynb", [CONCEPTS.format(more="", prototypes=None)])
    lab.open("cards.ipynb")
    lab.run_all()
    lab.view(state="done", ready=1, concepts=4, growing="empty")
    view = lab.view()
    view.scroll_into_view_if_needed()
    lab.python(
        "from whatwhere.widgets import _growth; _growth.METHOD = ww.Maco(steps=4000, crops=2, size=96, frames=0)"
    )
    crops = look(view.locator(".card canvas").first)
    view.get_by_role("button", name="Grow prototypes").click()
    lab.until("ww.dataset.grown === '4' && Number(ww.dataset.grownsteps) > 0")
    card = view.locator(".card canvas").first.element_handle()
    until_drawn(lab.page, card, crops[1])
    noise = look(card)
    until_drawn(lab.page, card, noise[1])
    assert look(card)[0] < 0.99  # transparent where it does not matter
    view.get_by_text(re.compile(r"Growing prototypes, step \d+ of 4,000 · .+ left")).wait_for()
    view.screenshot(path=screenshots / "concept-prototypes-growing.png")

    # A click is answered meanwhile. Another concept brings its prototype beside its crops.
    ids = [int(k) for k in lab.python("print(*view.ids)").split()]
    view.locator(".face").nth(1).click()
    lab.until_python(f"view.selected_concepts == [{ids[1]}] and list(view._prototype) == ['{ids[1]}']")
    view.get_by_text("Prototype: made by optimisation, not a photo").wait_for()
    lab.python("view.compute_maps(kind='implicit').wait(60)")
    lab.view(growing="computing")

    # The page is loaded again, and goes on where the job is; Escape on the button stops it, and it goes on.
    lab.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    reached = int(lab.view().get_attribute("data-grownsteps"))
    lab.reload()
    lab.until(f"ww.dataset.growing === 'computing' && Number(ww.dataset.grownsteps) > {reached}")
    view = lab.view()
    view.locator(".growing button").focus()
    lab.page.keyboard.press("Escape")
    lab.view(growing="partial")
    view.locator(".growing .mut", has_text=re.compile(r"Prototypes stopped at step \d+ of 4,000")).wait_for()
    steps = int(lab.python("print(view.prototypes[0].steps)"))
    lab.view(grownsteps=steps)
    view.get_by_role("button", name="Continue").click()
    lab.until(f"Number(ww.dataset.grownsteps) > {steps}")
    lab.python("view.stop()")
    lab.view(growing="partial")


def test_what_cards_show_goes_both_ways_with_python(lab, screenshots):
    write_notebook(lab.server.root / "shown.ipynb", [CONCEPTS.format(more=THREE, prototypes="some")])
    lab.open("shown.ipynb")
    lab.run_all()
    lab.view(ready=1, concepts=4, grown=3, growing="partial")
    view = lab.view()
    view.scroll_into_view_if_needed()
    ids = [int(k) for k in lab.python("print(*view.ids)").split()]

    # Crops or prototypes, by key, by mouse and from Python; transparency.
    card = view.locator(".card canvas").first
    drawn = look(card)
    view.locator(".face").first.focus()
    lab.page.keyboard.press("v")
    lab.until_python("view.card_kind == 'crops'")
    assert look(card) != drawn
    view.get_by_role("radio", name="Prototypes").click()
    lab.until_python("view.card_kind == 'prototypes'")
    large = view.locator(".grown canvas")
    before = look(large)
    lab.python("view.percentile = 0.0")
    lab.until("ww.querySelector('.grown input').value === '0'")
    until_drawn(lab.page, large.element_handle(), before[1])
    assert look(large)[0] == pytest.approx(1, abs=0.01)
    view.get_by_label("Fade below").fill("95")
    lab.until_python("view.percentile == 95")
    lab.python("view.percentile = 80.0")

    # A merged concept has none, and that is said.
    lab.python(f"view.merged = [[{ids[0]}, {ids[1]}]]; view.selected_concepts = [{ids[0]}]")
    view.get_by_text("It has no prototype").wait_for()
    assert view.locator(".card[data-grown]").count() == 1
    lab.python("view.merged = []")
    for theme in ("Light", "Dark"):
        lab.theme(f"JupyterLab {theme}")
        view.screenshot(path=screenshots / f"concept-prototypes-lab-{theme.lower()}.png")
    lab.theme("JupyterLab Light")

    # Without a kernel they stay, and nothing offers to go on.
    lab.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    lab.page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"
    )
    view.locator(".face").nth(2).click()
    lab.until("ww.dataset.kernel === '0'")
    assert view.locator(".card[data-grown]").count() == 3
    assert view.get_by_role("button", name="Grow it").is_disabled()
    lab.errors.clear()  # JupyterLab reports the futures that its restart cancelled


@pytest.fixture(scope="module")
def exported(model, photos, tmp_path_factory):
    bank = ww.Craft(n_concepts=4, fit_on="locations").run(model, photos, progress=False)
    protos = ww.Maco(steps=24, crops=4, size=160, frames=0).run(model, ww.targets.concepts(bank), progress=False)
    view = ww.ConceptExplorer(bank, model, photos, prototypes=protos)
    view.start().wait(120)
    path = view.to_html(tmp_path_factory.mktemp("page") / "concepts.html")
    view.close()
    return path


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_shows_them_in_all_widths(browser, exported, screenshots, theme):
    context = browser.new_context(viewport={"width": 1132, "height": 900}, color_scheme=theme)
    context.set_offline(True)
    page = context.new_page()
    noted = []
    page.on("console", lambda m: noted.append(m.text) if m.type in {"error", "warning"} else None)
    page.on("pageerror", lambda e: noted.append(str(e)))
    page.goto(exported.as_uri())
    page.locator(".ww[data-ready='1'][data-grown='4']").wait_for()
    view = page.locator(".ww")
    assert view.locator(".card[data-grown]").count() == 4
    assert view.get_by_role("button", name="Grow").count() == 0
    large = view.locator(".grown canvas")
    first = look(large)
    view.locator(".face").nth(2).click()
    until_drawn(page, large.element_handle(), first[1])
    view.get_by_role("button", name="How this prototype was made").click()
    assert "ww.targets" in view.locator(".grown .pop code").inner_text()
    page.keyboard.press("Escape")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function("() => document.documentElement.scrollWidth <= window.innerWidth")
        page.screenshot(path=screenshots / f"concept-prototypes-{theme}-{width}.png", full_page=True)
    assert violations(page) == []
    context.close()
    assert noted == []
