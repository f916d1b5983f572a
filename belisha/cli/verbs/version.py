"""`belisha version`."""

from __future__ import annotations

import sys

import typer

from belisha import __version__


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def version() -> None:
        """Print the version."""
        sys.stdout.write(f"{__version__}\n")
