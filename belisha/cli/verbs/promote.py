"""`belisha promote`: make a version champion."""

from __future__ import annotations

from typing import Annotated

import typer

from belisha.cli.release_options import ExpectRecord, Json, Storage, print_outcome

_EXAMPLES = """
Examples:

    belisha promote --storage run1/storage --reason "won the trial"

    belisha promote v3 --storage s3://bucket/belisha --force --reason "the cameras moved, v3 was trained on them"
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="promote", epilog=_EXAMPLES)(_promote)


def _promote(
    storage: Storage,
    version: Annotated[str | None, typer.Argument(help="Version to promote; by default the challenger.")] = None,
    reason: Annotated[str, typer.Option(help="Why, for the ledger.")] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Promote a version that did not pass; needs --reason.")
    ] = False,
    expect_record: ExpectRecord = None,
    json: Json = False,
) -> None:
    """Make the challenger, or the version named, champion; who did it and why goes into the ledger."""
    from belisha.components.release.release import promote

    outcome = promote(storage, version, reason=reason, force=force, expect_record=expect_record)
    print_outcome(outcome, json=json)
