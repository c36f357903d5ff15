"""Exported pages of the views in Firefox."""

from __future__ import annotations

import pytest
from firefox_driver import FIREFOX, firefox

import whatwhere as ww

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        FIREFOX is None, reason="there is no Firefox: apt-get install firefox-esr, or set WHATWHERE_FIREFOX"
    ),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with firefox(tmp_path_factory.mktemp("profile")) as running:
        yield running


def test_what_goes_wrong_on_a_page_is_noticed(browser, tmp_path):
    page = tmp_path / "wrong.html"
    page.write_text("<!doctype html><title>wrong</title><script>missing()</script>", encoding="utf-8")
    browser.open(page)
    assert any("missing is not defined" in each for each in browser.noted())


def test_maps(browser, model, photos, tmp_path):
    view = ww.AttributionView(model, {"coffee": photos["coffee"]}, method=ww.Sobol(grid=4, rows=4))
    view.start().wait(120)
    browser.open(view.to_html(tmp_path / "maps.html"))
    view.close()
    browser.until("ww?.dataset.ready === '1' && ww.dataset.image === 'coffee'")
    browser.run("ww.querySelector('[data-key=error]').click()")
    browser.until("ww.dataset.index === 'error'")
    painted = """(() => {
      const canvas = ww.querySelector('.pic canvas');
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      return new Set(data).size > 50;
    })()"""
    browser.until(painted)
    assert browser.noted() == []


def test_concepts(browser, model, photos, tmp_path):
    bank = ww.Craft(n_concepts=3, fit_on="locations", designs=8).run(model, photos, progress=False)
    view = ww.ConceptExplorer(bank, model)
    view.start().wait(120)
    second = view.ids[1]
    browser.open(view.to_html(tmp_path / "concepts.html"))
    view.close()
    browser.until("ww?.dataset.ready === '1' && ww.querySelectorAll('.face').length === 3")
    browser.run("ww.querySelectorAll('.face')[1].click()")
    browser.until(f"ww.dataset.selected === '{second}'")
    assert browser.noted() == []


def test_prototypes(browser, model, photos, tmp_path):
    method = ww.Maco(steps=2, crops=2, size=64)
    view = ww.PrototypeView(model, ["tench", "espresso"], method=method, images=photos)
    view.job.wait(120)
    browser.open(view.to_html(tmp_path / "prototypes.html"))
    view.close()
    browser.until("ww?.dataset.ready === '1' && ww.dataset.prototypes === '2'")
    assert browser.noted() == []
