"""Processes of their own for what is measured: no plans are known there, and malloc is as it comes or raised."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

STATES = {"default": "malloc as it comes", "raised": "malloc with its thresholds raised"}
_RAISED = {  # malloc then keeps what is freed, and asks the system for memory once
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "MALLOC_TOP_PAD_": str(2**26),
}


def in_process(script: str, task: dict[str, Any], *, raised: bool = False) -> dict[str, Any]:
    """Run ``script --inner task`` and return the JSON of its last line."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    with tempfile.TemporaryDirectory() as cache:
        environment = kept | {"WHATWHERE_CACHE": cache} | (_RAISED if raised else {})
        done = subprocess.run(
            [sys.executable, script, "--inner", json.dumps(task)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return json.loads(done.stdout.splitlines()[-1])
