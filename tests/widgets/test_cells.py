"""Views that nobody sees any more are closed, and their memory comes back."""

import gc
import weakref

import pytest
from IPython.core.interactiveshell import InteractiveShell
from ipywidgets.widgets import widget

import whatwhere as ww
from whatwhere.widgets._view import opened

MAKE = "view = ww.AttributionView(model, photos, method=method)"


class Notebook(InteractiveShell):
    """Cells with ids, as JupyterLab runs them."""

    told: dict = {}  # noqa: RUF012  # replaced, never changed

    def get_parent(self):
        return {"metadata": self.told}

    def run(self, cell, code, deleted=()):
        self.told = {"cellId": cell, "deletedCells": list(deleted)}
        assert self.run_cell(code, store_history=True, cell_id=cell).success


@pytest.fixture
def model(toy):
    return toy(lambda x: x.mean((2, 3)))


@pytest.fixture
def notebook(model, photos):
    Notebook.clear_instance()
    shell = Notebook.instance()
    shell.history_manager.enabled = False
    method = ww.Sobol(grid=4, rows=2)
    shell.push({"ww": ww, "model": model, "photos": photos["chelsea"], "method": method})
    yield shell
    Notebook.clear_instance()
    ww.free()


def test_a_cell_that_is_run_again_closes_what_it_showed(notebook):
    notebook.run("a", MAKE + "\nview")
    first = notebook.user_ns["view"]
    notebook.run("b", "1 + 1")
    assert first in opened
    notebook.run("a", MAKE + "\nview")
    assert first not in opened
    assert first.comm is None
    assert notebook.user_ns["view"] in opened


def test_a_view_that_is_shown_elsewhere_or_again_stays(notebook):
    notebook.run("a", MAKE)
    notebook.run("b", "view")
    notebook.run("c", "view")
    first = notebook.user_ns["view"]
    notebook.run("a", MAKE)  # `first` still stands under two cells
    assert first in opened
    notebook.run("b", "view")
    assert first in opened
    notebook.run("c", "view")
    assert first not in opened
    second = notebook.user_ns["view"]
    notebook.run("b", "view")
    assert second in opened


@pytest.mark.parametrize("holder", ["kept = view", "kept = [view]", "_kept = {'a': view}"])
def test_a_view_that_a_variable_holds_stays_until_it_is_let_go(notebook, holder):
    notebook.run("a", MAKE + "\nview")
    first = notebook.user_ns["view"]
    notebook.run("b", holder)
    notebook.run("a", MAKE + "\nview")
    assert first in opened
    notebook.run("b", holder)  # of the new one
    assert first not in opened
    assert notebook.user_ns["view"] in opened


def test_a_deleted_cell_closes_what_it_showed(notebook):
    notebook.run("a", MAKE + "\nview")
    first = notebook.user_ns["view"]
    notebook.run("b", "del view", deleted=["a"])
    assert first not in opened


def test_a_cell_that_fails_loses_nothing(notebook):
    notebook.run("a", MAKE + "\nview")
    first = notebook.user_ns["view"]
    notebook.told = {"cellId": "a"}
    assert not notebook.run_cell("1 / 0", cell_id="a").success
    assert first in opened  # `view` still holds it


def test_a_page_that_names_no_cells_closes_nothing(notebook):
    notebook.told = {}
    made = []
    for _ in range(2):
        assert notebook.run_cell(MAKE + "\nview").success
        made.append(notebook.user_ns["view"])
    assert all(view in opened for view in made)


def test_free_closes_all(model, photos):
    ww.free()
    before = len(widget._instances)
    views = [ww.AttributionView(model, photos, method=ww.Sobol(grid=4, rows=2)) for _ in range(3)]
    job = views[0].start()
    job.wait(60)
    record = weakref.ref(job.record)
    del job
    assert len(widget._instances) > before
    assert ww.free() == 3
    assert [view.comm for view in views] == [None] * 3
    del views
    gc.collect()
    assert record() is None
    assert len(widget._instances) == before
    assert ww.free() == 0
