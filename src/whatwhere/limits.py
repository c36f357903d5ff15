"""Limits that a person may set, by plain assignment. Imports nothing."""

from __future__ import annotations

#: Bytes of stored logits, over all records alive. Beyond it the records used longest ago keep 32 classes each.
logits_bytes: int = 2**30

#: Bytes that one extraction of concepts keeps in memory of each of three things: the features of locations, those of
#: crops, and photos; of many classes at once, for all of them together, and again for photos whose class is not known
#: yet to have enough. What is beyond lies in temporary files.
activation_bytes: int = 2**30
