"""`kubectl belisha drift check`: run the chart's drift check now, in the cluster."""

from __future__ import annotations

import typer

from belisha.kubectl.options import (
    Context,
    DryRun,
    DryRunOption,
    Kubeconfig,
    Name,
    Namespace,
    Output,
    OutputOption,
    Storage,
    Timeout,
    Watch,
)

_EXAMPLES = """
Examples:

    kubectl belisha drift check -n ml

    kubectl belisha drift check -n ml --watch --timeout 900

    kubectl belisha drift check -n ml --dry-run=server -o yaml

It makes a Job of the chart's CronJob, as `kubectl create job --from` does: with the cluster's own access and its own reference.
"""

_app = typer.Typer(name="drift", help="Drift, as the cluster sees it.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.add_typer(_app)


@_app.callback()
def _root() -> None:
    """Drift, as the cluster sees it."""


@_app.command(name="check", epilog=_EXAMPLES)
def _check(
    namespace: Namespace = "",
    name: Name = "",
    dry_run: DryRunOption = DryRun.NONE,
    output: OutputOption = Output.TABLE,
    watch: Watch = False,
    timeout: Timeout = 900,
    storage: Storage = "",
    context: Context = "",
    kubeconfig: Kubeconfig = "",
) -> None:
    """Start a drift check in the cluster; with --watch, wait for its end and show what it found."""
    from belisha.kubectl.drift_job import check_now
    from belisha.kubectl.place import find_place

    place = find_place(namespace=namespace, name=name, storage=storage, context=context, kubeconfig=kubeconfig)
    raise typer.Exit(check_now(place, dry_run=dry_run, output=output, watch=watch, timeout_seconds=timeout))
