"""What a displayed view adds to a saved notebook, its state and its picture included."""

import nbformat
import pytest
from nbclient import NotebookClient

SHOW = """
import whatwhere as ww
view = ww.AttributionView(ww.load_model("efficientnet_lite0"), ww.examples.photos(), method=ww.Sobol(grid=8, rows=4))
view.start()
view.job.wait()
view
"""


CONCEPTS = """
import whatwhere as ww
model = ww.load_model("efficientnet_lite0")
bank = ww.Craft(n_concepts=3, fit_on="locations").run(model, ww.examples.photos(), progress=False)
view = ww.ConceptExplorer(bank, model)
view.start()
view.job.wait()
view
"""


@pytest.mark.kernel
def test_a_view_of_four_photos_adds_less_than_300_kilobytes():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(SHOW)])
    NotebookClient(notebook, timeout=120, store_widget_state=True).execute()
    state = notebook.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    assert any("_esm" in model["state"] for model in state.values())
    assert len(nbformat.writes(notebook)) < 300_000
    bundle = notebook.cells[0].outputs[-1]["data"]
    assert {"image/png", "text/html", "application/vnd.jupyter.widget-view+json"} <= set(bundle)
    assert "looks for espresso" in bundle["text/plain"]


@pytest.mark.kernel
def test_concepts_add_less_than_300_kilobytes():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CONCEPTS)])
    NotebookClient(notebook, timeout=120, store_widget_state=True).execute()
    assert len(nbformat.writes(notebook)) < 300_000
    bundle = notebook.cells[0].outputs[-1]["data"]
    assert {"image/png", "text/html", "application/vnd.jupyter.widget-view+json"} <= set(bundle)
    assert "3 concepts of EfficientNet-Lite0" in bundle["text/plain"]
