"""What is heard, wiped and pointed at in exported pages: what needs no kernel."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

import whatwhere as ww

pytestmark = pytest.mark.browser

PIXELS = """() => {
  const roots = [...document.querySelectorAll("*")].map((e) => e.shadowRoot?.querySelector(".ww"));
  return roots.find(Boolean).querySelector(".pic canvas").toDataURL().split(",")[1];
}"""
FRAME = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


@pytest.fixture(scope="module")
def where(model, photos, tmp_path_factory):
    view = ww.AttributionView(model, {k: photos[k] for k in ("coffee", "chelsea")}, method=ww.Sobol(grid=6, rows=4))
    view.start().wait(120)
    view.selected_image = "chelsea"
    view.job.wait(120)
    view.selected_image = "coffee"
    path = view.to_html(tmp_path_factory.mktemp("heard") / "where.html")
    yield path, view.attributions
    view.close()


@pytest.fixture(scope="module")
def what(model, photos, tmp_path_factory):
    bank = ww.Craft(n_concepts=3, fit_on="locations").run(model, photos, progress=False)
    view = ww.ConceptExplorer(bank, model, photos)
    view.start().wait(120)
    path = view.to_html(tmp_path_factory.mktemp("heard") / "what.html")
    yield path, bank
    view.close()


@pytest.fixture
def page(browser, request):
    path, _ = request.getfixturevalue(request.param)
    context = browser.new_context(viewport={"width": 1132, "height": 900})
    context.set_offline(True)
    opened = context.new_page()
    opened.set_default_timeout(30_000)
    noted = []
    opened.on("console", lambda m: noted.append(m.text) if m.type in {"error", "warning"} else None)
    opened.on("pageerror", lambda e: noted.append(str(e)))
    opened.goto(path.as_uri())
    opened.locator(".ww[data-ready='1']").wait_for()
    yield opened
    context.close()
    assert noted == []


def picture(page):
    page.evaluate(FRAME)
    with Image.open(io.BytesIO(base64.b64decode(page.evaluate(PIXELS)))) as drawn:
        return np.asarray(drawn.convert("RGB")).astype(int)


@pytest.mark.parametrize("page", ["what"], indirect=True)
def test_a_concept_that_is_chosen_is_said(page, what):
    bank = what[1]
    view = page.locator(".ww")
    spoken = view.locator(".vh[role='status'][aria-live]").last
    for k in (1, 2):
        view.locator(".face").nth(k).click()
        page.locator(f".ww[data-selected='{bank.ids[k]}']").wait_for()
        name = view.get_attribute("data-image")
        letter = "ABC"[bank.ids[k]]
        spoken.filter(has_text=re.compile(rf"^On {name}: {letter} concept {letter}")).wait_for()
        assert f"{100 * bank.importance[k]:.0f}" in spoken.inner_text()
    page.keyboard.press("Escape")
    spoken.filter(has_text="No concept on the photo").wait_for()


@pytest.mark.parametrize("page", ["where"], indirect=True)
def test_a_class_and_a_cell_are_said(page, where):
    record = where[1]["coffee"]
    view = page.locator(".ww")
    second = record.predictions(2)[1]
    chosen = view.get_by_role("radio", name=re.compile(rf"^{second.name} \d"))
    chosen.click()
    page.locator(f".ww[data-class='{second.id}']").wait_for()
    assert chosen.get_attribute("aria-checked") == "true"
    view.get_by_role("application").focus()
    page.keyboard.press("ArrowRight")
    tag = view.locator(".tag[aria-live='polite']")
    tag.filter(has_text=re.compile(r"row 4, column 4")).wait_for()
    value = float(re.search(r"\d*\.\d+", tag.inner_text()).group())
    assert value == pytest.approx(record.values(second.id)[3, 3], abs=0.011)


@pytest.mark.parametrize("page", ["where", "what"], indirect=True)
def test_the_picture_is_wiped_by_keys_and_by_dragging(page):
    view = page.locator(".ww")
    frame = view.get_by_role("application")
    frame.focus()
    full = picture(page)
    page.keyboard.press("Space")
    plain = picture(page)
    page.keyboard.press("Space")
    assert np.abs(picture(page) - full).max() == 0
    half = full.shape[1] // 2
    assert (np.abs(full - plain)[:, half + 8 :].max(axis=2) > 20).mean() > 0.01, "the map is there to be wiped away"
    for _ in range(5):
        page.keyboard.press("Shift+ArrowLeft")
    by_keys = picture(page)
    assert np.abs(by_keys - plain)[:, half + 8 :].max() == 0
    assert np.abs(by_keys - full)[:, : half - 8].max() == 0
    page.keyboard.press("Escape")
    assert np.abs(picture(page) - full).max() == 0

    box = frame.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 0.9 * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], y, steps=4)
    page.mouse.up()
    page.mouse.move(2, 2)
    by_hand = picture(page)
    assert np.abs(by_hand - plain)[:, half + 8 :].max() == 0
    assert np.abs(by_hand - full)[:, : half - 8].max() == 0


@pytest.mark.parametrize("page", ["what"], indirect=True)
def test_crops_of_each_kind_say_where_they_are_from(page, what):
    bank = what[1]
    view = page.locator(".ww")
    kinds = view.get_by_role("radiogroup", name="Which crops").get_by_role("radio")
    seen = {}
    for k in range(kinds.count()):
        kinds.nth(k).click()
        page.evaluate(FRAME)
        first = view.locator(".crops button").first
        first.hover()
        view.locator(".peek").wait_for()
        words = view.locator(".peek p").inner_text()
        name, code = re.fullmatch(r"(.+): (\S+) of code", words).groups()
        assert name in bank.images
        assert float(code) <= bank.codes[bank.images.index(name), ..., 0].max() + 0.06
        seen[kinds.nth(k).inner_text()] = float(code)
        page.mouse.move(2, 2)
        view.locator(".peek").wait_for(state="hidden")
    assert {"Most active", "Lowest"} <= set(seen)
    assert seen["Most active"] > seen["Lowest"]
