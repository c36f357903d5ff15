"""An atlas: the concepts of every class of a set of photos, a page a class, and which classes share them."""

from __future__ import annotations

from whatwhere.atlas.atlas import Atlas
from whatwhere.atlas.page import ClassPage
from whatwhere.atlas.similar import Link, Similar

__all__ = ["Atlas", "ClassPage", "Link", "Similar"]
