"""What all views share: the front-end bundle, messages, and writing to the browser from a worker thread."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import anywidget
import traitlets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

logger = logging.getLogger(__name__)

WIRE: dict[str, Any] = json.loads(files(__package__).joinpath("wire.json").read_text(encoding="utf-8"))

_FRAME_SECONDS = 0.2  # between two maps on their way to the browser
_PROGRESS_SECONDS = 0.1  # between two progress reports
_ACK_SECONDS = 1.5  # a browser that has not drawn a frame by then has gone, or never was


def bundle(name: str) -> str | Path:
    """Return the front end of a view.

    Parameters
    ----------
    name : str
        File name in ``static/``.

    Returns
    -------
    str or Path
        Its text. Only while developing, with ``ANYWIDGET_HMR=1``, its path, which anywidget then watches: a widget made
        with a path is never collected.

    Raises
    ------
    ImportError
        If the package was installed without its front end; the message says how to build it.
    """
    path = Path(str(files("whatwhere").joinpath("static", name)))
    if not path.exists():
        raise ImportError(
            f"whatwhere was installed without its front end: {path.name} is missing from {path.parent}. "
            "In a clone: `npm install --no-save && npm run build` in js/ (Node.js >= 20), "
            "or reinstall with `pip install -e .`."
        )
    return path if os.environ.get("ANYWIDGET_HMR") == "1" else path.read_text(encoding="utf-8")


class View(anywidget.AnyWidget):
    """Base of the views.

    Python's side of a view is written to from three threads: the main one, ipykernel's subshells and the worker. Traits
    are therefore written, and read for the browser, under one lock. The worker never waits for it: observers run under
    it, and one that waits for a job would wait for ever. What it could not say at once is said by whoever holds it.

    Parameters
    ----------
    **traits : object
        Initial values of public traits.

    Raises
    ------
    TypeError
        If a keyword is not a trait.
    """

    #: Name of the view's front end, without its ending.
    kind: ClassVar[str]
    #: Name of the method that answers each kind of message.
    _handlers: ClassVar[dict[str, str]] = {}

    _shared_handlers: ClassVar[dict[str, str]] = {"hello": "_on_hello", "set": "_on_set"}

    _kernel = traitlets.Bool(True).tag(sync=True)
    _write_lock: threading.RLock
    _behind: set[str]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Give the view its lock before anything can be written."""
        view = super().__new__(cls, *args, **kwargs)
        view._write_lock = threading.RLock()
        view._behind = set()
        return view

    def __init__(self, **traits: Any) -> None:
        unknown = sorted(set(traits) - set(self.public_traits()))
        if unknown:
            raise TypeError(
                f"{type(self).__name__}: unknown option {unknown[0]!r}; wanted one of {self.public_traits()}."
            )
        super().__init__(**traits)
        self.on_msg(self._receive)

    @classmethod
    def public_traits(cls) -> list[str]:
        """Return the names of the traits that people may set.

        Returns
        -------
        list of str
            Sorted names.
        """
        own = {name for base in cls.__mro__ if issubclass(base, View) for name in base.__dict__}
        return sorted(name for name in cls.class_trait_names(sync=True) if name in own and not name.startswith("_"))

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

    def notify_change(self, change: Any) -> None:
        """Send a change to the browser and tell observers.

        Parameters
        ----------
        change : Bunch
            The change.
        """
        with self._exclusive():
            super().notify_change(change)

    @contextlib.contextmanager
    def _exclusive(self) -> Iterator[None]:
        try:
            with self._write_lock:
                yield
        finally:
            self._catch_up()

    def _say(self, key: str) -> None:
        """Say what is new of something, now or, where another thread is writing, right after it."""
        self._behind.add(key)
        self._catch_up()

    def _catch_up(self) -> None:
        while self._behind and self._write_lock.acquire(blocking=False):
            try:
                if self._behind:  # keys are taken out under the lock only
                    self._say_now(self._behind.pop())
            finally:
                self._write_lock.release()

    def _say_now(self, key: str) -> None:
        raise NotImplementedError

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

    def exported_state(self) -> dict[str, Any]:
        """Return the state that an exported page needs.

        Returns
        -------
        dict
            The view's own synced traits as they travel, with ``_kernel`` false.
        """
        own = {name for base in type(self).__mro__ if issubclass(base, View) for name in base.__dict__}
        keys = [name for name in self.keys if name in own and name != "_esm"]
        return {**self.get_state(keys), "_kernel": False}

    def reply(self, kind: str, rid: Any, **content: Any) -> None:
        """Send an answer to the browser.

        Parameters
        ----------
        kind : str
            One of ``to_view`` in ``wire.json``.
        rid : object
            The request's own mark.
        **content : object
            What it says.
        """
        self.send({"kind": kind, "rid": rid, "v": WIRE["version"], **content})

    def _receive(self, _: View, content: Any, buffers: Any) -> None:
        """Hand a message to its handler; handlers validate, enqueue and return. Unknown ones are ignored."""
        del buffers
        kind = content.get("kind") if isinstance(content, dict) else None
        handler = {**self._shared_handlers, **self._handlers}.get(kind) if isinstance(kind, str) else None
        if handler is None:
            logger.debug("Ignored a message of unknown kind %r", kind)
            return
        getattr(self, handler)(content)

    def _on_hello(self, content: dict[str, Any]) -> None:
        self.reply("welcome", content.get("rid"))

    def _on_set(self, content: dict[str, Any]) -> None:
        """Set public traits that the browser sends; what is refused is sent back as it was."""
        traits = content.get("traits")
        for name, value in traits.items() if isinstance(traits, dict) else ():
            if name not in self.public_traits():
                logger.debug("Ignored the trait %r", name)
                continue
            try:
                self.write(**{name: value})
            except traitlets.TraitError as error:
                logger.warning("The browser sent a value that cannot be: %s", error)
                self.send_state(name)
            except Exception:  # of somebody's observer: the others are still told, and the browser is answered
                logger.exception("An observer of %r failed", name)
        self.reply("applied", content.get("rid"))


class FrameGate:
    """Decides when a new frame may go to the browser: one that is not yet drawn at a time, and not too often.

    Frames that are held back are not kept: the next one asked for is the newest.
    """

    def __init__(self) -> None:
        self._sent = 0
        self._acknowledged = 0
        self._sent_at = float("-inf")
        self._progress_at = float("-inf")

    def acknowledge(self, frame: int) -> None:
        """Note that the browser has drawn a frame.

        Parameters
        ----------
        frame : int
            Its number.
        """
        self._acknowledged = max(self._acknowledged, frame)

    def frame(self, *, force: bool = False) -> int | None:
        """Ask to send a frame now.

        Parameters
        ----------
        force : bool, default False
            Whether it must go in any case: the last frame of a job does.

        Returns
        -------
        int or None
            The number of the new frame, or None if it has to wait.
        """
        now = time.monotonic()
        waiting = self._acknowledged < self._sent and now - self._sent_at < _ACK_SECONDS
        if not force and (waiting or now - self._sent_at < _FRAME_SECONDS):
            return None
        self._sent, self._sent_at = self._sent + 1, now
        return self._sent

    def progress(self) -> bool:
        """Ask to report progress now.

        Returns
        -------
        bool
            True at most ten times a second.
        """
        now = time.monotonic()
        if now - self._progress_at < _PROGRESS_SECONDS:
            return False
        self._progress_at = now
        return True
