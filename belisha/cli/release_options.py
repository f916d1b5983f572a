"""Options and printers that the verbs about releases share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from belisha.cli.output import print_json, print_sentence

if TYPE_CHECKING:
    from belisha.components.release.release import ReleaseOutcome
    from belisha.components.shared.ledger import LedgerState

Storage = Annotated[
    str,
    typer.Option(
        envvar="BELISHA_STORAGE_URI",
        help="Where pictures, models and the ledger live: a folder, s3://, gs:// or az://.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON line for programs.")]
ExpectRecord = Annotated[
    int | None,
    typer.Option(
        min=0, help="Do nothing unless this is the number of the ledger's last record (see `belisha history`)."
    ),
]


def print_outcome(outcome: ReleaseOutcome, *, json: bool) -> None:
    """What was done: a sentence for people, a line for programs."""
    if json:
        print_json(
            {
                "version": outcome.version,
                "action": outcome.action.value if outcome.action else None,
                "sentence": outcome.sentence,
                "record": outcome.record,
                **state_to_json(outcome.state),
            }
        )
    else:
        print_sentence(outcome.sentence)


def state_to_json(state: LedgerState) -> dict[str, Any]:
    """Who serves, as JSON values."""
    return {
        "champion": state.champion,
        "challenger": state.challenger,
        "challenger_traffic_ratio": state.challenger_traffic_ratio,
    }
