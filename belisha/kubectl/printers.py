"""Printers of view models: tables for people, JSON and YAML for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from belisha.cli.output import console, print_sentence
from belisha.components.shared.verdict import Verdict
from belisha.kubectl.options import Output
from belisha.kubectl.view import RecordView, StatusView


def print_value(value: Any, output: Output) -> None:
    """JSON values as JSON, or as YAML for anything else."""
    if output is Output.JSON:
        sys.stdout.write(json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n")
    else:
        import yaml

        sys.stdout.write(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))
    sys.stdout.flush()


def print_status(view: StatusView, output: Output) -> None:
    """How a release stands."""
    if output is not Output.TABLE:
        print_value(view.to_json(), output)
        return
    print_sentence(f"{view.verdict}: {view.sentence}")
    rows = [
        (
            one.version,
            one.role,
            _percent(one.wanted_percent),
            _percent(one.mesh_percent),
            f"{one.ready_replicas}/{one.replicas}",
            one.trouble,
        )
        for one in view.predictors
    ]
    print_table(("version", "role", "wanted", "in the mesh", "ready", "trouble"), rows)
    for gate in view.gates:
        if gate.verdict != Verdict.PASS and gate.sentence not in view.sentence:
            print_sentence(f"{gate.name}: {gate.sentence}")
    print_sentence(f"ledger record {view.record}; applied: {view.applied}")


def print_records(views: Sequence[RecordView], output: Output) -> None:
    """Records of the ledger, oldest first."""
    if output is not Output.TABLE:
        print_value({"records": [view.to_json() for view in views]}, output)
        return
    rows = [
        (
            str(view.number),
            view.at,
            view.actor,
            view.action,
            view.subject,
            view.champion or "–",
            view.challenger or "–",
            f"{view.challenger_traffic_ratio:.0%}" if view.challenger else "–",
            view.reason,
        )
        for view in views
    ]
    print_table(("no.", "when (UTC)", "who", "what", "subject", "champion", "challenger", "share", "why"), rows)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table that takes cells literally."""
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print(table)


def _percent(value: int | None) -> str:
    return "–" if value is None else f"{value} %"
