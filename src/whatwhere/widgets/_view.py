"""What all views share: the front-end bundle, messages, and writing to the browser from a worker thread."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
import weakref
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import anywidget
import traitlets

from whatwhere.widgets import _cells
from whatwhere.widgets._heard import Heard
from whatwhere.widgets._lock import LockedWidget

if TYPE_CHECKING:
    from collections.abc import Iterator

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


#: The views that have not been closed.
opened: weakref.WeakSet[View] = weakref.WeakSet()


class View(LockedWidget, anywidget.AnyWidget):
    """Base of the views.

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

    _shared_handlers: ClassVar[dict[str, str]] = {"hello": "_on_hello", "back": "_on_back", "set": "_on_set"}

    _kernel = traitlets.Bool(True).tag(sync=True)
    #: How it is a part of another view: beside others, or on a page of its own. It leaves out what the others show.
    _embedded = traitlets.Enum(("", "beside", "page"), "").tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        unknown = sorted(set(traits) - set(self.public_traits()))
        if unknown:
            raise TypeError(
                f"{type(self).__name__}: unknown option {unknown[0]!r}; wanted one of {self.public_traits()}."
            )
        self._heard_requests = Heard()
        super().__init__(**traits)
        opened.add(self)
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

    def close(self) -> None:
        """Stop all jobs, give their memory back and disconnect from the browser; the view cannot be used again."""
        made = self in opened  # else it refused what it was given, and is collected on whatever thread
        with self._exclusive() if made else contextlib.nullcontext():  # not while the worker writes to it
            if self._gone:
                return
            self._gone = True
            self._let_go()
            layout = self._trait_values.get("layout")
            if layout is not None:
                layout.close()
            opened.discard(self)
            super().close()

    def _let_go(self) -> None:
        """Stop all jobs and give their memory back; of a view that refused what it was given, as far as it was made."""

    def _refuse_if_closed(self) -> None:
        if self._gone:
            raise RuntimeError(f"This {type(self).__name__} was closed; make a new one.")

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Show the widget, and note which cell does."""
        _cells.note(self)
        return super()._repr_mimebundle_(**kwargs)

    def settle(self) -> None:
        """Bring what the browser knows up to date, as an exported page is to show it."""

    def headline(self) -> str:
        """Say what the view is about, as the title of a page.

        Returns
        -------
        str
            A few words.
        """
        return type(self).__name__

    def to_html(self, path: str | Path, *, title: str | None = None) -> Path:
        """Write one HTML page that opens from disk, without network or kernel, and still reacts.

        Parameters
        ----------
        path : str or Path
            Where to write; an existing file is replaced.
        title : str, optional
            Title of the page; by default it names what the view shows.

        Returns
        -------
        Path
            The file.

        Notes
        -----
        The page holds what has been computed by now; computing more needs a notebook. `whatwhere.to_html` writes
        several views to one page.
        """
        from whatwhere.export import to_html

        return to_html(self, path, title=title)

    @property
    def views(self) -> dict[str, View]:
        """The views that are shown inside it, by name."""
        return {}

    def exported_parts(self) -> Iterator[View]:
        """Go through the views that an exported page holds inside this one.

        Yields
        ------
        View
            One after the other; it may be closed once the next is asked for. `exported_state` is asked for after them.
        """
        yield from self.views.values()

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

    def reply(self, kind: str, rid: Any, *, buffers: list[bytes] | None = None, **content: Any) -> None:
        """Send an answer to the browser.

        Parameters
        ----------
        kind : str
            One of ``to_view`` in ``wire.json``.
        rid : object
            The request's own mark.
        buffers : list of bytes, optional
            What it says in bytes.
        **content : object
            What it says.
        """
        message = {"kind": kind, "rid": rid, "v": WIRE["version"], **content}
        self._heard_requests.answered(message, heavy=bool(buffers))
        self.send(message, buffers=buffers)

    def _receive(self, _: View, content: Any, buffers: Any) -> None:
        """Hand a message to its handler; handlers validate, enqueue and return. Unknown ones are ignored.

        After a lost connection the browser sends again what has no answer; what was heard before is only answered.
        """
        kind = content.get("kind") if isinstance(content, dict) else None
        handler = {**self._shared_handlers, **self._handlers}.get(kind) if isinstance(kind, str) else None
        if handler is None:
            logger.debug("Ignored a message of unknown kind %r", kind)
            return
        if not self._heard_requests.note(content):
            answer = self._heard_requests.answer(content)
            if answer is not None:
                self.send(answer)
            return
        getattr(self, handler)({**content, "buffers": buffers})

    def _on_hello(self, content: dict[str, Any]) -> None:
        self.reply("welcome", content.get("rid"))

    def _on_back(self, content: dict[str, Any]) -> None:
        """Say again what was said of late: a lost connection is back."""
        self.say_again()
        self._on_hello(content)

    def _set_for_user(self, name: str, value: Any) -> None:
        self.write(**{name: value})

    def _on_set(self, content: dict[str, Any]) -> None:
        """Set public traits that the browser sends; what is refused is sent back as it was."""
        traits = content.get("traits")
        for name, value in traits.items() if isinstance(traits, dict) else ():
            if name not in self.public_traits():
                logger.debug("Ignored the trait %r", name)
                continue
            try:
                self._set_for_user(name, value)
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
