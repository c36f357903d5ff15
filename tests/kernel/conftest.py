"""Kernels of several ipykernel versions, each an overlay on this environment found through a kernelspec's path."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

VERSIONS = ("6.31.0", "7.3.0", "7.4.0")
OVERLAYS = Path(__file__).parents[2] / ".kernels"
# What ipykernel 6 needs beyond the dependencies of ipykernel 7.
OLD_NEEDS = ("nest-asyncio", "comm", "debugpy")


@pytest.fixture(scope="session", params=VERSIONS)
def kernelspec(request, tmp_path_factory):
    """Folder with a kernelspec named ``overlay`` that runs one version of ipykernel."""
    overlay = OVERLAYS / request.param
    if not (overlay / "ipykernel").exists():
        install(request.param, overlay)
    data = tmp_path_factory.mktemp(f"jupyter-{request.param}")
    folder = data / "kernels" / "overlay"
    folder.mkdir(parents=True)
    source = str(Path(__file__).parents[2] / "src")
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": f"ipykernel {request.param}",
        "language": "python",
        "env": {"PYTHONPATH": os.pathsep.join([str(overlay), source])},
    }
    (folder / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    return request.param, data


def install(version, overlay):
    wanted = [f"ipykernel=={version}", *(OLD_NEEDS if version.startswith("6") else ())]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(overlay), *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        message = f"ipykernel {version} could not be installed: {done.stderr.strip()[-300:]}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
