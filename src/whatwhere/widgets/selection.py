"""Selection: what several views have chosen together."""

from __future__ import annotations

import contextlib
import logging
import weakref
from typing import TYPE_CHECKING, Any, Final, TypeVar

import traitlets

from whatwhere.widgets._heard import Heard
from whatwhere.widgets._lock import LockedWidget
from whatwhere.widgets._traits import IdTrait
from whatwhere.widgets._view import WIRE

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

logger = logging.getLogger(__name__)

IdT = TypeVar("IdT", int, str)

FIELDS: Final = ("class_id", "concepts", "images", "layers")


class Selection(LockedWidget):
    """What is selected, shared by the views that are given it: they follow each other, with and without the kernel.

    Parameters
    ----------
    **chosen : object
        Initial values of the attributes below.

    Attributes
    ----------
    class_id : int or None
        Class that is explained; None follows the predicted class of each photo.
    concepts : list of int
        Concepts, in the order in which they were chosen.
    images : list of str
        Names of photos. A view that shows one photo shows the first of them that it has.
    layers : list of {"total", "first", "slope", "error"}
        What is looked at of maps: one layer is shown alone, several stand side by side. While there is none, each view
        shows its own. See `AttributionView.index`.
    by : {"program", "user"}
        Who made the last change: a person in a view, or code. Observers find it set already.

    Raises
    ------
    TypeError
        If a keyword is not one of the attributes.
    TraitError
        If an attribute gets a value it cannot take.

    Notes
    -----
    A view that does not have what is selected stays as it is; one that has a part of it shows that. Lists are replaced,
    not edited: ``selection.images = [*selection.images, "cup"]`` is noticed, ``selection.images.append("cup")`` is not.

    Examples
    --------
    >>> import whatwhere as ww
    >>> selection = ww.Selection(class_id=967)
    >>> selection.observe(lambda change: print(change.new, "by the", selection.by), "class_id")
    >>> selection.class_id = 968
    968 by the program
    """

    class_id = IdTrait(None, allow_none=True).tag(sync=True)
    concepts: traitlets.List[Any] = traitlets.List(IdTrait()).tag(sync=True)
    images: traitlets.List[Any] = traitlets.List(traitlets.Unicode()).tag(sync=True)
    layers: traitlets.List[Any] = traitlets.List(traitlets.Enum(WIRE["layers"])).tag(sync=True)
    by = traitlets.Enum(("program", "user"), "program", read_only=True).tag(sync=True)

    #: The browser's last request that is applied; with it, one message both tells and answers.
    _stamp = traitlets.Unicode().tag(sync=True)

    def __init__(self, **chosen: Any) -> None:
        unknown = sorted(set(chosen) - set(FIELDS))
        if unknown:
            raise TypeError(f"Selection: unknown option {unknown[0]!r}; wanted one of {list(FIELDS)}.")
        self._heard_requests = Heard()
        self._by_user: set[str] = set()
        self._views: weakref.WeakSet[Any] = weakref.WeakSet()
        self._closes = False
        super().__init__(**chosen)
        self.on_msg(self._receive)

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Take over state from the browser, as a person's doing.

        Parameters
        ----------
        sync_data : dict
            Trait values by name.
        """
        with self.by_user(*sync_data):
            super().set_state(sync_data)

    def notify_change(self, change: Any) -> None:
        """Note who made a change, send it to the browser and tell observers.

        Parameters
        ----------
        change : Bunch
            The change.
        """
        name = change["name"]
        if name not in FIELDS:
            super().notify_change(change)
            return
        with self._exclusive(), self.hold_sync():
            self.set_trait("by", "user" if name in self._by_user else "program")
            self._by_user.discard(name)  # what observers change in turn is code's doing
            super().notify_change(change)

    def write_for_user(self, **chosen: Any) -> None:
        """Set attributes as a person's doing, as one message.

        Parameters
        ----------
        **chosen : object
            Values by name.
        """
        with self.by_user(*chosen):
            self.write(**chosen)

    def settle(self, **chosen: Any) -> None:
        """Set attributes from the worker: observers are not called, since one might wait for it; views follow.

        Parameters
        ----------
        **chosen : object
            Values by name, which are not checked.
        """
        with self._exclusive():
            changed = {name: value for name, value in chosen.items() if value != getattr(self, name)}
            if not changed:
                return
            self._trait_values.update(changed, by="program")
            self.send_state([*changed, "by"])
            for view in list(self._views):
                view._settle_with_selection()  # noqa: SLF001  # a view that takes part

    @contextlib.contextmanager
    def by_user(self, *names: str) -> Iterator[None]:
        """Mark the next change of some attributes as a person's doing.

        Parameters
        ----------
        *names : str
            The attributes.

        Yields
        ------
        None
            While they are marked.
        """
        with self._exclusive():
            self._by_user = set(names)
            try:
                yield
            finally:
                self._by_user = set()

    def join(self, view: Any, *, closes: bool = False) -> None:
        """Note a view that takes part.

        Parameters
        ----------
        view : View
            The view.
        closes : bool, default False
            Whether the selection closes with its last view: one that a view made for itself does.
        """
        self._views.add(view)
        self._closes = self._closes or closes

    def leave(self, view: Any) -> None:
        """Note that a view takes part no more.

        Parameters
        ----------
        view : View
            The view.
        """
        self._views.discard(view)
        if self._closes and not self._views:
            self.close()

    def others(self, view: Any) -> list[Any]:
        """Return the views that take part beside one.

        Parameters
        ----------
        view : View
            The one.

        Returns
        -------
        list of View
            The others, in no order.
        """
        return [each for each in self._views if each is not view]

    def as_dict(self) -> dict[str, Any]:
        """Return what is selected.

        Returns
        -------
        dict
            Values by name, copied.
        """
        with self._exclusive():
            return {name: _copied(getattr(self, name)) for name in FIELDS}

    def exported_state(self) -> dict[str, Any]:
        """Return the state that an exported page needs.

        Returns
        -------
        dict
            What is selected, as it travels.
        """
        return self.get_state([*FIELDS, "by", "_stamp"])

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={value!r}" for name, value in self.as_dict().items() if value not in (None, []))
        return f"Selection({told})"

    def _receive(self, _: Selection, content: Any, buffers: Any) -> None:
        """Apply what a person chose in a view; the change itself, with its stamp, is the answer.

        After a lost connection the browser sends again what has no answer; what was heard before is only answered.
        """
        del buffers
        kind = content.get("kind") if isinstance(content, dict) else None
        if kind == "back":
            self.say_again()
            return
        if kind != "set":
            logger.debug("Ignored a message that is not understood: %r", content)
            return
        if not self._heard_requests.note(content):
            self._stamp = str(content.get("rid"))
            self.send_state("_stamp")  # it may be the last one already
            return
        traits = content.get("traits")
        wanted = {name: value for name, value in _items(traits) if name in FIELDS}
        with self._exclusive(), self.hold_sync():
            for name, value in wanted.items():
                try:
                    self.write_for_user(**{name: value})
                except traitlets.TraitError as error:
                    logger.warning("The browser sent a value that cannot be: %s", error)
                    self.send_state(name)
                except Exception:  # of somebody's observer: the browser is answered all the same
                    logger.exception("An observer of %r failed", name)
            self._stamp = str(content.get("rid"))


def _items(traits: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(traits, dict):
        yield from traits.items()


def _copied(value: Any) -> Any:
    return list(value) if isinstance(value, list) else value


def those_known(chosen: Sequence[IdT], known: Container[IdT] | None) -> list[IdT] | None:
    """Return what a view has of what is selected, each once.

    Parameters
    ----------
    chosen : sequence
        Names or ids.
    known : container or None
        Those that the view has; None while that is not known, and all may be.

    Returns
    -------
    list or None
        Those that it has; None where it has none of those that were chosen, and is to stay as it is.
    """
    found = [each for each in dict.fromkeys(chosen) if known is None or each in known]
    return found if found or not chosen else None


def first_known(images: list[str], known: Mapping[str, Any]) -> str | None:
    """Return the first selected photo that a view has.

    Parameters
    ----------
    images : list of str
        Names of the selected photos.
    known : mapping
        The view's photos by name.

    Returns
    -------
    str or None
        Its name, or None if the view has none of them.
    """
    return next((name for name in images if name in known), None)
