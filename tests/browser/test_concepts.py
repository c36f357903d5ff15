"""ConceptExplorer in a real JupyterLab, and its exported page."""

from __future__ import annotations

import re

import numpy as np
import pytest
from lab_driver import write_notebook
from reach import tab_stops, violations

import whatwhere as ww

pytestmark = pytest.mark.browser

WIDTHS = (1132, 640, 400)
CONCEPTS = """
import torch; torch.set_num_threads(1)
import whatwhere as ww
model = ww.load_model("efficientnet_lite0", device="cpu")
job = ww.Craft(n_concepts={concepts}, fit_on="locations").submit(model, ww.examples.photos())
view = ww.ConceptExplorer(job, model, ww.examples.photos())
view
"""
# A colour's share in the picture: pixels whose hue is near it, of all.
TINTED = """(ww, hue) => {
  const canvas = ww.querySelector(".pic canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const [r, g, b] = hue;
  let near = 0;
  for (let i = 0; i < data.length; i += 4) {
    const mean = (data[i] + data[i + 1] + data[i + 2]) / 3;
    const tint = [data[i] - mean, data[i + 1] - mean, data[i + 2] - mean];
    const want = [r, g, b].map((c) => c - (r + g + b) / 3);
    const dot = tint[0] * want[0] + tint[1] * want[1] + tint[2] * want[2];
    const size = Math.hypot(...tint) * Math.hypot(...want);
    if (Math.hypot(...tint) > 40 && dot > 0.97 * size) near += 1;
  }
  return near / (data.length / 4);
}"""
FOCUSED = """() => {
  let node = document.activeElement;
  while (node.shadowRoot?.activeElement) node = node.shadowRoot.activeElement;
  return node.className;
}"""


def open_view(lab, name, *, concepts=4):
    write_notebook(lab.server.root / f"{name}.ipynb", [CONCEPTS.format(concepts=concepts)])
    lab.open(f"{name}.ipynb")
    lab.run_all()
    lab.view(state="done", ready=1, concepts=concepts)
    lab.until_python("view.job.state == 'done' and view._effects")
    return lab.view()


def rgb(hue):
    return [int(hue[i : i + 2], 16) for i in (1, 3, 5)]


def test_selecting_by_click_and_keys_both_ways_with_python(lab):
    view = open_view(lab, "select")
    ids = [int(k) for k in lab.python("print(*view.ids)").split()]
    hues = lab.python("print(*view._bank['hues'])").split()
    view.scroll_into_view_if_needed()
    faces = view.locator(".face")
    faces.nth(1).click()
    lab.until_python(f"view.selected_concepts == [{ids[1]}]")
    assert view.get_attribute("data-opened") == str(ids[1])

    # What is drawn is in the concept's hue, and goes with the map. The photo is grey.
    lab.python("view.opacity = 1.0; view.selected_image = 'camera'")
    lab.view(image="camera")
    most = int(
        lab.python(
            "print((view.bank.codes[view.bank.images.index('camera')].max((0, 1)) / view._code_scales).argmax())"
        )
    )
    faces.nth(most).click()
    lab.until(f"ww.dataset.selected === '{ids[most]}'")
    map_button = view.get_by_role("button", name="Map", exact=True)
    assert view.evaluate(TINTED, rgb(hues[most])) > 0.03
    map_button.click()
    assert view.evaluate(TINTED, rgb(hues[most])) == 0
    map_button.click()

    # Arrows walk, Space adds to the photo, Escape takes all off; the notebook's own keys do nothing.
    cells = lab.page.locator(".jp-Cell").count()
    faces.nth(0).click()
    lab.page.keyboard.press("ArrowRight")
    lab.page.keyboard.press(" ")
    lab.until(f"ww.dataset.selected === '{ids[0]} {ids[1]}'")
    lab.until_python(f"view.selected_concepts == {ids[:2]}")
    for key in ("b", "x"):
        lab.page.keyboard.press(key)
    lab.page.keyboard.press("Escape")
    lab.until("ww.dataset.selected === ''")
    lab.until_python("view.selected_concepts == []")
    view.get_by_role("radio", name=re.compile("^rocket")).click()
    lab.until_python("view.selected_image == 'rocket'")
    lab.view(image="rocket", selected="")
    assert lab.page.locator(".jp-Cell").count() == cells

    lab.python(f"view.selected_concepts = [{ids[2]}]; view.names = {{'{ids[2]}': 'stripes'}}")
    lab.view(selected=ids[2])
    view.locator(".nameit", has_text="stripes").wait_for()


