"""Serving: one model version behind Seldon Core's Python wrapper."""
