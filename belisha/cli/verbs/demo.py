"""`belisha demo`: the whole loop on drawn streets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from belisha.cli.output import print_sentence, progress_sink

_EXAMPLES = """
Example:

    belisha demo --workdir demo

The same command again goes on where it was stopped. Needs no network, no GPU and no pictures of yours.
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="demo", epilog=_EXAMPLES)(_demo)


def _demo(workdir: Annotated[Path, typer.Option(help="Where everything is kept.")] = Path("demo")) -> None:
    """Draw streets, train a champion from scratch, train on to a second candidate, compare the two and write report.html."""
    from belisha.pipelines.demo import run_demo

    with progress_sink() as progress:
        outcome = run_demo(workdir, progress)
    for number, summary in enumerate((outcome.champion, outcome.challenger), 1):
        print_sentence(f"candidate {number}: {summary.text}")
    print_sentence(f"report: {outcome.report}")