def test_renaming_hiding_and_taking_back(lab):
    view = open_view(lab, "rename")
    ids = [int(k) for k in lab.python("print(*view.ids)").split()]
    view.locator(".face").nth(0).click()
    lab.page.keyboard.press("F2")
    lab.page.keyboard.type("legs of a tripod")
    lab.page.keyboard.press("Enter")
    lab.until_python(f"view.names == {{'{ids[0]}': 'legs of a tripod'}}")
    assert "face" in lab.page.evaluate(FOCUSED)
    assert lab.python("print(list(view.annotated().labels.values()))") == "['legs of a tripod']"
    lab.page.keyboard.press("ArrowRight")
    lab.page.keyboard.press("h")
    lab.until_python(f"view.hidden == [{ids[1]}]")
    assert view.locator(".card").count() == len(ids) - 1
    lab.page.keyboard.press("Control+z")
    lab.until_python("view.hidden == []")
    lab.page.keyboard.press("Control+z")
    lab.until_python("view.names == {}")
    lab.page.keyboard.press("Control+Shift+z")
    lab.until_python("len(view.names) == 1")


def test_maps_of_the_network_are_asked_for_and_drawn(lab, screenshots):
    view = open_view(lab, "maps")
    for name, kind in (("Pixels", "implicit"), ("Occlusion", "occlusion")):
        view.get_by_role("radio", name=name).click()
        lab.view(map=kind)
        lab.until_python(f"view.map_kind == '{kind}'")
    for theme in ("Light", "Dark"):
        lab.theme(f"JupyterLab {theme}")
        lab.until(f"ww.dataset.theme === '{theme.lower()}'")
        view.screenshot(path=screenshots / f"concepts-lab-{theme.lower()}.png")
    lab.theme("JupyterLab Light")


def test_what_if_says_what_the_network_would_say(lab):
    """The browser's own arithmetic, at an affine head, against the network decoding scaled codes."""
    view = open_view(lab, "whatif")
    slider = view.locator(".factor")
    slider.focus()
    for _ in range(20):
        lab.page.keyboard.press("ArrowLeft")
    lab.until_python("set(view.scales.values()) == {0.0}")
    shown = dict(
        zip(
            view.locator(".change .n").all_inner_texts(),
            (line.replace("\u00a0%", "").split(" from ") for line in view.locator(".change .p").all_inner_texts()),
            strict=True,
        )
    )
    told = lab.python(
        """
import torch
c = view.bank.on(model, images=ww.examples.photos())
r = c.response(ww.examples.photos()[view.selected_image], residual=True)
gates = torch.ones(2, view.bank.rank)
gates[1, view.bank.number_of(int(next(iter(view.scales))))] = 0
for name, before, after in zip(range(1000), *r.logits(gates).softmax(1).tolist()):
    print(view.bank.class_names.label(name), before, after, sep="|")
"""
    )
    truth = {line.split("|")[0]: [float(p) for p in line.split("|")[1:]] for line in told.splitlines()}
    for name, (now, *before) in shown.items():
        was, will = truth[name]
        assert (0.4 if now.startswith("<") else float(now)) == pytest.approx(100 * will, abs=0.7)
        if before:
            assert float(before[0].replace("<", "")) == pytest.approx(100 * was, abs=0.7)
    view.get_by_role("button", name="Reset").click()
    lab.until_python("view.scales == {}")


def test_splitting_a_concept(lab):
    view = open_view(lab, "split", concepts=2)
    view.get_by_role("button", name="Split into parts").click()
    view.locator(".part").nth(1).wait_for()
    assert view.locator(".part").count() == int(lab.python("print(next(iter(view.parts.values())).rank)"))


