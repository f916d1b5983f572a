"""Belisha trains, tests, releases and watches pedestrian detectors."""

__version__ = "0.1.0"
