"""Strategies: the reasons that a network uses for a class, how common they are, and how far they can be relied on."""
