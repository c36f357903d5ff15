"""Pages that live on without a kernel."""

from whatwhere.export.html import write_page

__all__ = ["write_page"]
