"""Which picture belongs to train, val or test: whole groups, the same answer each time, stable as the data grow."""
