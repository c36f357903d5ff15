"""Firefox by its own remote protocol, Marionette: playwright drives a Firefox of its own only."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 60  # seconds
FIREFOX = os.environ.get("WHATWHERE_FIREFOX") or shutil.which("firefox-esr") or shutil.which("firefox")
QUIET = {
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "app.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
}
ROOT = "[...document.querySelectorAll('*')].map((e) => e.shadowRoot?.querySelector('.ww')).find(Boolean)"
NOTED = """return Services.console.getMessageArray().flatMap((m) => {
  if (!(m instanceof Ci.nsIScriptError) || !/^(file|blob):/.test(m.sourceName)) return [];
  return [`${m.sourceName}:${m.lineNumber} ${m.errorMessage}`];
})"""


@dataclass
class Firefox:
    """A headless browser with one page."""

    wire: socket.socket
    stream: Any
    asked: int = field(default=0)

    def hear(self) -> Any:
        size = b""
        while (each := self.stream.read(1)) != b":":
            assert each, "Firefox hung up"
            size += each
        return json.loads(self.stream.read(int(size)))

    def tell(self, command: str, **parameters: Any) -> Any:
        self.asked += 1
        text = json.dumps([0, self.asked, command, parameters]).encode()
        self.wire.sendall(f"{len(text)}:".encode() + text)
        _, _, error, answer = self.hear()
        assert error is None, error
        return answer

    def run(self, script: str) -> Any:
        """Run a script, in which ``ww`` is the root of the view, and return what it returns."""
        return self.tell("WebDriver:ExecuteScript", script=f"const ww = {ROOT}; {script}")["value"]

    def open(self, path: Path) -> None:
        self.tell("WebDriver:Navigate", url=path.as_uri())

    def until(self, expression: str) -> None:
        end = time.monotonic() + PATIENCE
        while not self.run(f"return Boolean({expression})"):
            assert time.monotonic() < end, f"waited in vain for {expression}"
            time.sleep(0.1)

    def noted(self) -> list[str]:
        """Errors and warnings of pages since the last time."""
        self.tell("Marionette:SetContext", value="chrome")
        found = self.tell("WebDriver:ExecuteScript", script=NOTED)["value"]
        self.tell("WebDriver:ExecuteScript", script="Services.console.reset()")
        self.tell("Marionette:SetContext", value="content")
        return found


@contextlib.contextmanager
def firefox(profile: Path) -> Iterator[Firefox]:
    """Start a browser with a profile of its own, and end it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {**QUIET, "marionette.port": port}
    lines = [f'user_pref("{name}", {json.dumps(value)});' for name, value in settings.items()]
    (profile / "user.js").write_text("\n".join(lines), encoding="utf-8")
    command = [FIREFOX, "--headless", "--marionette", "-remote-allow-system-access", "--no-remote"]
    with (profile / "log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [*command, "--profile", str(profile)], env={**os.environ, "HOME": str(profile)}, stdout=log, stderr=log
        )
        try:
            with connected(port, process) as wire, wire.makefile("rb") as stream:
                browser = Firefox(wire, stream)
                browser.hear()
                browser.tell("WebDriver:NewSession", capabilities={})
                yield browser
        finally:
            process.terminate()
            process.wait(20)


def connected(port: int, process: subprocess.Popen) -> socket.socket:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        assert process.poll() is None, "Firefox ended at once"
        with contextlib.suppress(OSError):
            return socket.create_connection(("127.0.0.1", port))
        time.sleep(0.1)
    raise TimeoutError(f"Firefox does not listen on port {port}")
