"""`belisha split-data`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from belisha.cli.output import print_json, print_sentence, progress_sink

_EPILOG = """[bold]Examples[/bold]

belisha split-data data/street --out split --storage runs

belisha split-data data/street --out split --ratios 60/20/20

belisha split-data data/street --out split --ratios 80/20 --folds 5

belisha split-data data/one_camera --out split --by-time --gap-seconds 30"""


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command("split-data", epilog=_EPILOG)
    def split_data(
        dataset: Annotated[Path, typer.Argument(help="Folder that `belisha acquire` has written.")],
        out: Annotated[Path, typer.Option(help="Folder to write; replaced as a whole when it exists.")],
        ratios: Annotated[str, typer.Option(help="TRAIN/VAL/TEST, or TRAIN/TEST with --folds.")] = "80/10/10",
        folds: Annotated[int, typer.Option(help="Cross-validation folds in place of a val part; 0 for none.")] = 0,
        salt: Annotated[str, typer.Option(help="Another salt is another draw.")] = "belisha",
        storage: Annotated[
            str, typer.Option(help="Folder or URI that remembers assignments, so that they never change as data grow.")
        ] = "",
        by_time: Annotated[
            bool,
            typer.Option("--by-time", help="Cut each group in time: for one or two cameras; numbers are optimistic."),
        ] = False,
        gap_seconds: Annotated[
            float, typer.Option(help="A longer pause of a camera begins a new group; also the gap left by --by-time.")
        ] = 60.0,
        as_json: Annotated[bool, typer.Option("--json", help="Print the result as one line of JSON.")] = False,
    ) -> None:
        """Assign each picture to train, val or the sealed test part, whole groups at a time.

        Pictures of one group (given by the labels, else one camera's pictures without a pause, else near-duplicates) never
        straddle parts. Exit codes: 0 done, 2 the data cannot be split like this.
        """
        from belisha.components.split.options import parse_options
        from belisha.components.split.split import split_dataset, summary_json
        from belisha.components.split.step import frozen_uri_of

        options = parse_options(ratios, salt, folds=folds, by_time=by_time, gap_seconds=gap_seconds)
        with progress_sink() as progress:
            summary = split_dataset(dataset, out, options, frozen_uri_of(storage, salt) if storage else None, progress)
        for note in summary.notes:
            print_sentence(f"note: {note}")
        if as_json:
            print_json(summary_json(summary))
        else:
            shown = ", ".join(f"{part} {count:,}" for part, count in summary.pictures.items() if count)
            print_sentence(f"split into {shown} pictures, digest {summary.digest[:16]}…; see {out / 'report.html'}")
