"""Pages that live on without a kernel."""

from whatwhere.export.html import to_html

__all__ = ["to_html"]
