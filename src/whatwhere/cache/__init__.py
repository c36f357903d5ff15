"""Results that are kept on this machine's disk: off until somebody turns it on.

``with ww.cache.use(): …`` or ``ww.cache.enable()``. A run over thousands of photos that is killed goes on where it was;
a finished one is not computed again.
"""

from __future__ import annotations

from whatwhere.cache.control import clear, disable, enable, info, use, verify
from whatwhere.cache.reports import CacheCheck, CacheInfo

__all__ = ["CacheCheck", "CacheInfo", "clear", "disable", "enable", "info", "use", "verify"]
