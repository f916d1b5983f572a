"""`kubectl belisha history`: what was done, when, by whom and why."""

from __future__ import annotations

from typing import Annotated

import typer

from belisha.kubectl.options import Context, Kubeconfig, Name, Namespace, Output, OutputOption, Storage

_EXAMPLES = """
Examples:

    kubectl belisha history -n ml

    kubectl belisha history -n ml --last 5 -o yaml
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="history", epilog=_EXAMPLES)(_history)


def _history(
    namespace: Namespace = "",
    name: Name = "",
    last: Annotated[int, typer.Option("--last", min=0, help="Only so many of the newest; 0 for all.")] = 20,
    output: OutputOption = Output.TABLE,
    storage: Storage = "",
    context: Context = "",
    kubeconfig: Kubeconfig = "",
) -> None:
    """Show the ledger: releases, refusals, shares, promotions, rollbacks, drift, and what the cluster made of them."""
    from belisha.components.shared.registry import open_registry
    from belisha.kubectl.place import Where
    from belisha.kubectl.printers import print_records
    from belisha.kubectl.view import record_view

    where = Where(namespace=namespace, name=name, storage=storage, context=context, kubeconfig=kubeconfig)
    records = open_registry(where.storage_uri, must_exist=True).ledger.records()
    print_records([record_view(record) for record in (records[-last:] if last else records)], output)
