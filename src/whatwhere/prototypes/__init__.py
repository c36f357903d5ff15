"""Prototypes: pictures that excite a class, a channel, a direction or a concept the most."""
