"""`belisha history`: the ledger, record by record."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from belisha.cli.output import console, print_json, print_sentence
from belisha.cli.release_options import Json, Storage, state_to_json

if TYPE_CHECKING:
    from belisha.components.shared.ledger import Record

_EXAMPLES = """
Examples:

    belisha history --storage run1/storage

    belisha history --storage s3://bucket/belisha --last 5 --json
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="history", epilog=_EXAMPLES)(_history)


def _history(
    storage: Storage,
    last: Annotated[int, typer.Option(min=0, help="Show only that many of the newest records; 0 shows all.")] = 0,
    json: Json = False,
) -> None:
    """Show what was done, when, by whom and why: releases, refusals, promotions, rollbacks and looks at test parts."""
    from belisha.components.shared.registry import open_registry

    records = open_registry(storage, must_exist=True).ledger.records()
    shown = records[-last:] if last else records
    if json:
        print_json({"records": [_to_json(record) for record in shown]})
    elif shown:
        _print_table(shown)
    else:
        print_sentence(f"nothing has happened at {storage} yet")


def _print_table(records: list[Record]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("no.", "when (UTC)", "who", "what", "subject", "champion", "challenger", "why")
    for record in records:
        draft, state = record.draft, record.state
        subject = draft.subject if len(draft.subject) <= 16 else f"{draft.subject[:12]}…"
        cells = (
            record.actor,
            draft.action.value,
            subject,
            state.champion or "–",
            state.challenger or "–",
            draft.reason,
        )
        table.add_row(str(record.number), f"{record.at:%Y-%m-%d %H:%M}", *(Text(cell) for cell in cells))
    console.print(table)


def _to_json(record: Record) -> dict[str, Any]:
    value = asdict(record.draft)
    return {
        "number": record.number,
        "at": record.at.isoformat(),
        "actor": record.actor,
        **value,
        "action": record.draft.action.value,
        "state": state_to_json(record.state),
    }
