"""What a person calls to give a view what it lacks, in the words of the view that they made themselves."""

from __future__ import annotations

from typing import NamedTuple


class Calls(NamedTuple):
    """How a view is made with what it lacks: itself, or the view that shows it.

    Attributes
    ----------
    network : str
        With the network.
    photos : str
        With whole photos, and the network where they need it.
    """

    network: str
    photos: str
