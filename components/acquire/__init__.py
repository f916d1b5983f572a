"""Labelled pictures of any known format in, one dataset folder out."""
