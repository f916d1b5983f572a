"""`belisha validate`."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Annotated

import typer

from belisha.cli.output import print_json, print_sentence, progress_sink

_EPILOG = """[bold]Examples[/bold]

belisha validate run1/dataset run1/split run1/model --out run1/evaluation --storage run1/storage

belisha validate data split model --out evaluation --baseline baseline --storage s3://bucket/belisha --reason "release 12"

belisha validate data split model --out evaluation --storage runs --json | jq .headline"""


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command(epilog=_EPILOG)
    def validate(
        dataset: Annotated[Path, typer.Argument(help="Folder that `belisha acquire` has written.")],
        split: Annotated[Path, typer.Argument(help="Folder that `belisha split-data` has written.")],
        model: Annotated[Path, typer.Argument(help="Model folder: model.onnx and model.json.")],
        out: Annotated[Path, typer.Option(help="Folder to write; replaced as a whole when it exists.")],
        storage: Annotated[
            str,
            typer.Option(
                envvar="BELISHA_STORAGE_URI", help="Folder or URI whose ledger records the look at the test part."
            ),
        ],
        baseline: Annotated[
            Path | None, typer.Option(help="Folder that `belisha baseline` has written; without it there is no margin.")
        ] = None,
        reason: Annotated[str, typer.Option(help="Why the sealed test part is opened; kept in the ledger.")] = "",
        run_id: Annotated[
            str, typer.Option(help="Who looks; the same id again counts as the same look. A new one by default.")
        ] = "",
        as_json: Annotated[bool, typer.Option("--json", help="Print metrics.json as one line.")] = False,
    ) -> None:
        """Test a model on pictures it has not seen, on ONNX and with the preprocessing that serving uses.

        Opens the sealed test part, which is recorded. Exit codes: 0 done, 2 bad input, 3 no test picture, 75 try again.
        """
        from belisha.components.validate.validate import validate as run_validation

        looker = run_id or f"validate-{uuid.uuid4().hex[:12]}"
        with progress_sink() as progress:
            evaluation = run_validation(dataset, split, model, baseline, out, storage, looker, progress, reason=reason)
        if as_json:
            print_json(evaluation.to_json())
            return
        sentences = (evaluation.sentence, evaluation.gap.sentence, evaluation.threshold_sentence)
        for sentence in (*sentences, evaluation.calibration.sentence):
            print_sentence(sentence)
        for margin in evaluation.margins:
            print_sentence(margin.sentence)
        print_sentence(f"see {out / 'report.html'}")
