"""What a network is to the engine: an alias of the user's, its layers and cuts, its outputs, and how it is run fast."""
