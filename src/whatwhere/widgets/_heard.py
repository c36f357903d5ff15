"""What a browser asked and was answered: what it sends again, because a connection was lost, is done once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, Final

_MOST: Final = 200  # requests that are remembered; while a connection is lost, far fewer stay without an answer


class Heard:
    """The last requests of one widget, by their marks, and what was answered to them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # the worker answers too
        self._answers: OrderedDict[str, dict[str, Any] | None] = OrderedDict()

    def note(self, content: dict[str, Any]) -> bool:
        """Note a request.

        Parameters
        ----------
        content : dict
            The message: ``rid`` is its mark, ``again`` says that it may have been heard before.

        Returns
        -------
        bool
            Whether it is to be done: false for one that is sent again, and was heard.
        """
        rid = content.get("rid")
        if not isinstance(rid, str):
            return True
        with self._lock:
            if content.get("again") and rid in self._answers:
                return False
            self._answers[rid] = None
            self._answers.move_to_end(rid)
            while len(self._answers) > _MOST:
                self._answers.popitem(last=False)
            return True

    def answered(self, message: dict[str, Any], *, heavy: bool) -> None:
        """Note an answer.

        Parameters
        ----------
        message : dict
            The answer.
        heavy : bool
            Whether it has buffers, and is not kept. All that is answered so is read, and can be read again.
        """
        rid = str(message.get("rid"))
        with self._lock:
            if rid not in self._answers:
                return
            if heavy:
                self._answers.pop(rid)
            else:
                self._answers[rid] = message

    def answer(self, content: dict[str, Any]) -> dict[str, Any] | None:
        """Return what was answered to a request.

        Parameters
        ----------
        content : dict
            The request.

        Returns
        -------
        dict or None
            The answer; None while it is under way.
        """
        with self._lock:
            return self._answers.get(str(content.get("rid")))
