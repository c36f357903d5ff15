"""Limits that a person may set, by plain assignment. Imports nothing."""

from __future__ import annotations

#: Bytes of stored logits, over all records alive. Beyond it the records used longest ago keep 32 classes each.
logits_bytes: int = 2**30
