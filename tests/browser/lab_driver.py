"""A JupyterLab of our own and a headless browser on it: every wait is for a state, never for a time."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import nbformat
from playwright.sync_api import TimeoutError as PlaywrightTimeout

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE = 60  # seconds; a loaded machine is five to eight times slower than a calm one
CHROMIUM = os.environ.get("WHATWHERE_CHROMIUM", "/usr/bin/chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--force-color-profile=srgb",
]
NO_NEWS = {"@jupyterlab/apputils-extension/notification.jupyterlab-settings": {"fetchNews": "false"}}
THEMES = "@jupyterlab/apputils-extension/themes.jupyterlab-settings"
READY = """() => {
  const shown = window.jupyterapp?.shell?.currentWidget?.sessionContext;
  const kernel = shown?.isReady && shown.session?.kernel;
  return kernel && kernel.connectionStatus === "connected" && kernel.status === "idle";
}"""
EXECUTE = """async (code) => {
  const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  const future = kernel.requestExecute({ code, silent: false, store_history: false, stop_on_error: false });
  let out = "";
  future.onIOPub = (m) => {
    if (m.header.msg_type === "stream") out += m.content.text;
    if (m.header.msg_type === "error") out += m.content.traceback.join("\\n");
  };
  await future.done;
  return out;
}"""

_ROOTS = """[...document.querySelectorAll("*")].map((e) => e.shadowRoot?.querySelector(".ww")).filter(Boolean)"""


@dataclass
class Server:
    """Where a running Jupyter server is."""

    base: str
    token: str
    root: Path


@contextlib.contextmanager
def jupyter(root: Path, scratch: Path):
    """Start JupyterLab on a folder, with settings of its own, and end it with all its kernels."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(8)
    folders = ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")
    env = {**os.environ, **{f"JUPYTER_{name}": str(scratch / name.lower()) for name in folders}}
    settings = scratch / "settings"
    env |= {"IPYTHONDIR": str(scratch / "ipython"), "JUPYTERLAB_SETTINGS_DIR": str(settings)}
    env |= {"JUPYTERLAB_WORKSPACES_DIR": str(scratch / "workspaces")}
    for name, value in NO_NEWS.items():
        (settings / name).parent.mkdir(parents=True, exist_ok=True)
        (settings / name).write_text(json.dumps(value), encoding="utf-8")
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--expose-app-in-browser"]
    command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1"]
    command += [f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={root}"]
    command += [
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.extension_manager=readonly",
    ]
    with (scratch / "server.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
        try:
            base = f"http://127.0.0.1:{port}"
            until_answers(f"{base}/api/status?token={token}", process)
            yield Server(base, token, root)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def until_answers(address: str, process: subprocess.Popen) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        assert process.poll() is None, "the server ended at once"
        with contextlib.suppress(OSError, urllib.error.URLError), urllib.request.urlopen(address) as answer:  # noqa: S310
            if answer.status == 200:
                return
        time.sleep(0.05)
    raise TimeoutError(address)


def write_notebook(path: Path, cells: list[str]) -> None:
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    )
    nbformat.write(notebook, path)


@dataclass
class Lab:
    """One browser page on JupyterLab, which notes console errors and requests that leave the server."""

    page: object
    server: Server
    errors: list[str] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)

    def __post_init__(self):
        self.page.set_default_timeout(PATIENCE * 1000)
        self.page.on("console", lambda m: self.errors.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda e: self.errors.append(str(e)))
        self.page.on("request", self._note_request)

    def _note_request(self, request):
        if not request.url.startswith((self.server.base, self.server.base.replace("http", "ws"), "data:", "blob:")):
            self.outside.append(request.url)

    def open(self, name: str) -> None:
        address = f"{self.server.base}/doc/tree/{name}?token={self.server.token}&reset"
        self.page.goto(address, wait_until="commit")
        self.until_ready()

    def reload(self) -> None:
        self.page.reload(wait_until="commit")
        self.until_ready(idle=False)

    def until_ready(self, *, idle: bool = True) -> None:
        self.page.wait_for_function("() => window.jupyterapp && window.jupyterapp.started")
        self.page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
        if idle:
            self.page.wait_for_function(READY)

    def run_all(self) -> None:
        """Start all cells; does not wait for their end."""
        self.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")

    def python(self, code: str) -> str:
        """Run code in the notebook's kernel and return what it prints."""
        return self.page.evaluate(EXECUTE, code).strip()

    def until_python(self, expression: str) -> None:
        """Wait until an expression is true in the kernel."""
        end = time.monotonic() + PATIENCE
        while self.python(f"print(bool({expression}))") != "True":
            assert time.monotonic() < end, f"waited in vain for {expression}"
            self.page.wait_for_timeout(100)

    def theme(self, name: str) -> None:
        self.page.evaluate("name => window.jupyterapp.commands.execute('apputils:change-theme', { theme: name })", name)
        dark = str(name == "JupyterLab Light").lower()
        self.page.wait_for_selector(f"body[data-jp-theme-light='{dark}']", state="attached")
        self.page.wait_for_selector("#jupyterlab-splash", state="detached")

    def view(self, **attributes) -> object:
        """Wait for a view whose root has these data attributes, and return its locator."""
        wanted = "".join(f'[data-{key}="{value}"]' for key, value in attributes.items())
        locator = self.page.locator(f".ww{wanted}").first
        locator.wait_for()
        return locator

    def until(self, expression: str) -> None:
        """Wait until an expression of the view's root element, ``ww``, is true in the browser."""
        try:
            self.page.wait_for_function(
                f"""(expression) => {{
                  const holds = new Function("ww", `return ${{expression}}`);
                  return {_ROOTS}.some((ww) => holds(ww));
                }}""",
                arg=expression,
                polling=100,
            )
        except PlaywrightTimeout as error:
            found = self.page.evaluate(f"() => {_ROOTS}.map((ww) => ({{ ...ww.dataset }}))")
            raise AssertionError(f"waited in vain for {expression}; the views have {found}") from error

    def shut_down(self) -> None:
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget?.sessionContext?.shutdown()")
