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
    from whatwhere.widgets.selection import Selection

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
main > div + div {{ margin-top: 48px; }}
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


def to_html(views: View | Sequence[View], path: str | Path, *, title: str | None = None) -> Path:
    """Write one or several views to one HTML file; views that share a selection follow each other there too.

    Parameters
    ----------
    views : View or sequence of View
        What to show, from top to bottom.
    path : str or Path
        Where to write; an existing file is replaced.
    title : str, optional
        Title of the page; by default it names what the views show.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist.
    TypeError, ValueError
        If `views` is something else, or empty.

    Notes
    -----
    The page holds what has been computed by now; it opens from disk and asks nothing of the network. Computing more
    needs a notebook.
    """
    views = _checked(views)
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"path: the folder {str(path.parent)!r} does not exist; make it first.")
    for view in views:
        view.settle()
    packed = _Packed()
    parts = [packed.add_part(part) for view in views for part in view.exported_parts()]
    shown = [packed.add(view) for view in views]
    page = _PAGE.format(
        policy=_POLICY,
        title=html.escape(title or ", and ".join(dict.fromkeys(view.headline() for view in views))),
        state=_json({"views": shown, "parts": packed.parts, "models": packed.models}),
        modules="\n".join([*parts, *map(_module, packed.kinds, packed.kinds.values())]),
        host=_inline(files("whatwhere").joinpath("static", "standalone.js").read_text(encoding="utf-8")),
    )
    path.write_text(page, encoding="utf-8")
    return path


def _checked(views: Any) -> list[View]:
    from whatwhere.widgets._view import View

    listed = [views] if isinstance(views, View) else list(views)
    if not listed:
        raise ValueError("views: wanted at least one view, got none.")
    for view in listed:
        if not isinstance(view, View):
            raise TypeError(f"views: wanted views such as ww.AttributionView, got {type(view).__name__}.")
    return listed


class _Packed:
    """What a page holds: views, the views inside them, their front ends, and the selections that they share.

    Attributes
    ----------
    parts : list of dict
        The views inside views, by kind and name.
    kinds : dict of str to str
        Front ends by kind.
    models : dict of str to dict
        Selections by the page's own names.
    """

    def __init__(self) -> None:
        self.parts: list[dict[str, str]] = []
        self.kinds: dict[str, str] = {}
        self.models: dict[str, dict[str, Any]] = {}
        self._names: dict[str, str] = {}

    def add(self, view: View) -> dict[str, Any]:
        """Take in a view as it is now."""
        self.kinds[view.kind] = str(view._esm)  # noqa: SLF001  # anywidget names it so
        selection: Selection | None = getattr(view, "selection", None)
        if selection is not None:
            name = self._names.setdefault(f"IPY_MODEL_{selection.model_id}", f"model-{len(self.models)}")
            self.models[name] = _freeze(selection.exported_state(), self._names)
        return {"kind": view.kind, **_freeze(view.exported_state(), self._names)}

    def add_part(self, part: View) -> str:
        """Take in a view inside another one; return the element that holds it: it is read once it is shown."""
        name = f"part-{len(self.parts)}"
        self._names[f"IPY_MODEL_{part.model_id}"] = name
        state = self.add(part)
        self.parts.append({"kind": state.pop("kind"), "id": name})
        return f'<script type="application/json" id="ww-{name}">{_json(state)}</script>'


def _module(kind: str, text: str) -> str:
    return f'<script type="text/plain" id="ww-esm-{kind}">{_inline(text)}</script>'


def _freeze(state: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Return traits with their buffers beside them in base64, and references by the page's own names."""
    state, paths, buffers = _remove_buffers(state)
    packed = [
        {"path": list(where), "data": base64.b64encode(buffer).decode("ascii")}
        for where, buffer in zip(paths, buffers, strict=True)
    ]
    return {"state": {key: _renamed(value, names) for key, value in state.items()}, "buffers": packed}


def _renamed(value: Any, names: dict[str, str]) -> Any:
    """Return references by the page's own names; those of parts lie in dicts."""
    if isinstance(value, dict):
        return {key: _renamed(each, names) for key, each in value.items()}
    return f"IPY_MODEL_{names[value]}" if isinstance(value, str) and value in names else value


def _json(value: Any) -> str:
    """Write JSON that no name in it can end the script element with."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _inline(script: str) -> str:
    if "</script" in script.lower():
        raise ValueError("script: it would end its own element; the bundler writes <\\/script instead.")
    return script
