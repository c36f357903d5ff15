"""The exported page, opened from disk without a network."""

from __future__ import annotations

import re

import pytest
from reach import violations

import whatwhere as ww

pytestmark = pytest.mark.browser

WIDTHS = (1132, 640, 400)


@pytest.fixture(scope="module")
def exported(model, photos, tmp_path_factory):
    """A page with two photos computed, and the numbers that it was made from."""
    view = ww.AttributionView(model, {k: photos[k] for k in ("coffee", "chelsea")}, method=ww.Sobol(grid=8, rows=8))
    view.start().wait(120)
    view.selected_image = "chelsea"
    view.job.wait(120)
    view.selected_image = "coffee"
    path = view.to_html(tmp_path_factory.mktemp("page") / "page.html")
    yield path, view.attributions
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


def test_it_is_alive_without_kernel_or_network(page, exported):
    root = page.locator(".ww")
    record = exported[1]["coffee"]
    second = record.predictions(2)[1]
    root.get_by_role("radio", name=re.compile(rf"^{second.name} \d")).click()
    page.locator(f".ww[data-class='{second.id}']").wait_for()
    root.get_by_role("button", name="chelsea").or_(root.get_by_role("radio", name="chelsea")).first.click()
    page.locator(".ww[data-image='chelsea']").wait_for()
    assert "Saved page" in root.inner_text()
    assert root.get_by_role("button", name="Stop").count() == 0


def test_the_value_under_the_keyboard_is_the_records(page, exported):
    """The number that is shown is the one that the record holds, through 16 bits and two decimals."""
    record = exported[1]["coffee"]
    picture = page.locator(".ww").get_by_role("application")
    picture.focus()
    page.keyboard.press("ArrowRight")
    page.locator(".ww").get_by_text(re.compile(r"row \d, column \d", re.IGNORECASE)).first.wait_for()
    tag = page.locator(".ww").inner_text().lower()
    found = [(r, c) for r in range(8) for c in range(8) if f"row {r + 1}, column {c + 1}" in tag]
    assert len(found) == 1
    value = record.values()[found[0]]
    line = next(line for line in tag.splitlines() if "column" in line)
    shown = float(line.split("·")[1].split("±")[0].replace("<", ""))
    assert shown == pytest.approx(float(value), abs=0.006)


def test_a_class_switch_is_drawn_before_the_click_returns(page):
    """How long that takes is in the benchmarks."""
    drawn = page.evaluate(
        """() => {
          const roots = [...document.querySelectorAll("*")].map((e) => e.shadowRoot?.querySelector(".ww"));
          const ww = roots.find(Boolean);
          const cup = ww.querySelectorAll(".pred [role=radio]")[1];
          cup.click();
          return [ww.dataset.class, cup.getAttribute("aria-checked")];
        }"""
    )
    assert drawn == ["968", "true"]


@pytest.mark.parametrize(
    "page", [{"color_scheme": "light"}, {"color_scheme": "dark"}], indirect=True, ids=["light", "dark"]
)
def test_widths_and_accessibility(page, screenshots, request):
    theme = request.node.callspec.id
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function("() => document.documentElement.scrollWidth <= window.innerWidth")
        page.screenshot(path=screenshots / f"page-{theme}-{width}.png", full_page=True)
    assert violations(page) == []
