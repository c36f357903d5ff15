"""Photos that one view takes in arrive in the others that share its selection and show the same photos."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any

from whatwhere.widgets._arrivals import ARRIVED, Arriving, ReadT, free_name
from whatwhere.widgets._full_photos import FullPhotos
from whatwhere.widgets._linked import LinkedView

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Mapping

    from whatwhere.pixels.images import Photo
    from whatwhere.widgets._errands import Errand

logger = logging.getLogger(__name__)


class SharedPhotos(Arriving[ReadT], LinkedView, FullPhotos):
    """A view whose added photos arrive in its company: the views of its selection that show the same photos.

    Two views show the same photos if all that one of them was made with are among those of the other, by name and,
    where both know it, by size. A photo has one name in all of them, so that what is selected is the same photo
    everywhere. The view that takes a photo in tells each of the others once; they tell nobody.

    Parameters
    ----------
    **traits : object
        Initial values of public traits.
    """

    #: Read for this view after another one took them in, and not yet part of it.
    _heard: deque[tuple[str, ReadT]]

    def _given(self) -> Mapping[str, tuple[int, int] | None]:
        """Return height and width of the photos that the view was made with; None of those that it does not have."""
        raise NotImplementedError

    def _added(self) -> Mapping[str, Photo]:
        """Return the photos that came later."""
        raise NotImplementedError

    def _show_selected(self) -> None:
        """Do what showing another photo takes, apart from telling the selection."""
        raise NotImplementedError

    def _note_missed(self, errand: Errand) -> None:
        """Say why a photo that another view took in could not be read for this one."""
        raise NotImplementedError

    def _overtaken(self, read: ReadT) -> Photo | None:
        """Return the photo of what does not hold any more, and has to be read again; None where it holds."""
        del read
        return None

    def _admit(self, name: str, read: ReadT) -> tuple[str, list[str]]:
        """Take in a photo, under the lock, and tell the company.

        Returns
        -------
        name : str
            What it is called now, everywhere.
        missed : list of str
            Why others of the company cannot take it in.
        """
        company = self._company()
        taken = set().union(*(each._names() for each in (self, *company)))  # noqa: SLF001  # of this class
        name = self._take_in(free_name(name, taken), read)
        photo = self._full_photo(name)
        reasons = [] if photo is None else [each._hear_of(name, photo) for each in company]  # noqa: SLF001  # as above
        return name, [reason for reason in reasons if reason]

    def _welcome(self) -> None:
        """Take in what was read, and tell the browser, which shows it; then what others told of."""
        while self._arrived:
            name, rid, read = self._arrived.popleft()
            photo = self._overtaken(read)
            if photo is not None:
                self._errands.run(("photo", rid), name, partial(self._reading, photo), self._on_read, rid)
                continue
            name, missed = self._admit(name, read)
            self.reply("added", rid, name=name, missed=missed)
        while self._heard:
            name, read = self._heard.popleft()
            photo = self._overtaken(read)
            if photo is not None:
                self._hear_of(name, photo)
            elif name not in self._names():
                self._take_in(name, read)
                self._follow_quietly()

    def _catch_up(self) -> None:
        """Take in what came to the company before this view could have it."""
        with self._exclusive():
            for other in self._company():
                for name, photo in other._added().items():  # noqa: SLF001  # of this class
                    self._hear_of(name, photo)

    def _say_missed(self, missed: list[str]) -> None:
        """Tell code what the browser is told of photos that are only in this view."""
        for reason in dict.fromkeys(missed):
            logger.warning("A linked view cannot take in what was added: %s", reason)

    def _hear_of(self, name: str, photo: Photo) -> str:
        """Have the worker read a photo that another view took in; say why not, if that cannot be."""
        if name in self._names():
            return ""
        reason = self._why_closed()
        if not reason:
            self._errands.run(("heard", name), name, lambda: self._reading(photo), self._on_heard)
        return reason

    def _on_heard(self, errand: Errand) -> None:
        job = errand.job
        if job.state == "done" and job.record is not None:
            self._heard.append((job.name, job.record))
            self._say(ARRIVED)
        elif job.error is not None:
            self._note_missed(errand)

    def _follow_quietly(self) -> None:
        """Show what is selected, now that it may be there; observers are not called: one might wait for the worker."""
        before = self.selected_image
        self._settle_with_selection()
        if self.selected_image != before:
            self._show_selected()

    def _names(self) -> set[str]:
        return {*self._given(), *self._added()}

    def _company(self) -> list[SharedPhotos[Any]]:
        """Return the other views of the selection that show the same photos."""
        others = self.selection.others(self)
        return [each for each in others if isinstance(each, SharedPhotos) and _are_same(self._given(), each._given())]  # noqa: SLF001  # of this class


def _are_same(some: Mapping[str, tuple[int, int] | None], others: Mapping[str, tuple[int, int] | None]) -> bool:
    """Tell whether one view has all photos of another."""
    both = some.keys() & others.keys()
    if not both or len(both) < min(len(some), len(others)):
        return False
    sizes = ((some[name], others[name]) for name in both)
    return all(one is None or other is None or one == other for one, other in sizes)
