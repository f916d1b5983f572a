"""Register a tested model and decide who serves: the registry's write side."""
