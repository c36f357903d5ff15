"""Two views that share a selection, in a real JupyterLab and in an exported page."""

from __future__ import annotations

import re

import pytest
from lab_driver import write_notebook

import whatwhere as ww

pytestmark = pytest.mark.browser

CELLS = [
    """
import time
import whatwhere as ww
model = ww.load_model("efficientnet_lite0", device="cpu")
photos = ww.examples.photos()
selection = ww.Selection()
first = ww.AttributionView(model, photos, method=ww.Sobol(grid=4, rows=4), selection=selection)
first
""",
    """
rest = {name: photos[name] for name in ("chelsea", "coffee")}
second = ww.AttributionView(model, rest, method=ww.Sobol(grid=4, rows=4, seed=1), selection=selection)
second
""",
]
ROOTS = """[...document.querySelectorAll("*")].map((e) => e.shadowRoot?.querySelector(".ww")).filter(Boolean)"""
SHOWN = f"() => {ROOTS}" """.map((ww) => `${ww.dataset.image} ${ww.dataset.class ?? ""}`.trim())"""


@pytest.fixture
def linked(lab):
    """Two views in two cells, both computed."""
    write_notebook(lab.server.root / "linked.ipynb", CELLS)
    lab.open("linked.ipynb")
    lab.run_all()
    until_shown(lab.page, "coffee 967", "coffee 967")
    lab.until_python("first.job.state == second.job.state == 'done'")
    return lab


def until_shown(page, *wanted):
    """Wait until the views of a page show these photos and classes, from top to bottom."""
    page.wait_for_function(f"(wanted) => JSON.stringify(({SHOWN})()) === JSON.stringify(wanted)", arg=list(wanted))


def choose(page, view, name):
    page.locator(".ww").nth(view).get_by_role("radio", name=re.compile(name)).first.click()


def test_they_follow_each_other_by_click_and_python_hears_of_it_once(linked):
    linked.python(
        """
heard = []
selection.observe(lambda c: heard.append((c.name, c.new, selection.by)), ["class_id", "images"])
sent = []
for widget in (selection, first, second):
    def tap(message, buffers=None, widget=widget, send=widget._send):
        sent.append((widget, message)) if message["method"] == "update" else None
        send(message, buffers)
    widget._send = tap
"""
    )
    choose(linked.page, 0, r"^cup \d")
    until_shown(linked.page, "coffee 968", "coffee 968")
    choose(linked.page, 1, "^chelsea")
    until_shown(linked.page, "chelsea", "chelsea")
    linked.until_python("second.selected_image == 'chelsea' and first.job.state == second.job.state == 'done'")
    assert linked.python("print(heard)") == "[('class_id', 968, 'user'), ('images', ['chelsea'], 'user')]"
    told = "print([sorted(m['state']) for w, m in sent if w is selection], first.selected_class, second.selected_class)"
    assert linked.python(told) == "[['_stamp', 'by', 'class_id'], ['_stamp', 'images']] 968 968"
    mirrors = (
        "print([m for w, m in sent if w is not selection and {'selected_image', 'selected_class'} & set(m['state'])])"
    )
    assert linked.python(mirrors) == "[]"


def test_they_follow_each_other_while_the_kernel_is_busy(linked):
    linked.page.evaluate(
        """() => {
          const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
          window.busy = kernel.requestExecute({ code: "time.sleep(6)", store_history: false });
          window.over = false;
          window.busy.done.then(() => { window.over = true; });
        }"""
    )
    linked.page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'busy'"
    )
    choose(linked.page, 0, r"^cup \d")
    until_shown(linked.page, "coffee 968", "coffee 968")
    choose(linked.page, 1, r"^consomme \d")
    until_shown(linked.page, "coffee 925", "coffee 925")
    assert linked.page.evaluate("() => window.over") is False, "the kernel was to be busy all the while"
    seen = linked.page.evaluate(
        f"""async () => {{
          const seen = new Set();
          while (!window.over) {{
            for (const shown of ({SHOWN})()) seen.add(shown);
            await new Promise((resolve) => setTimeout(resolve, 20));
          }}
          return [...seen];
        }}"""
    )
    assert seen == ["coffee 925"]
    linked.until_python("selection.class_id == 925 and selection.by == 'user'")
    until_shown(linked.page, "coffee 925", "coffee 925")


def test_what_python_selects_both_show(linked):
    linked.python("selection.class_id = 968")
    until_shown(linked.page, "coffee 968", "coffee 968")
    linked.python("second.selected_class = 'consomme'")
    until_shown(linked.page, "coffee 925", "coffee 925")
    linked.python("selection.images = ['rocket', 'chelsea']; selection.class_id = None")
    linked.page.wait_for_function(
        f"() => JSON.stringify(({SHOWN})().map((s) => s.split(' ')[0])) === '[\"rocket\",\"chelsea\"]'"
    )
    assert linked.python("print(first.selected_image, second.selected_image, selection.by)") == "rocket chelsea program"


