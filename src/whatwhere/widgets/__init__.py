"""The Python half of each view. Importing it imports no torch."""

from whatwhere.widgets.attribution import AttributionView

__all__ = ["AttributionView"]
