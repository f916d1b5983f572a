"""`belisha models`: the registered versions and who serves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from belisha.cli.output import console, print_json, print_sentence
from belisha.cli.release_options import Json, Storage, state_to_json

if TYPE_CHECKING:
    from belisha.components.shared.ledger import LedgerState
    from belisha.components.shared.registry import ModelVersion

_EXAMPLES = """
Examples:

    belisha models --storage run1/storage

    belisha models --storage s3://bucket/belisha --json
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="models", epilog=_EXAMPLES)(_models)


def _models(storage: Storage, json: Json = False) -> None:
    """List the registered model versions, with their verdicts and who serves."""
    from belisha.components.shared.registry import open_registry, version_summary

    registry = open_registry(storage, must_exist=True)
    versions, state = registry.versions(), registry.ledger.state()
    if json:
        rows = [{**version_summary(version), "role": _role(version.version, state)} for version in versions]
        print_json({**state_to_json(state), "models": rows})
    elif versions:
        _print_table(versions, state)
    else:
        print_sentence(f"no model is registered at {storage} yet: `belisha run` or `belisha release` does that")


def _print_table(versions: list[ModelVersion], state: LedgerState) -> None:
    from rich.table import Table

    metrics = [name for name in ("ap50", "ap50_95", "mr2_reasonable") if any(name in each.metrics for each in versions)]
    table = Table("version", "role", "verdict", *metrics, "registered (UTC)", "by", "run")
    for version in versions:
        figures = [f"{version.metrics[name]:.4f}" if name in version.metrics else "–" for name in metrics]
        when = version.created_at[:16].replace("T", " ")
        table.add_row(
            version.version, _role(version.version, state), version.verdict, *figures, when, version.actor,
            version.run_id or "–",
        )  # fmt: skip
    console.print(table)


def _role(version: str, state: LedgerState) -> str:
    if version == state.champion:
        return "champion"
    if version == state.challenger:
        return f"challenger ({state.challenger_traffic_ratio:.2f} of traffic)"
    return ""
