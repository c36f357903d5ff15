"""Accentuated photos in a real JupyterLab and in an exported page: the wipe between before and after."""

from __future__ import annotations

import pytest
from lab_driver import write_notebook
from reach import violations

import whatwhere as ww

pytestmark = pytest.mark.browser

WIDTHS = (1132, 640, 400)
CELL = """
import torch; torch.set_num_threads(1)
import whatwhere as ww
model = ww.load_model("efficientnet_lite0", device="cpu")
method = ww.Accentuation(steps=6, crops=2, size=224, weight=0.3, learning_rate=0.2)
job = method.submit(model, {"coffee": ww.examples.photos()["coffee"]}, "espresso")
view = ww.PrototypeView(job, model=model, images=ww.examples.photos())
view
"""
# Colours of the picture at a quarter and at three quarters of its width, in the middle.
LOOK = """(ww) => {
  const canvas = ww.querySelector(".pic canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const prints = [0, 0];
  for (let i = 0; i < data.length; i += 4) {
    const x = (i / 4) % canvas.width;
    if (Math.abs(x / canvas.width - 0.5) < 0.05) continue;  // the edge and its shadow
    const side = x < canvas.width / 2 ? 0 : 1;
    prints[side] = (prints[side] * 31 + data[i] + 7 * data[i + 1]) % 1000003;
  }
  return prints;
}"""


def look(view):
    return view.evaluate(LOOK)


def test_before_and_after_in_the_notebook(lab, screenshots):
    write_notebook(lab.server.root / "accent.ipynb", [CELL])
    lab.open("accent.ipynb")
    lab.run_all()
    lab.view(state="done", prototypes=1, ready=1)
    lab.until("Number(ww.dataset.examples) === 4 && ww.querySelector('.grip:not([hidden])')")
    view = lab.view(state="done")
    grip = view.get_by_role("slider", name="Before")
    assert grip.get_attribute("aria-valuetext") == "50\u00a0% before on the left, after on the right"
    both = look(view)

    # Keys: the end shows the photo alone, Home what it became, and both halves differ between the two.
    grip.focus()
    lab.page.keyboard.press("End")
    lab.until("ww.querySelector('.grip').getAttribute('aria-valuenow') === '100'")
    before = look(view)
    lab.page.keyboard.press("Home")
    lab.until("ww.querySelector('.grip').getAttribute('aria-valuenow') === '0'")
    after = look(view)
    assert before[0] == both[0] != after[0]
    assert after[1] == both[1] != before[1]

    # The pointer; a drag leaves the handle focused, and Escape brings the edge back to the middle.
    box = view.locator(".pic").bounding_box()
    y = box["y"] + box["height"] / 3
    lab.page.mouse.move(box["x"] + 0.2 * box["width"], y)
    lab.page.mouse.down()
    lab.page.mouse.move(box["x"] + 0.75 * box["width"], y, steps=4)
    lab.page.mouse.up()
    lab.until("ww.querySelector('.grip').getAttribute('aria-valuenow') === '75'")
    lab.page.keyboard.press("ArrowLeft")
    lab.until("ww.querySelector('.grip').getAttribute('aria-valuenow') === '73'")
    lab.page.keyboard.press("Escape")
    lab.until("ww.querySelector('.grip').getAttribute('aria-valuenow') === '50'")
    for theme in ("Light", "Dark"):
        lab.theme(f"JupyterLab {theme}")
        view.screenshot(path=screenshots / f"accentuation-lab-{theme.lower()}.png")
    lab.theme("JupyterLab Light")  # the server keeps it for the tests that follow
    view.get_by_role("button", name="Difference").click()
    assert not grip.is_visible()
    view.screenshot(path=screenshots / "accentuation-lab-difference.png")


@pytest.fixture(scope="module")
def exported(model, photos, tmp_path_factory):
    """A page with a photo that was accentuated for two classes, beside a plain prototype."""
    method = ww.Accentuation(steps=8, crops=2, size=256, weight=0.3, learning_rate=0.2)
    made = method.submit(model, {"coffee": photos["coffee"]}, ["espresso", "cup"]).wait(120)
    plain = ww.Maco(steps=4, crops=2, size=128).run(model, "goldfish", progress=False)
    view = ww.PrototypeView([*made, plain], model=model, images=photos)
    view.start().wait(120)
    path = view.to_html(tmp_path_factory.mktemp("page") / "accentuation.html")
    yield path
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
    opened.goto(exported.as_uri())
    opened.locator(".ww[data-ready='1']").wait_for()
    yield opened
    context.close()
    assert noted == []


def test_the_wipe_works_in_a_page_without_a_kernel(page):
    view = page.locator(".ww")
    grip = view.get_by_role("slider", name="Before")
    grip.focus()
    page.keyboard.press("End")
    page.locator(".grip[aria-valuetext='all before']").wait_for()
    page.keyboard.press("PageDown")
    page.locator(".grip[aria-valuenow='90']").wait_for()
    assert view.get_by_role("button", name="Transparency").count() == 0
    view.locator(".card").nth(1).click()
    page.locator(".ww[data-selected='1'] .grip[aria-valuenow='50']").wait_for()  # another begins in the middle
    view.locator(".card").nth(2).click()
    page.locator(".ww[data-selected='2']").wait_for()
    assert grip.count() == 0 or not grip.is_visible()
    assert view.get_by_role("button", name="Transparency").is_visible()


@pytest.mark.parametrize(
    "page", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True, ids=["light", "dark"]
)
def test_widths_and_accessibility(page, screenshots, request):
    theme = request.node.callspec.id
    page.get_by_role("slider", name="Before").focus()
    page.keyboard.press("ArrowRight")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function("() => document.documentElement.scrollWidth <= window.innerWidth")
        page.screenshot(path=screenshots / f"accentuation-{theme}-{width}.png", full_page=True)
    assert violations(page) == []