def test_a_restarted_kernel_is_said_and_what_is_there_still_works(lab):
    view = open_view(lab, "restart")
    lab.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    lab.page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"
    )
    opened = view.get_attribute("data-opened")
    view.locator(".face").nth(1).click()
    lab.until(f"ww.dataset.opened !== '{opened}'")
    lab.until("ww.dataset.kernel === '0'")
    view.get_by_text("No kernel answers").first.wait_for()
    view.get_by_role("radio", name="Pixels").click()
    view.get_by_text("needs a kernel").first.wait_for()
    lab.errors.clear()  # JupyterLab reports the futures that its restart cancelled


@pytest.fixture(scope="module")
def exported(model, photos, tmp_path_factory):
    """A page, and the bank that it was made from."""
    bank = ww.Craft(n_concepts=4, fit_on="locations").run(model, photos, progress=False)
    view = ww.ConceptExplorer(bank, model, photos)
    view.start().wait(120)
    view.names = {bank.ids[0]: "legs of a tripod"}
    path = view.to_html(tmp_path_factory.mktemp("page") / "concepts.html")
    yield path, bank
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
    bank = exported[1]
    view = page.locator(".ww")
    view.locator(".face", has_text="legs of a tripod").wait_for()
    view.locator(".face").nth(1).click()
    page.locator(f".ww[data-selected='{bank.ids[1]}']").wait_for()
    view.get_by_role("radio", name=re.compile("^chelsea")).click()
    page.locator(".ww[data-image='chelsea']").wait_for()
    assert "Saved page" in view.inner_text()
    n = bank.images.index("chelsea")
    assert f"logit {bank.logits[n]:+.1f}" in view.inner_text()
    view.locator(".factor").focus()
    page.keyboard.press("Home")
    view.get_by_text("muted").wait_for()
    assert view.get_by_role("button", name="Stop").count() == 0


def test_the_code_under_the_keyboard_is_the_banks(page, exported):
    bank = exported[1]
    view = page.locator(".ww")
    picture = view.get_by_role("application")
    picture.focus()
    page.keyboard.press("ArrowRight")
    place = view.get_by_text(re.compile(r"row \d, column \d")).first.inner_text()
    row, column = (int(k) for k in re.findall(r"\d", place))
    name = view.get_attribute("data-image")
    code = bank.codes[bank.images.index(name), row - 1, column - 1, 0]
    codes = bank.codes[..., 0]
    top = np.quantile(codes[codes > 0], 0.99)
    shown = float(view.locator(".tag b").first.inner_text().replace("<", "").replace(",", ""))
    assert shown == pytest.approx(min(float(code), float(top)), abs=float(top) / 50)


def test_a_toggle_is_drawn_before_the_click_returns(page, exported):
    ids = exported[1].ids
    for k in range(1, len(ids)):
        drawn = page.evaluate(
            """(k) => {
              const roots = [...document.querySelectorAll("*")].map((e) => e.shadowRoot?.querySelector(".ww"));
              const ww = roots.find(Boolean);
              performance.clearMeasures("ww-draw");
              ww.querySelectorAll(".face")[k].dispatchEvent(new MouseEvent("click", { bubbles: true, ctrlKey: true }));
              return [ww.dataset.selected, performance.getEntriesByName("ww-draw").length];
            }""",
            k,
        )
        assert drawn[0].split(" ") == [str(each) for each in ids[: k + 1]]
        assert drawn[1] >= 1  # how long that takes is for the benchmark of views


@pytest.mark.parametrize(
    "page", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True, ids=["light", "dark"]
)
def test_widths_and_accessibility(page, screenshots, request):
    theme = request.node.callspec.id
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function("() => document.documentElement.scrollWidth <= window.innerWidth")
        page.screenshot(path=screenshots / f"concepts-{theme}-{width}.png", full_page=True)
    assert violations(page) == []


def test_tab_reaches_each_control_once(page):
    seen = tab_stops(page)
    assert seen == list(range(len(seen)))
    assert 12 <= len(seen) < 30
