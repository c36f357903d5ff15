"""How good an explanation is: curves, correlations, and intervals over images."""
