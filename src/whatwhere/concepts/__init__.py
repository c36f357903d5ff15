"""Concepts: directions in a layer that many images share, and what can be asked of them."""
