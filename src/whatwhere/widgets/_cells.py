"""Which cell shows which views: one that is run again closes what it showed before."""

from __future__ import annotations

import re
import sys
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from whatwhere.widgets._view import View

_OUTPUT = re.compile(r"_+\d*")  # what IPython itself calls what cells returned


class Cells:
    """The views that stand under the cells of one notebook.

    A view that no cell shows any more, because its cell was run again or deleted, is closed at the end of that run:
    nobody sees it, and its photos and maps would stay in memory for ever, since ipywidgets keeps all that is open. A
    view that a variable of the user's still holds is left open.

    Parameters
    ----------
    shell : IPython.core.interactiveshell.InteractiveShell
        Where the cells run.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._shown: dict[str, weakref.WeakSet[View]] = {}
        self._now: dict[str, weakref.WeakSet[View]] = {}
        self._unseen: weakref.WeakSet[View] = weakref.WeakSet()  # held by a variable alone
        shell.events.register("post_run_cell", self._after)

    def show(self, view: View) -> None:
        """Note that a view is displayed by the cell that runs.

        Parameters
        ----------
        view : View
            The view.
        """
        cell = self._told().get("cellId")
        if isinstance(cell, str):
            self._now.setdefault(cell, weakref.WeakSet()).add(view)

    def _told(self) -> dict[str, Any]:
        """Return what the page says of the cell that runs; not every page does."""
        asked = getattr(self._shell, "get_parent", None)  # a terminal's shell has no page to ask
        parent: Any = asked() if asked is not None else None
        told = parent.get("metadata") if isinstance(parent, dict) else None
        return told if isinstance(told, dict) else {}

    def _after(self, result: Any) -> None:
        """Close what nobody sees any more, at the end of a run."""
        cell, deleted = result.info.cell_id, self._told().get("deletedCells")
        for gone in deleted if isinstance(deleted, list) else ():
            self._unseen.update(self._shown.pop(gone, ()))
        if cell is not None:
            self._unseen.update(self._shown.pop(cell, ()))
            self._shown[cell] = self._now.pop(cell, weakref.WeakSet())
        self._unseen -= {view for views in self._shown.values() for view in views}
        if self._unseen:
            held = {id(value) for value in self._held()}
            for view in [view for view in self._unseen if id(view) not in held]:
                self._unseen.discard(view)
                view.close()

    def _held(self) -> Iterator[Any]:
        """Go through what the user's variables hold, and what lies in their lists and dicts."""
        for name, value in list(self._shell.user_ns.items()):
            if name in self._shell.user_ns_hidden or _OUTPUT.fullmatch(name):
                continue
            yield value
            if isinstance(value, dict):
                yield from value.values()
            elif isinstance(value, list | tuple | set | frozenset):
                yield from value


_cells: weakref.WeakKeyDictionary[Any, Cells] = weakref.WeakKeyDictionary()


def note(view: View) -> None:
    """Note that a view is displayed, where a notebook's cell does so.

    Parameters
    ----------
    view : View
        The view.
    """
    python = sys.modules.get("IPython")  # where nobody has imported it, there are no cells
    shell = python.get_ipython() if python is not None else None
    if shell is None:
        return
    if shell not in _cells:
        _cells[shell] = Cells(shell)
    _cells[shell].show(view)
