"""Concepts: what a network sees. Banks of directions in a layer, and where on an image they are present."""
