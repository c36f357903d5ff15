"""The command line; `.ci/run` starts the demo itself."""

import importlib.util
import sys

import pytest

from whatwhere import __version__, cli


def test_version(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"whatwhere {__version__}\n"


def test_a_clone_opens_its_own_notebooks():
    assert (cli.notebooks_folder() / "00_explorer.ipynb").exists()


def test_an_installed_wheel_copies_its_notebooks_once(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "whatwhere"
    (package / "notebooks").mkdir(parents=True)
    (package / "notebooks" / "00_explorer.ipynb").write_text("first", encoding="utf-8")
    monkeypatch.setattr(cli, "files", lambda _: package)
    monkeypatch.chdir(tmp_path)
    copied = cli.notebooks_folder() / "00_explorer.ipynb"
    assert copied.read_text(encoding="utf-8") == "first"
    copied.write_text("my own notes", encoding="utf-8")
    cli.notebooks_folder()
    assert copied.read_text(encoding="utf-8") == "my own notes"


def test_the_demo_starts_jupyterlab_on_the_first_notebook(monkeypatch):
    asked = []
    monkeypatch.setattr(cli, "_become", lambda command: asked.append(command) or 0)
    assert cli.main(["demo", "--no-browser", "--port", "8765", "--", "--allow-root"]) == 0
    (command,) = asked
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    assert command[3] == f"--ServerApp.root_dir={cli.notebooks_folder()}"
    assert {
        "--LabApp.default_url=/lab/tree/00_explorer.ipynb",
        "--no-browser",
        "--ServerApp.port=8765",
        "--allow-root",
    } <= set(command)


def test_missing_packages_are_named(monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "skimage" else find(name))
    assert cli.main(["demo"]) == 1
    assert "whatwhere demo needs scikit-image: pip install 'whatwhere[demo]'" in capsys.readouterr().err
