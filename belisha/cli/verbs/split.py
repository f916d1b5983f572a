"""`belisha split`: how many requests the challenger gets."""

from __future__ import annotations

from typing import Annotated

import typer

from belisha.cli.output import print_json, print_sentence
from belisha.cli.release_options import ExpectRecord, Json, Storage, state_to_json

_EXAMPLES = """
Examples:

    belisha split 80/20 --storage run1/storage --reason "three quiet days at 5 %"

    belisha split 100/0 --storage s3://bucket/belisha --json
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="split", epilog=_EXAMPLES)(_split)


def _split(
    shares: Annotated[str, typer.Argument(help="CHAMPION/CHALLENGER in percent; they sum to 100.")],
    storage: Storage,
    reason: Annotated[str, typer.Option(help="Why, for the ledger.")] = "",
    expect_record: ExpectRecord = None,
    json: Json = False,
) -> None:
    """Share the requests between champion and challenger; a running `belisha serve` follows within a second."""
    from belisha.components.route.traffic import parse_split, split_traffic

    outcome = split_traffic(storage, parse_split(shares), reason=reason, expect_record=expect_record)
    if json:
        print_json({"sentence": outcome.sentence, "record": outcome.record, **state_to_json(outcome.state)})
    else:
        print_sentence(outcome.sentence)
