"""Views that share a selection."""

from __future__ import annotations

from typing import Any, ClassVar

import traitlets
from ipywidgets import widget_serialization

from whatwhere.widgets._view import View
from whatwhere.widgets.selection import Selection


class LinkedView(View):
    """Base of the views that share a selection.

    The browser finds the selection by its reference and keeps the view's own traits equal to it, by the same rules as
    Python does. What mirrors the selection therefore does not travel with every change.

    Parameters
    ----------
    **traits : object
        Initial values of public traits.
    """

    #: Traits that mirror the selection.
    _mirrors: ClassVar[tuple[str, ...]] = ()
    #: Attributes of the selection that they follow.
    _followed: ClassVar[tuple[str, ...]] = ()

    _shared_handlers: ClassVar[dict[str, str]] = {
        **View._shared_handlers,  # noqa: SLF001  # the base's
        "alone": "_on_alone",
    }

    _following = False

    _selection = traitlets.Instance(Selection).tag(sync=True, **widget_serialization)

    @property
    def selection(self) -> Selection:
        """What is selected; give it to other views, and they follow each other."""
        shared: Selection = self._selection
        return shared

    def _let_go(self) -> None:
        """Leave the selection, which closes with its last view."""
        if self._following:
            self._following = False
            self.selection.unobserve(self._follow, list(self._followed))
        if "_selection" in self._trait_values:
            self.selection.leave(self)
        super()._let_go()

    def _join(self, selection: Selection | None) -> Selection:
        """Take part in a selection, or a new one; before the view's own traits are set, since the lock is shared."""
        if selection is not None and not isinstance(selection, Selection):
            raise TypeError(f"selection: wanted a whatwhere.Selection or None, got {type(selection).__name__}.")
        shared = Selection() if selection is None else selection
        self._browser_alone = False
        self._write_lock = shared._write_lock  # noqa: SLF001  # the views of a selection share its lock
        self._selection = shared
        shared.join(self, closes=selection is None)
        return shared

    def _begin_to_follow(self) -> None:
        """Take over what is selected from now on."""
        self._following = True
        self.selection.observe(self._follow, list(self._followed))

    def _follow(self, change: Any) -> None:
        """Take over what was selected elsewhere."""
        raise NotImplementedError

    def _settle_with_selection(self) -> None:
        """Take over what another view settled on from the worker, without calling observers."""

    def _set_quietly(self, **traits: Any) -> None:
        """Set traits from the worker without calling observers: one of them might wait for it."""
        changed = {name: value for name, value in traits.items() if value != getattr(self, name)}
        self._trait_values.update(changed)
        if changed:
            self.send_state(list(changed))

    def _set_for_user(self, name: str, value: Any) -> None:
        """Set a trait that the browser sends: where other models are not found, it sends what mirrors the selection."""
        with self.selection.by_user(*self._followed):
            super()._set_for_user(name, value)

    def _should_send_property(self, key: str, value: Any) -> bool:
        if key in self._mirrors and not self._browser_alone:
            return False
        return bool(super()._should_send_property(key, value))

    def _on_alone(self, content: dict[str, Any]) -> None:
        """From now on send what mirrors the selection: this host does not find other models."""
        del content
        self._browser_alone = True
        self.send_state(list(self._mirrors))
