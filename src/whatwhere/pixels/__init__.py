"""From what a person hands over to what a network is shown, and back. Imports no torch."""
