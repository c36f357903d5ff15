"""What people do with concepts in a real JupyterLab: merging, another number, saving the picture, by keyboard alone."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from lab_driver import write_notebook
from PIL import Image

import whatwhere as ww

pytestmark = pytest.mark.browser

CELL = """
import torch; torch.set_num_threads(1)
import whatwhere as ww
model = ww.load_model("efficientnet_lite0", device="cpu")
bank = ww.Craft(n_concepts=4, fit_on="locations").run(model, ww.examples.photos(), progress=False)
view = ww.ConceptExplorer(bank, model, ww.examples.photos())
view
"""
MARGIN = 16  # of a saved picture, where the photo is 600 wide
FOCUSED = """() => {
  let node = document.activeElement;
  while (node.shadowRoot?.activeElement) node = node.shadowRoot.activeElement;
  return node;
}"""
CLIPBOARD = """async () => {
  const [item] = await navigator.clipboard.read();
  const bytes = new Uint8Array(await (await item.getType("image/png")).arrayBuffer());
  return Array.from(bytes);
}"""


def open_view(lab, name):
    write_notebook(lab.server.root / f"{name}.ipynb", [CELL])
    lab.open(f"{name}.ipynb")
    lab.run_all()
    lab.view(state="done", ready=1, concepts=4)
    lab.until_python("view.job.state == 'done' and view._effects")
    lab.view().scroll_into_view_if_needed()
    return lab.view(), [int(k) for k in lab.python("print(*view.ids)").split()]


def tab_to(lab, selector):
    """Go on with Tab until something has the focus."""
    for _ in range(60):
        lab.page.keyboard.press("Tab")
        if lab.page.evaluate(f"(s) => ({FOCUSED})().matches(s)", selector):
            return
    raise AssertionError(f"Tab never came to {selector}")


def test_merging_by_keyboard_undo_and_a_reload(lab, screenshots):
    view, (a, b, *_) = open_view(lab, "merge")
    press = lab.page.keyboard.press
    view.get_by_role("button", name="Keys").focus()
    tab_to(lab, ".face")
    press("Enter")
    press("g")
    view.get_by_text("Lay another concept over the photo first").wait_for()
    press("ArrowRight")
    press(" ")
    lab.until(f"ww.dataset.selected === '{a} {b}'")
    press("g")
    lab.until_python(f"view.merged == [[{a}, {b}]]")
    lab.view(concepts=3, selected=a, opened=a)
    assert lab.page.evaluate(f"() => ({FOCUSED})().closest('.card').dataset.key") == str(a), (
        "it is still under the hand"
    )
    assert view.locator(".card").first.locator(".dot").count() == 2
    view.get_by_text("codes, maps and contributions added up").wait_for()

    # What is drawn of it is what its parts weigh together.
    share = float(lab.python(f"print(sum(bank.importance[bank.number_of(k)] for k in ({a}, {b})))"))
    assert view.locator(".card .im").first.inner_text().strip() == f"{share:.0%}".replace("%", "\u00a0%")
    mean = float(lab.python(f"print(sum(bank.contribution[bank.number_of(k)] for k in ({a}, {b})))"))
    assert f"{mean:+.1f} logits".replace("-", "\u2212") in view.locator(".dh").inner_text()
    view.screenshot(path=screenshots / "concepts-merged.png")

    # It is there after a reload, and so is the bank's own word of it.
    lab.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    lab.reload()
    lab.view(ready=1, concepts=3)
    assert lab.python("print(view.annotated().groups)") == f"(({a}, {b}),)"
    view = lab.view()

    # Taken apart, and back, and back again.
    view.locator(".face").first.focus()
    press("Shift+G")
    lab.until_python("view.merged == []")
    lab.view(concepts=4)
    press("Control+z")
    lab.until_python(f"view.merged == [[{a}, {b}]]")
    press("Control+Shift+z")
    lab.until_python("view.merged == []")
    assert lab.python("print(view.annotated().groups)") == "()"


def test_another_number_of_concepts_undo_and_a_reload(lab):
    view, ids = open_view(lab, "rank")
    press = lab.page.keyboard.press
    lab.python(f"view.names = {{{ids[0]}: 'first', {ids[-1]}: 'last'}}; before = view.bank")
    view.get_by_role("button", name="Keys").focus()
    tab_to(lab, ".rank input")
    press("ArrowLeft")
    assert view.locator(".rank output").inner_text() == "3"
    assert view.get_attribute("data-concepts") == "4", "nothing moves before the hand rests"
    lab.until_python("view.bank.rank == 3")
    lab.view(concepts=3, state="done")
    kept = [int(k) for k in lab.python("print(*view.ids)").split()]
    names = {k: name for k, name in ((ids[0], "first"), (ids[-1], "last")) if k in kept}
    assert lab.python("print(view.names)") == str({str(k): name for k, name in names.items()})
    lab.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    press("Control+z")
    lab.until_python("view.bank is before")
    lab.view(concepts=4)
    lab.until_python(f"view.names == {{'{ids[0]}': 'first', '{ids[-1]}': 'last'}}")
    press("Control+Shift+z")
    lab.view(concepts=3)
    lab.until_python("view.bank.rank == 3")

    lab.reload()
    lab.view(ready=1, concepts=3)
    assert lab.view().locator(".rank output").inner_text() == "3"
    # A number that was there before is there at once, also after the reload.
    lab.view().locator(".rank input").focus()
    press("ArrowRight")
    lab.until_python("view.bank is before")
    lab.view(concepts=4)


def test_saving_and_copying_the_picture(lab, screenshots):
    view, (a, *_) = open_view(lab, "save")
    lab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    lab.python("view.selected_image = 'coffee'")
    lab.view(image="coffee")
    view.locator(".face").first.click()
    lab.until(f"ww.dataset.selected === '{a}'")
    view.get_by_role("application").focus()
    with lab.page.expect_download() as download:
        lab.page.keyboard.press("s")
    assert download.value.suggested_filename.startswith("concepts_coffee_concept-")
    assert download.value.suggested_filename.endswith("_codes.png")
    download.value.save_as(screenshots / "concepts-saved.png")
    saved = Image.open(screenshots / "concepts-saved.png").convert("RGB")
    photo = lab.python("print(*ww.examples.photos()['coffee'].shape)").split()
    assert saved.width > max(640, int(photo[1])), "the photo at its own size, and a margin"
    pixels = np.asarray(saved).astype(int)
    assert pixels[2, 2].tolist() == [255, 255, 255], "the page is light"

    view.get_by_role("application").focus()
    lab.page.keyboard.press("c")
    view.get_by_text("Copied", exact=True).wait_for()
    copied = Image.open(io.BytesIO(bytes(lab.page.evaluate(CLIPBOARD)))).convert("RGB")
    assert copied.size == saved.size
    lab.theme("JupyterLab Dark")
    lab.until("ww.dataset.theme === 'dark'")
    with lab.page.expect_download() as download:
        view.get_by_role("button", name="Save picture").click()
    download.value.save_as(screenshots / "concepts-saved-dark.png")
    dark = np.asarray(Image.open(screenshots / "concepts-saved-dark.png").convert("RGB")).astype(int)
    assert dark[2, 2].max() < 60
    # What the network saw, and what lies over it, is the same on both.
    told = json.loads(lab.python("import json; print(json.dumps(view._images))"))
    shown = next(each for each in told if each["name"] == "coffee")
    zoom, edge = (saved.width - 2 * MARGIN * saved.width / (600 + 2 * MARGIN)) / shown["width"], 8
    left, top, right, bottom = (
        round(MARGIN * saved.width / (600 + 2 * MARGIN) + zoom * each) for each in shown["seen"]
    )
    inside = slice(top + edge, bottom - edge), slice(left + edge, right - edge)
    assert np.abs(dark[inside] - pixels[inside]).mean() < 2
    # It is the photo at its own size, and not the small one that the page holds: fine detail is there.
    real = np.asarray(Image.fromarray(ww.examples.photos()["coffee"]).convert("L")).astype(float)
    assert detail(pixels[inside].mean(axis=2)) > 0.4 * detail(real[25:375, 125:475])
    lab.theme("JupyterLab Light")


def detail(grey):
    """How much neighbouring pixels differ, beside how much far ones do."""
    return np.abs(np.diff(grey, axis=1)).mean() / grey.std()


@pytest.mark.parametrize("page", ["light", "dark"], indirect=True)
def test_an_exported_page_saves_both_pictures(page, screenshots, request):
    theme = request.node.callspec.params["page"]
    for place, start in ((0, "concepts_"), (1, "where_")):
        view = page.locator(".ww").nth(place)
        view.locator(".pic").focus()
        with page.expect_download() as download:
            page.keyboard.press("s")
        assert download.value.suggested_filename.startswith(start)
        path = screenshots / f"saved-{start}{theme}.png"
        download.value.save_as(path)
        pixels = np.asarray(Image.open(path).convert("RGB"))
        assert pixels.shape[1] >= 640
        assert (pixels[2, 2].max() < 60) == (theme == "dark")
        assert pixels.std(axis=(0, 1)).min() > 15, "there is a photo on it"


@pytest.fixture(scope="module")
def exported(model, photos, tmp_path_factory):
    """Both views on one page."""
    bank = ww.Craft(n_concepts=3, fit_on="locations").run(model, photos, progress=False)
    concepts = ww.ConceptExplorer(bank, model, photos, merged=[bank.ids[:2]])
    where = ww.AttributionView(model, photos, method=ww.Sobol(grid=4, rows=2))
    concepts.start().wait(120)
    where.start().wait(120)
    path = ww.to_html([concepts, where], tmp_path_factory.mktemp("page") / "both.html")
    yield path
    concepts.close()
    where.close()


@pytest.fixture
def page(browser, exported, request):
    context = browser.new_context(viewport={"width": 1132, "height": 900}, color_scheme=request.param)
    context.set_offline(True)
    opened = context.new_page()
    opened.set_default_timeout(30_000)
    opened.goto(exported.as_uri())
    for place in (0, 1):
        opened.locator(".ww").nth(place).and_(opened.locator("[data-ready='1']")).wait_for()
    yield opened
    context.close()
