"""Views that compute from their first display on, and leave a picture where no widget can be shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from whatwhere.drawing import mime_bundle
from whatwhere.widgets._view import FrameGate, View

if TYPE_CHECKING:
    from PIL import Image


class Displayed(View):
    """A view that starts when it is shown, sends frames as the browser draws them, and is started and stopped there.

    Parameters
    ----------
    **traits : object
        Initial values of public traits.
    """

    #: Whether it was started, or shown.
    _begun: bool
    #: Decides when a frame may go to the browser.
    _gate: FrameGate

    def start(self) -> Any:
        """Start, or continue, computing."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop computing."""
        raise NotImplementedError

    def describe(self) -> str:
        """Say in a few lines what the view shows."""
        raise NotImplementedError

    def _fallback(self) -> tuple[Image.Image, dict[str, int]]:
        """Draw the picture for hosts that show no widgets; with options of `whatwhere.drawing.mime_bundle`."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Show the widget, with a picture for hosts that cannot; the first display starts the computing."""
        shown = super()._repr_mimebundle_(**kwargs)
        if not self._begun:
            self.start()
        if shown is None:
            return None
        data, metadata = shown
        small, options = self._fallback()
        return {**mime_bundle(small, self.describe(), **options), **data}, metadata

    def _on_ack(self, content: dict[str, Any]) -> None:
        frame = content.get("seq")
        if isinstance(frame, int):
            self._gate.acknowledge(frame)

    def _on_start(self, content: dict[str, Any]) -> None:
        del content
        self.start()

    def _on_stop(self, content: dict[str, Any]) -> None:
        del content
        self.stop()
