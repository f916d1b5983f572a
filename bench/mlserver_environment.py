"""A throw-away environment with MLServer."""

from __future__ import annotations

from pathlib import Path

from bench import throwaway_environment

# Newer uvloop leaves the processes of MLServer 1.7 without an event loop.
_PACKAGES = (
    "mlserver>=1.7,<2",
    "uvloop<0.22",
    "onnxruntime",
    "opencv-python-headless<5",
    "pillow",
    "pyarrow",
    "jinja2",
    "defusedxml",
    "setuptools>=77,<81",
)


def prepare(folder: Path) -> tuple[Path | None, str]:
    """Its interpreter, or None and the reason when it cannot be made here."""
    return throwaway_environment.prepare(folder, _PACKAGES, with_belisha=True)
