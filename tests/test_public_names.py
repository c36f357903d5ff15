"""The public names, and that importing them is light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import whatwhere as ww

HEAVY = ("torch", "torchvision", "plotly", "sklearn", "skimage", "anywidget", "ipywidgets", "PIL", "numpy", "tqdm")


def imported_by(statement):
    code = f"{statement}\nimport sys\nprint(*(m for m in {HEAVY!r} if m in sys.modules))"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_importing_whatwhere_imports_nothing_heavy():
    assert imported_by("import whatwhere") == []


def test_importing_the_widgets_imports_no_torch():
    assert not {"torch", "torchvision", "plotly", "sklearn"} & set(imported_by("import whatwhere.widgets"))


def test_importing_jobs_imports_no_torch():
    assert imported_by("import whatwhere.jobs") == []


def test_the_stub_lists_the_same_names():
    stub = ast.parse(Path(ww.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    names = {alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    listed = next(ast.literal_eval(n.value) for n in stub.body if isinstance(n, ast.Assign))
    assert names == set(listed) == set(ww.__all__) == set(dir(ww))


@pytest.mark.parametrize("name", ww.__all__)
def test_every_public_name_loads(name):
    assert getattr(ww, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'Sobbol'"):
        ww.Sobbol  # noqa: B018  # the access is the test


def test_the_house_keeps_its_import_rules():
    """In a process of its own: import-linter disables all loggers that exist."""
    config = str(Path(__file__).parents[1] / "pyproject.toml")
    code = f"import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(config_filename={config!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
