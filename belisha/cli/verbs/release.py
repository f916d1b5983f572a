"""`belisha release`: register a model with its evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from belisha.cli.release_options import Json, Storage, print_outcome

_EXAMPLES = """
Examples:

    belisha release run1/model run1/evaluation run1/decision --storage run1/storage

The same model of the same run is registered once. Exit codes: 0 champion or challenger, 1 registered but refused, 2 bad input,
75 try again.
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="release", epilog=_EXAMPLES)(_release)


def _release(
    storage: Storage,
    model: Annotated[Path, typer.Argument(help="Model folder, as `belisha train` wrote it.", show_default=False)],
    evaluation: Annotated[
        Path, typer.Argument(help="Evaluation folder, as `belisha validate` wrote it.", show_default=False)
    ],
    decision: Annotated[
        Path, typer.Argument(help="Decision folder, as `belisha compare` wrote it.", show_default=False)
    ],
    run_id: Annotated[str, typer.Option(help="Name of the run that made it.")] = "",
    json: Json = False,
) -> None:
    """Register a model whatever its verdict; one that passed becomes champion when there is none, else challenger."""
    from belisha.components.release.release import release
    from belisha.components.shared.errors import EXIT_NEGATIVE
    from belisha.components.shared.ledger import Action

    outcome = release(model, evaluation, decision, storage, run_id)
    print_outcome(outcome, json=json)
    if outcome.action is Action.REFUSE:
        raise typer.Exit(EXIT_NEGATIVE)
