"""One lock for widgets that write to each other, and what a worker thread had to say meanwhile."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

import ipywidgets
import traitlets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

_LATELY = 15.0  # seconds; a browser whose connection is back has read all states by then


class WriteLock:
    """The lock under which traits are written, and read for the browser.

    A view and its selection write to each other, from any thread, so that they share one: two would wait for each
    other. The worker never waits for it: observers run under it, and one that waits for a job would wait for ever. What
    it could not say at once is said by whoever holds it, in the order in which it was last told: who tells of a view
    may count what that has taken in.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._depth = 0  # of the holds of the thread that holds it
        self._behind: dict[tuple[LockedWidget, str], None] = {}
        self._noting = threading.RLock()  # of that, for no longer than a line

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock, and say afterwards what others had to leave."""
        try:
            with self._lock, self._deeper():
                yield
        finally:
            self._catch_up()

    def say(self, widget: LockedWidget, key: str) -> None:
        """Have a widget say what is new of something, now or, where another thread is writing, right after it.

        Parameters
        ----------
        widget : LockedWidget
            Its `_say_now` is called.
        key : str
            With this.
        """
        with self._noting:
            self._behind.pop((widget, key), None)
            self._behind[widget, key] = None
        self._catch_up()

    def _catch_up(self) -> None:
        while self._behind and self._lock.acquire(blocking=False):
            try:
                if self._depth:  # within a hold of this thread: it may be about to say what it read before
                    return
                if self._behind:  # taken out under the lock only
                    with self._noting:
                        widget, key = next(iter(self._behind))
                        del self._behind[widget, key]
                    if not widget._gone:  # noqa: SLF001  # a widget of this module
                        with self._deeper():
                            widget._say_now(key)  # noqa: SLF001
            finally:
                self._lock.release()

    @contextlib.contextmanager
    def _deeper(self) -> Iterator[None]:
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1


class LockedWidget(ipywidgets.Widget):  # type: ignore[misc]  # ipywidgets ships no types
    """A widget that may be written to from the main thread, from ipykernel's subshells and from the worker.

    Parameters
    ----------
    **traits : object
        Initial values.
    """

    _write_lock: WriteLock
    #: When each trait was last sent to the browser.
    _said_at: dict[str, float]
    #: Whether it was closed: what a job still had to say of it is left unsaid.
    _gone = False

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Give the widget its lock before anything can be written."""
        widget: Self = super().__new__(cls, *args, **kwargs)
        widget._write_lock = WriteLock()
        widget._said_at = {}
        return widget

    @traitlets.observe("comm")
    def _hear_where_it_is_said(self, change: Any) -> None:
        """Have messages handled by the shell that the browser sent them to.

        ipykernel 7.4 hands them to the subshell whose message was being handled when the widget last spoke. The worker
        speaks whoever was heard last, and JupyterLab deletes a subshell at each page load: from then on all that the
        browser says while a job runs, its Stop as well, would go to one that is no more.
        """
        if change["new"] is not None:
            change["new"]._reply_subshell_for = None  # noqa: SLF001  # the kernel looks for it, and does without

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take over state from the browser.

        Parameters
        ----------
        sync_data : dict
            Trait values by name.
        """
        with self._exclusive():
            super().set_state(sync_data)

    def get_state(self, key: Any = None, drop_defaults: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002  # ipywidgets'
        """Return traits as they travel, all of one moment.

        Parameters
        ----------
        key : str or iterable of str, optional
            Which; by default all.
        drop_defaults : bool, default False
            Whether to leave out those that have their default.

        Returns
        -------
        dict
            Values by trait name.
        """
        with self._exclusive():
            return dict(super().get_state(key, drop_defaults))

    def send_state(self, key: Any = None) -> None:
        """Send traits to the browser, and note when.

        Parameters
        ----------
        key : str or iterable of str, optional
            Which; by default all.
        """
        names = self.keys if key is None else [key] if isinstance(key, str) else list(key)
        self._said_at.update(dict.fromkeys(names, time.monotonic()))
        super().send_state(None if key is None else names)

    def say_again(self) -> None:
        """Send what was sent of late once more.

        A browser whose connection is back reads the states of all widgets, in another thread of the kernel: what was
        sent meanwhile may have been overtaken by what was read before.
        """
        with self._exclusive():
            lately = time.monotonic() - _LATELY
            names = [name for name, at in list(self._said_at.items()) if at > lately]
            if names:
                super().send_state(names)

    def notify_change(self, change: Any) -> None:
        """Send a change to the browser and tell observers.

        Parameters
        ----------
        change : Bunch
            The change.
        """
        with self._exclusive():
            super().notify_change(change)

    def write(self, **traits: Any) -> None:
        """Set synced traits from any thread, as one message.

        Parameters
        ----------
        **traits : object
            Values by trait name.
        """
        with self._exclusive(), self.hold_sync():
            for name, value in traits.items():
                setattr(self, name, value)

    def _exclusive(self) -> contextlib.AbstractContextManager[None]:
        return self._write_lock.held()

    def _say(self, key: str) -> None:
        """Say what is new of something, now or, where another thread is writing, right after it."""
        self._write_lock.say(self, key)

    def _say_now(self, key: str) -> None:
        raise NotImplementedError
