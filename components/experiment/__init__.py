"""Experiment: judges challenger against champion while both serve, and moves the share step by step."""
