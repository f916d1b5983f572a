"""`belisha baseline`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from belisha.cli.output import print_json, print_sentence, progress_sink

_EPILOG = """[bold]Examples[/bold]

belisha baseline data/street split --out baseline --storage runs

belisha baseline data/street split --out baseline --storage s3://bucket/belisha --run-id try-7 --json"""


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command(epilog=_EPILOG)
    def baseline(
        dataset: Annotated[Path, typer.Argument(help="Folder that `belisha acquire` has written.")],
        split: Annotated[Path, typer.Argument(help="Folder that `belisha split-data` has written.")],
        out: Annotated[Path, typer.Option(help="Folder to write; replaced as a whole when it exists.")],
        storage: Annotated[
            str, typer.Option(help="Folder or URI whose ledger records the look at the sealed test part.")
        ],
        run_id: Annotated[str, typer.Option(help="Who looks; looks of one run id count once.")] = "by-hand",
        as_json: Annotated[bool, typer.Option("--json", help="Print the result as one line of JSON.")] = False,
    ) -> None:
        """Measure what any model has to beat: OpenCV's HOG people detector, and constant boxes learned from training.

        Exit codes: 0 done, 2 bad input, 3 the test part has no pedestrian.
        """
        from belisha.components.baseline.baseline import evaluate_baselines

        with progress_sink() as progress:
            summary = evaluate_baselines(dataset, split, out, storage, run_id, progress)
        for note in summary.notes:
            print_sentence(f"note: {note}")
        if as_json:
            print_json(summary.to_json())
        else:
            print_sentence(f"baselines measured; see {out / 'report.html'}")
