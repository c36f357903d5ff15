"""PrototypeView in a real JupyterLab, and its exported page."""

from __future__ import annotations

import re

import pytest
from lab_driver import write_notebook
from reach import tab_stops, violations

import whatwhere as ww

pytestmark = pytest.mark.browser

WIDTHS = (1132, 640, 400)
MODEL = """
import torch; torch.set_num_threads(1)
import whatwhere as ww
model = ww.load_model("efficientnet_lite0", device="cpu")
"""
GROW = (
    MODEL
    + """
method = ww.Maco(steps={steps}, crops=2, size=128)
view = ww.PrototypeView(model, ["tench", "espresso"], method=method, images=ww.examples.photos())
view
"""
)
LINKED = (
    MODEL
    + """
bank = ww.Craft(n_concepts=3, fit_on="locations").run(model, ww.examples.photos(), progress=False)
protos = ww.Maco(steps=8, crops=2, size=128).submit(model, ww.targets.concepts(bank)).wait()
selection = ww.Selection()
explorer = ww.ConceptExplorer(bank, model, selection=selection)
view = ww.PrototypeView(protos, model=model, images=ww.examples.photos(), selection=selection)
display(explorer, view)
"""
)
# Mean opacity of the picture, and a print of its colours.
LOOK = """(ww) => {
  const drawn = ww.querySelector(".pic canvas");
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
UNTIL = """([look, holds]) => {
  const roots = [...document.querySelectorAll("*")].map((e) => e.shadowRoot?.querySelector(".ww"));
  const [alpha, print] = new Function(`return ${look}`)()(roots.find(Boolean));
  return new Function("alpha", "print", `return ${holds}`)(alpha, print);
}"""


def until_drawn(page, holds):
    """Wait until what is drawn, its mean opacity ``alpha`` and its ``print``, is as wanted."""
    page.wait_for_function(UNTIL, arg=[LOOK, holds], polling=100)


def test_prototypes_grow_before_one_s_eyes(lab, screenshots):
    write_notebook(lab.server.root / "grow.ipynb", [GROW.format(steps=4000)])
    lab.open("grow.ipynb")
    lab.run_all()
    lab.view(state="computing", prototypes=2, ready=1)
    lab.until("Number(ww.dataset.steps) > 0")
    view = lab.view()
    first = view.evaluate(LOOK)[1]
    reached = int(view.get_attribute("data-steps"))
    lab.until(f"Number(ww.dataset.steps) > {reached}")
    until_drawn(lab.page, f"print !== {first}")
    lab.until("Number(ww.dataset.examples) === 4")  # photos come while it grows
    assert view.get_by_text(re.compile(r"Step \d+ of 4,000 · .+ left")).count()
    view.screenshot(path=screenshots / "prototypes-growing.png")

    # The page is loaded again, and goes on where the job is.
    reached = int(view.get_attribute("data-steps"))
    lab.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    lab.reload()
    lab.until(f"Number(ww.dataset.steps) > {reached}")
    lab.view(state="computing", ready=1)
    view = lab.view()

    # Escape stops; what is there stays, and the notebook's keys do nothing.
    cells = lab.page.locator(".jp-Cell").count()
    view.get_by_role("application").first.focus()
    lab.page.keyboard.press("x")
    lab.page.keyboard.press("Escape")
    lab.view(state="partial", ready=1)
    lab.until_python("view.job.state == 'stopped'")
    assert lab.page.locator(".jp-Cell").count() == cells
    assert view.get_by_text(re.compile(r"Stopped at step \d+")).count()
    steps = int(lab.python("print(view.prototype.steps)"))
    lab.view(steps=steps)
    view.get_by_role("button", name="Continue").click()
    lab.until(f"Number(ww.dataset.steps) > {steps}")
    view.get_by_role("button", name="Stop").click()
    lab.view(state="partial")


def test_a_card_and_a_prototype_select_one_another(lab, screenshots):
    write_notebook(lab.server.root / "linked.ipynb", [LINKED])
    lab.open("linked.ipynb")
    lab.run_all()
    view = lab.view(prototypes=3, ready=1, state="done")
    explorer = lab.view(concepts=3, ready=1)
    ids = [int(k) for k in lab.python("print(*bank.ids)").split()]
    view.scroll_into_view_if_needed()
    view.locator(".card").nth(2).click()
    lab.until(f"ww.dataset.opened === '{ids[2]}'")
    lab.until_python(f"explorer.selected_concepts == [{ids[2]}] and view.selected == 2")
    explorer.locator(".face").nth(1).click()
    lab.until("ww.dataset.prototypes === '3' && ww.dataset.selected === '1'")
    lab.until_python("view.selected == 1")

    # Space, the percentile and the photos.
    view.get_by_role("application").first.focus()
    whole = view.evaluate(LOOK)[0]
    lab.page.keyboard.press(" ")
    lab.until_python("view.transparency is False")
    assert view.evaluate(LOOK)[0] == pytest.approx(1)
    assert whole < 0.95
    lab.page.keyboard.press(" ")
    lab.python("view.percentile = 99.0")
    lab.until("ww.querySelectorAll('.sl input')[1]?.value === '99'")
    assert view.evaluate(LOOK)[0] < whole
    view.locator(".examples button").first.click()
    lab.until_python("selection.images == [view.examples[1].top[0].image]")
    for theme in ("Light", "Dark"):
        lab.theme(f"JupyterLab {theme}")
        view.screenshot(path=screenshots / f"prototypes-lab-{theme.lower()}.png")
    lab.theme("JupyterLab Light")

    # A kernel that has gone is said, and what is there still works.
    lab.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    lab.page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"
    )
    view.locator(".card").nth(0).click()
    lab.until("ww.dataset.prototypes === '3' && ww.dataset.selected === '0' && ww.dataset.kernel === '0'")
    view.get_by_text("No kernel answers").first.wait_for()
    lab.errors.clear()  # JupyterLab reports the futures that its restart cancelled


@pytest.fixture(scope="module")
def exported(model, photos, tmp_path_factory):
    """A page with two seeds of a class, and a channel."""
    method = ww.Maco(steps=8, crops=2, size=192, seed=(0, 1))
    protos = method.submit(model, ["espresso", ww.targets.Channel("features.4", 17)]).wait(120)
    view = ww.PrototypeView(protos[:3], model=model, images=photos)
    view.start().wait(120)
    path = view.to_html(tmp_path_factory.mktemp("page") / "prototypes.html")
    yield path, protos
    view.close()


@pytest.fixture
def page(browser, exported, request):
    context = browser.new_context(viewport={"width": 1132, "height": 900}, **getattr(request, "param", {}))
    context.set_offline(True)
    opened = context.new_page()
    opened.set_default_timeout(30_000)
    noted = []
    opened.on("console", lambda m: noted.append(m.text) if m.type in {"error", "warning"} else None)
    opened.on("pageerror", lambda e: noted.append(str(e)))
    opened.on("request", lambda r: noted.append(r.url) if not r.url.startswith(("file:", "blob:", "data:")) else None)
    opened.goto(exported[0].as_uri())
    opened.locator(".ww[data-ready='1']").wait_for()
    yield opened
    context.close()
    assert noted == []


def test_the_page_is_alive_without_kernel_or_network(page, exported):
    view = page.locator(".ww")
    assert view.locator(".proto").count() == 2
    assert "Saved page" in view.inner_text()
    assert f"seed 1 · {exported[1][1].after:.3g}".replace("-", "\u2212") in view.inner_text()
    before = view.evaluate(LOOK)
    view.get_by_role("application").first.focus()
    page.keyboard.press("Home")
    page.locator(".ww[data-frame='0']").wait_for()
    until_drawn(page, f"print !== {before[1]}")
    page.keyboard.press("Escape")
    page.locator(".ww[data-frame='']").wait_for()
    view.get_by_label("Fade below").fill("20")
    until_drawn(page, f"alpha > {before[0]}")
    view.locator(".card").nth(1).click()
    page.locator(".ww[data-selected='2']").wait_for()
    view.get_by_role("button", name="Photos").click()
    view.get_by_role("button", name="How this prototype was made").click()
    assert 'ww.targets.Channel("features.4", 17)'.replace('"', "'") in view.locator(".pop code").inner_text()
    assert view.get_by_role("button", name="Stop").count() == 0


@pytest.mark.parametrize(
    "page", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True, ids=["light", "dark"]
)
def test_widths_and_accessibility(page, screenshots, request):
    theme = request.node.callspec.id
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function("() => document.documentElement.scrollWidth <= window.innerWidth")
        page.screenshot(path=screenshots / f"prototypes-{theme}-{width}.png", full_page=True)
    assert violations(page) == []


def test_tab_reaches_each_control_once(page):
    seen = tab_stops(page)
    assert seen == list(range(len(seen)))
    assert 8 <= len(seen) < 20
