"""`kubectl belisha doctor`: each link of the chain has a small check that says what to do."""
