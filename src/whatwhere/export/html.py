"""One HTML file that opens from disk, asks nothing of the network, and still reacts to clicks."""

from __future__ import annotations

import base64
import html
import json
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ipywidgets.widgets.widget import _remove_buffers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from whatwhere.widgets._view import View

# The page forbids itself every request; scripts are inline, and modules come from blob: or data: addresses.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' data: blob:; style-src 'unsafe-inline'; "
    "img-src data: blob:"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 0; font-family: system-ui, sans-serif; background: #fff; color: #1c1c1a; }}
h1 {{ font-size: 20px; line-height: 24px; font-weight: 600; margin: 8px 0 16px; }}
main {{ max-width: 1132px; margin: 0 auto; padding: 16px; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #131312; color: #ecebe7; }} }}
</style>
</head>
<body>
<main id="ww-root">
<h1>{title}</h1>
<noscript>This page needs JavaScript; it loads nothing from the network.</noscript>
</main>
<script type="application/json" id="ww-state">{state}</script>
{modules}
<script>{host}</script>
</body>
</html>
"""


def write_page(path: str | Path, views: Sequence[View], *, title: str) -> Path:
    """Write views to one HTML file.

    Parameters
    ----------
    path : str or Path
        Where to write; an existing file is replaced.
    views : sequence of View
        What to show, from top to bottom.
    title : str
        Title of the page.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path: the folder {str(path.parent)!r} does not exist; make it first.")
    kinds = {
        view.kind: str(view._esm)  # noqa: SLF001  # anywidget names it so
        for view in views
    }
    modules = "\n".join(
        f'<script type="text/plain" id="ww-esm-{kind}">{_inline(text)}</script>' for kind, text in kinds.items()
    )
    page = _PAGE.format(
        policy=_POLICY,
        title=html.escape(title),
        state=_json({"views": [_freeze(view) for view in views]}),
        modules=modules,
        host=_inline(files("whatwhere").joinpath("static", "standalone.js").read_text(encoding="utf-8")),
    )
    path.write_text(page, encoding="utf-8")
    return path


def _freeze(view: View) -> dict[str, Any]:
    """Return a view's own traits, with its buffers beside them in base64."""
    state, paths, buffers = _remove_buffers(view.exported_state())
    packed = [
        {"path": list(where), "data": base64.b64encode(buffer).decode("ascii")}
        for where, buffer in zip(paths, buffers, strict=True)
    ]
    return {"kind": view.kind, "state": state, "buffers": packed}


def _json(value: Any) -> str:
    """Write JSON that no name in it can end the script element with."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _inline(script: str) -> str:
    if "</script" in script.lower():
        raise ValueError("script: it would end its own element; the bundler writes <\\/script instead.")
    return script
