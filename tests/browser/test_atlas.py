"""AtlasView in a real JupyterLab and in an exported page: search, ways, pages, and what leads from class to class."""

from __future__ import annotations

import re

import numpy as np
import pytest
from lab_driver import write_notebook
from reach import tab_stops, violations

import whatwhere as ww

pytestmark = pytest.mark.browser

CELL = """
import torch; torch.set_num_threads(1)
import whatwhere as ww
atlas = ww.Atlas.load("atlas")
"""
WITH_NETWORK = 'view = ww.AtlasView(atlas, ww.load_model("efficientnet_lite0", device="cpu")); view'
WITHOUT = "view = ww.AtlasView(atlas); view"


@pytest.fixture(scope="module")
def atlas(model, photos, server):
    """Parts of four photos; those of one are read as two classes, which are therefore alike. Notebooks load it."""
    rng = np.random.default_rng(0)
    parts = {}
    for name, photo in photos.items():
        for k in range(12 if name == "rocket" else 5):
            side = int(min(photo.shape[:2]) * 0.7)
            top, left = (int(rng.integers(0, length - side + 1)) for length in photo.shape[:2])
            parts[f"{name} {k + 1}"] = photo[top : top + side, left : left + side]
    made = ww.Atlas.of(model, parts, craft=ww.Craft(n_concepts=4, fit_on="locations"), progress=False)
    made.save(server.root / "atlas")
    return made


def row(page, target):
    return page.locator(f'.class[data-key="{target}"]')


def until_page(page, target):
    page.locator(f'.ww[data-page="{target}"][data-ready="1"]').wait_for()
    page.locator(".part.what .face").first.wait_for()


def until_similar(page):
    page.locator('.ww[data-similar="1"]').wait_for()


def is_found_as_one_types(lab, ids):
    page, field = lab.page, lab.page.get_by_label("Find a class")
    name = lab.python(f"print(atlas.names[{ids[2]}])")
    field.fill(name[1:].upper())
    assert row(page, ids[2]).is_visible()
    assert not row(page, ids[0]).is_visible()
    field.fill("no such thing")
    assert page.locator(".found").inner_text() == "No class matches “no such thing”."
    field.press("Escape")
    assert field.input_value() == ""
    field.fill(str(ids[2]))
    field.press("Enter")
    until_page(page, ids[2])
    lab.until_python(f"view.selected == {ids[2]} and view.page.target == {ids[2]}")
    field.fill("")


def is_walked_to(lab, ids):
    page = lab.page
    page.get_by_role("button", name=re.compile("^Next class")).click()
    until_page(page, ids[3])
    page.get_by_role("button", name=re.compile("^Previous class")).click()
    until_page(page, ids[2])
    random = page.get_by_role("button", name=re.compile("^Random class"))
    led = random.get_attribute("title").removeprefix("Random: ")
    random.click()
    lab.until_python(f"view.page.name == {led!r}")
    until_page(page, lab.python("print(view.selected)"))
    row(page, ids[0]).click()
    until_page(page, ids[0])
    row(page, ids[0]).press("ArrowDown")
    page.keyboard.press("Enter")
    until_page(page, ids[1])
    lab.until_python(f"view.selected == {ids[1]} and len(view._pages) == 2")
    skipped = lab.python("print(next(iter(atlas.skipped)))")
    assert row(page, skipped).get_attribute("aria-disabled") == "true"


def leads_to_what_is_alike_and_back(lab):
    page = lab.page
    a, k, b, m = map(int, lab.python("p = atlas.similar()[0]; print(*p.here, *p.there)").split())
    lab.python(f"view.selected, view.concept = {a}, {k}")
    until_page(page, a)
    page.locator(f'.ww[data-concept="{k}"][data-similar="1"]').wait_for()
    page.locator(f'.like[data-key="{k}>{b}.{m}"]').click()
    until_page(page, b)
    page.locator(f'.part.what .ww[data-selected="{m}"]').wait_for()
    lab.until_python(f"(view.selected, view.concept, view.what.selected_concepts) == ({b}, {m}, [{m}])")
    page.locator(".back").click()
    until_page(page, a)
    page.locator(f'.ww[data-concept="{k}"]').wait_for()
    lab.until_python(f"(view.selected, view.concept) == ({a}, {k})")
    return a


def close_pair(atlas, pages=None):
    """A class, a concept of it, and another class with a page that this points towards."""
    return next(
        (target, concept, near.target)
        for target in pages or atlas
        for concept in atlas[target].bank.ids
        for near in atlas.alignment(target, concept)
        if near.target in (pages or atlas) and near.target != target
    )


def leads_to_a_close_class_and_back(lab, atlas):
    page = lab.page
    here, concept, there = close_pair(atlas)
    lab.python(f"view.selected, view.concept = {here}, {concept}")
    until_page(page, here)
    page.locator(f'.ww[data-concept="{concept}"]').wait_for()
    page.get_by_label("Find a class").focus()
    link = page.locator(f'.closest tr[data-class="{there}"] button')
    for _ in range(120):  # by the keyboard alone
        page.keyboard.press("Tab")
        if link.evaluate("e => e.getRootNode().activeElement === e"):
            break
    page.keyboard.press("Enter")
    until_page(page, there)
    lab.until_python(f"view.selected == {there}")
    assert page.locator(".title").evaluate("e => e.getRootNode().activeElement === e"), "the heading has the focus"
    page.keyboard.press("b")
    until_page(page, here)
    page.locator(f'.ww[data-concept="{concept}"]').wait_for()
    lab.until_python(f"(view.selected, view.concept) == ({here}, {concept})")


