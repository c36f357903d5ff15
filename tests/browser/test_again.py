"""Cells that are run again and again in a real JupyterLab leave nothing behind, neither in the page nor in Python."""

from __future__ import annotations

import pytest
from lab_driver import write_notebook

pytestmark = pytest.mark.browser

SETUP = """
import gc, torch; torch.set_num_threads(1)
import whatwhere as ww
from whatwhere.widgets._view import View, opened
from ipywidgets.widgets import widget
model = ww.load_model("efficientnet_lite0", device="cpu")
photos = ww.examples.photos()
bank = ww.Craft(n_concepts=2, fit_on="locations").run(model, photos, progress=False)
method = ww.Sobol(grid=4, rows=2)
def left():
    gc.collect()
    return len(opened), len(widget._instances), sum(issubclass(type(each), View) for each in gc.get_objects())
before = left()
"""
CELLS = ["ww.AttributionView(model, photos, method=method)", "ww.ConceptExplorer(bank, model)"]

# IPython keeps what cells returned.
FORGET = """
shell = get_ipython()
shell.run_line_magic("reset", "-f out")
for names in (shell.user_ns, shell.user_ns_hidden):
    names.update(dict.fromkeys(("_", "__", "___")))
"""

# What our bundles, which come as blobs, hang on what outlives a view: the window, the document, media queries; and
# observers that still observe something.
LEDGER = """
window.__held = { listeners: [], observers: new Set() };
const ours = () => (new Error().stack ?? "").includes("blob:");
const add = EventTarget.prototype.addEventListener;
EventTarget.prototype.addEventListener = function (type, callback, options) {
  add.call(this, type, callback, options);
  const lasting = this === window || this === document || this === document.documentElement
    || this === document.body || this instanceof MediaQueryList;
  if (!lasting || !ours()) return;
  const entry = { target: this, type, callback };
  window.__held.listeners.push(entry);
  const forget = () => { window.__held.listeners = window.__held.listeners.filter((each) => each !== entry); };
  if (options?.signal) add.call(options.signal, "abort", forget, { once: true });
};
const remove = EventTarget.prototype.removeEventListener;
EventTarget.prototype.removeEventListener = function (type, callback, options) {
  remove.call(this, type, callback, options);
  window.__held.listeners = window.__held.listeners.filter(
    (each) => each.target !== this || each.type !== type || each.callback !== callback);
};
for (const name of ["ResizeObserver", "MutationObserver", "IntersectionObserver"]) {
  window[name] = class extends window[name] {
    observe(...told) {
      super.observe(...told);
      if (ours()) window.__held.observers.add(this);
    }
    disconnect() {
      super.disconnect();
      window.__held.observers.delete(this);
    }
  };
}
"""
HELD = "() => [window.__held.listeners.length, window.__held.observers.size]"
RUN = "(n) => { const { content } = window.jupyterapp.shell.currentWidget; content.activeCellIndex = n; }"


def run_cell(lab, number):
    lab.page.evaluate(RUN, number)
    lab.page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-cell')")


@pytest.mark.parametrize("code", CELLS, ids=["where", "what"])
def test_ten_runs_of_a_cell_leave_one_view(lab, code, request):
    lab.page.add_init_script(LEDGER)
    name = f"again-{request.node.callspec.id}.ipynb"
    write_notebook(lab.server.root / name, [SETUP, code, "closed = ww.free()"])
    lab.open(name)
    run_cell(lab, 0)
    run_cell(lab, 1)
    lab.view(ready=1)
    lab.until_python("len(opened) == 1")
    once = lab.page.evaluate(HELD)
    assert sum(once) > 0, "the ledger sees what a view hangs up"
    for _ in range(9):
        first = lab.view(ready=1).element_handle()
        run_cell(lab, 1)
        lab.page.wait_for_function("(old) => !old.isConnected", arg=first)
        lab.view(ready=1)
    lab.until_python("len(opened) == 1")
    assert lab.page.locator(".ww").count() == 1
    assert lab.page.evaluate(HELD) == once

    run_cell(lab, 2)
    lab.until_python("'closed' in globals() and closed == 1")
    lab.python(FORGET)
    lab.until_python("left() == before == (0, 0, 0)")  # the last job ends with the chunk that it computes
    lab.page.evaluate("() => window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs')")
    lab.page.wait_for_function("() => document.querySelectorAll('.ww').length === 0")
    assert lab.page.evaluate(HELD) == [0, 0]
