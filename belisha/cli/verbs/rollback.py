"""`belisha rollback`: end the trial, or restore the champion before."""

from __future__ import annotations

from typing import Annotated

import typer

from belisha.cli.release_options import ExpectRecord, Json, Storage, print_outcome

_EXAMPLES = """
Examples:

    belisha rollback --storage run1/storage --reason "misses cyclists at night"

    belisha rollback --storage s3://bucket/belisha --expect-record 12 --json
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="rollback", epilog=_EXAMPLES)(_rollback)


def _rollback(
    storage: Storage,
    reason: Annotated[str, typer.Option(help="Why, for the ledger.")] = "",
    expect_record: ExpectRecord = None,
    json: Json = False,
) -> None:
    """End the challenger's trial when there is one; otherwise make the champion before champion again."""
    from belisha.components.release.release import rollback

    print_outcome(rollback(storage, reason=reason, expect_record=expect_record), json=json)