def test_classes_are_found_walked_and_followed(lab, atlas, screenshots):
    ids = atlas.classes
    write_notebook(lab.server.root / "atlas.ipynb", [CELL, WITH_NETWORK])
    lab.open("atlas.ipynb")
    lab.run_all()
    page = lab.page
    page.locator(".ww[data-page]").wait_for()
    until_page(page, ids[0])
    until_similar(page)
    is_found_as_one_types(lab, ids)
    is_walked_to(lab, ids)
    leads_to_a_close_class_and_back(lab, atlas)
    here = leads_to_what_is_alike_and_back(lab)

    page.locator(".part.what .face").nth(2).click()
    lab.until_python("view.concept == view.what.ids[2]")
    lab.python("view.concept = view.what.ids[3]")
    page.locator(f'.ww[data-concept="{lab.python("print(view.concept)")}"]').wait_for()
    page.screenshot(path=screenshots / "atlas.png")

    page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    lab.reload()
    until_page(page, here)
    until_similar(page)
    row(page, ids[3]).click()
    lab.until_python(f"view.selected == {ids[3]}")
    until_page(page, ids[3])


def test_without_a_kernel_the_list_and_the_last_pages_live_on(lab, atlas, screenshots):
    ids = atlas.classes
    write_notebook(lab.server.root / "atlas_alone.ipynb", [CELL, WITHOUT])
    lab.open("atlas_alone.ipynb")
    lab.run_all()
    page = lab.page
    page.locator(".ww[data-page]").wait_for()
    until_page(page, ids[0])
    row(page, ids[1]).click()
    until_page(page, ids[1])
    until_similar(page)
    page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"
    )
    row(page, ids[0]).focus()
    page.locator('.ww[data-kernel="0"][data-page]').wait_for()
    row(page, ids[0]).click()
    until_page(page, ids[0])
    field = page.get_by_label("Find a class")
    field.fill(str(ids[2]))
    assert row(page, ids[2]).get_attribute("aria-disabled") == "true"
    row(page, ids[2]).click(force=True)
    assert "Run the cell again" in page.locator("p.note").inner_text()
    page.screenshot(path=screenshots / "atlas-no-kernel.png")
    lab.errors.clear()  # JupyterLab reports the futures that its restart cancelled


def is_usable_when_narrow(page, width, ids, screenshots):
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_function("() => document.documentElement.scrollWidth <= window.innerWidth")
    assert not row(page, ids[0]).is_visible()
    page.locator(".opener").click()
    assert row(page, ids[0]).is_visible()
    row(page, ids[0]).click()
    until_page(page, ids[0])
    assert not row(page, ids[1]).is_visible(), "the drawer closes behind the choice"
    page.screenshot(path=screenshots / f"atlas-page-{width - 32}.png", full_page=True)
    assert violations(page) == []


def test_an_exported_page_lives_without_a_kernel(browser, atlas, model, tmp_path, screenshots):
    found = atlas.similar()[0]
    with_pages = [found.here[0], found.there[0], *(c for c in atlas if c not in (found.here[0], found.there[0]))][:3]
    view = ww.AtlasView(atlas, model, selected=found.here[0])
    path = view.to_html(tmp_path / "atlas.html", with_pages)
    view.close()
    context = browser.new_context(viewport={"width": 1164, "height": 900}, offline=True)
    page = context.new_page()
    noted = []
    page.on("console", lambda m: noted.append(m.text) if m.type in {"error", "warning"} else None)
    page.on("pageerror", lambda e: noted.append(str(e)))
    page.goto(path.as_uri())
    until_page(page, found.here[0])
    assert page.locator('script[id^="ww-part-"]').count() == 4, "classes are read when they are opened"
    page.locator(".seg [data-key=all]").click()
    page.locator(f'.like[data-key="{found.here[1]}>{found.there[0]}.{found.there[1]}"]').click()
    until_page(page, found.there[0])
    page.locator(f'.ww[data-concept="{found.there[1]}"]').wait_for()
    page.locator(f'.part.what .ww[data-selected="{found.there[1]}"]').wait_for()
    assert page.locator(".title").evaluate("e => e.getRootNode().activeElement === e"), "the heading has the focus"
    page.locator(".back").click()
    until_page(page, found.here[0])
    page.locator(f'.ww[data-concept="{found.here[1]}"]').wait_for()

    here, concept, there = close_pair(atlas, with_pages)
    row(page, here).click()
    until_page(page, here)
    page.locator(".part.what .face").nth(atlas[here].bank.ids.index(concept)).click()
    page.locator(f'.closest tr[data-class="{there}"] button').click()
    until_page(page, there)
    page.locator(".back").click()
    until_page(page, here)

    left_out = next(c for c in atlas if c not in with_pages)
    row(page, left_out).click(force=True)
    assert "was left out of this saved page" in page.locator("p.note").inner_text()
    page.get_by_label("Find a class").fill(atlas.names[with_pages[2]])
    page.keyboard.press("Enter")
    until_page(page, with_pages[2])
    page.get_by_label("Find a class").fill("")
    page.screenshot(path=screenshots / "atlas-page.png", full_page=True)
    assert violations(page) == []
    seen = tab_stops(page, most=150)
    assert seen == list(range(len(seen))), "Tab reaches each place once"
    assert 20 <= len(seen) < 150
    for width in (672, 432):
        is_usable_when_narrow(page, width, with_pages, screenshots)
    page.emulate_media(color_scheme="dark")
    page.locator('.ww[data-page][data-theme="dark"]').wait_for()
    assert violations(page) == []
    context.close()
    assert noted == []
