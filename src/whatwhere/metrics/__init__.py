"""How good an explanation is: numbers about methods' results, each with what 0 and 1 mean."""
