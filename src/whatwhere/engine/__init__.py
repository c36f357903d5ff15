"""How things are computed, and nothing about what: masked forwards, samplers, sensitivity estimators."""
