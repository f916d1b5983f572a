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

_PICTURES = 24


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="demo", epilog=_EXAMPLES)(_demo)


def _demo(workdir: Annotated[Path, typer.Option(help="Where everything is kept.")] = Path("demo")) -> None:
    """Draw streets, train a champion and a second candidate, compare them, serve both side by side and write report.html."""
    from belisha.pipelines.demo import STREETS, run_demo, write_demo_report
    from belisha.serving.demo import report_sections, serve_and_split
    from belisha.serving.environment import serve_python
    from belisha.serving.samples import new_streets

    serve_python()  # minutes of training must not end with the news that nothing can serve
    with progress_sink() as progress:
        outcome = run_demo(workdir, progress)
        served = None
        if outcome.has_champion:
            pictures = new_streets(STREETS, _PICTURES)
            served = serve_and_split(outcome.storage_uri, pictures, progress, cache_dir=workdir / "cache")
    if served is not None:
        write_demo_report(outcome, report_sections(served))
    for number, summary in enumerate((outcome.champion, outcome.challenger), 1):
        print_sentence(f"candidate {number}: {summary.text}")
    print_sentence(
        f"serving: {served.sentence if served else 'no candidate passed its gates, so there is nothing to serve'}"
    )
    print_sentence(f"report: {outcome.report}")
