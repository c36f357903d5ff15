"""One server and one browser for all browser tests; a page for each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from lab_driver import CHROMIUM, FLAGS, Lab, jupyter

SCREENSHOTS = Path(__file__).parents[2] / "screenshots"


@pytest.fixture(scope="session")
def browser():
    if not Path(CHROMIUM).exists():
        message = f"no browser at {CHROMIUM}: apt-get install chromium, or set WHATWHERE_CHROMIUM"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS, headless=True)
        yield running
        running.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    with jupyter(tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("jupyter")) as running:
        yield running


@pytest.fixture
def lab(browser, server):
    """A page on JupyterLab; fails the test on a console error or a request that leaves the page."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    opened = Lab(context.new_page(), server)
    yield opened
    errors, outside = list(opened.errors), list(opened.outside)  # before JupyterLab complains of its own shut-down
    opened.shut_down()
    context.close()
    assert errors == []
    assert outside == []


@pytest.fixture(scope="session")
def screenshots():
    SCREENSHOTS.mkdir(exist_ok=True)
    return SCREENSHOTS