def until_layers(page, *wanted):
    """Wait until the views of a page show these layers, from top to bottom."""
    shown = "(ww) => ww.dataset.layers || ww.dataset.index"
    page.wait_for_function(
        f"(wanted) => JSON.stringify({ROOTS}.map({shown})) === JSON.stringify(wanted)", arg=list(wanted)
    )


def click_layer(page, view, name, *, role="radio"):
    page.locator(".ww").nth(view).get_by_role(role, name=name, exact=True).click()


def test_layers_are_looked_at_together(linked, screenshots):
    linked.python("heard = []; selection.observe(lambda c: heard.append((c.new, selection.by)), 'layers')")
    assert linked.python("print(selection.layers)") == "[]"
    click_layer(linked.page, 0, "Sign")
    until_layers(linked.page, "slope", "slope")
    linked.until_python("(second.index, selection.layers, selection.by) == ('slope', ['slope'], 'user')")
    click_layer(linked.page, 1, "Side by side", role="button")
    until_layers(linked.page, "total slope error", "total slope error")
    click_layer(linked.page, 0, "Sign", role="checkbox")
    until_layers(linked.page, "total error", "total error")
    linked.until_python("first.layers == second.layers == ['total', 'error'] and selection.by == 'user'")
    linked.until("ww.querySelectorAll('.panels .figure canvas').length === 2")
    linked.page.screenshot(path=screenshots / "linked-layers.png", full_page=True)

    linked.python("selection.layers = ['slope', 'first', 'total']")
    until_layers(linked.page, "total slope", "total slope")
    linked.python("second.layers = []")
    until_layers(linked.page, "slope", "slope")
    assert (
        linked.python("print(selection.layers, selection.by, first.index, first.layers)")
        == "['slope'] program slope []"
    )
    assert linked.python("print(heard)") == str(
        [
            (["slope"], "user"),
            (["total", "slope", "error"], "user"),
            (["total", "error"], "user"),
            (["slope", "first", "total"], "program"),
            (["slope"], "program"),
        ]
    )


def test_the_link_survives_a_reload(linked):
    choose(linked.page, 0, r"^cup \d")
    linked.until_python("selection.class_id == 968")
    linked.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    linked.reload()
    until_shown(linked.page, "coffee 968", "coffee 968")
    choose(linked.page, 1, r"^consomme \d")
    until_shown(linked.page, "coffee 925", "coffee 925")
    linked.until_python("selection.class_id == 925")


def test_they_follow_each_other_in_a_page_opened_from_disk(browser, model, photos, tmp_path):
    chosen = {name: photos[name] for name in ("coffee", "chelsea")}
    first = ww.AttributionView(model, chosen, method=ww.Sobol(grid=4, rows=4))
    second = ww.AttributionView(model, chosen, method=ww.Sobol(grid=4, rows=4, seed=1), selection=first.selection)
    third = ww.AttributionView(model, chosen["coffee"], method=ww.Sobol(grid=4, rows=4))
    for view in (first, second, third):
        view.start().wait(120)
    path = ww.to_html([first, second, third], tmp_path / "linked.html")
    context = browser.new_context(viewport={"width": 1132, "height": 900}, offline=True)
    page = context.new_page()
    noted = []
    page.on("console", lambda m: noted.append(m.text) if m.type in {"error", "warning"} else None)
    page.on("pageerror", lambda e: noted.append(str(e)))
    page.goto(path.as_uri())
    until_shown(page, "coffee 967", "coffee 967", "image 967")
    choose(page, 0, r"^cup \d")
    until_shown(page, "coffee 968", "coffee 968", "image 967")
    choose(page, 1, "^chelsea")
    until_shown(page, "chelsea", "chelsea", "image 967")
    choose(page, 1, "^coffee")
    click_layer(page, 0, "Sign")
    until_layers(page, "slope", "slope", "total")
    click_layer(page, 1, "Side by side", role="button")
    until_layers(page, "total slope error", "total slope error", "total")
    click_layer(page, 0, "Total", role="checkbox")
    until_layers(page, "slope error", "slope error", "total")
    canvases = f"() => {ROOTS}.map((ww) => ww.querySelectorAll('.panels:not([hidden]) .figure canvas').length)"
    assert page.evaluate(canvases) == [2, 2, 0]
    context.close()
    assert noted == []
    for view in (first, second, third):
        view.close()
