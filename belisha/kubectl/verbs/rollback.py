"""`kubectl belisha rollback`: end the trial, or restore the champion before."""

from __future__ import annotations

import typer

from belisha.kubectl.options import (
    Context,
    DryRun,
    DryRunOption,
    ExpectRecord,
    Kubeconfig,
    Name,
    Namespace,
    Output,
    OutputOption,
    Reason,
    Storage,
    Timeout,
    Watch,
)

_EXAMPLES = """
Examples:

    kubectl belisha rollback -n ml --reason "misses cyclists at night"

    kubectl belisha rollback -n ml --watch --timeout 120

    kubectl belisha rollback -n ml --dry-run=client
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="rollback", epilog=_EXAMPLES)(_rollback)


def _rollback(
    namespace: Namespace = "",
    name: Name = "",
    reason: Reason = "",
    expect_record: ExpectRecord = None,
    dry_run: DryRunOption = DryRun.NONE,
    output: OutputOption = Output.TABLE,
    watch: Watch = False,
    timeout: Timeout = 600,
    storage: Storage = "",
    context: Context = "",
    kubeconfig: Kubeconfig = "",
) -> None:
    """End the challenger's trial, which removes its predictor; without one, make the champion before champion again."""
    from belisha.components.release import policy
    from belisha.components.release.release import rollback
    from belisha.kubectl.place import Where
    from belisha.kubectl.release_view import change

    where = Where(namespace=namespace, name=name, storage=storage, context=context, kubeconfig=kubeconfig)
    change(
        where,
        lambda _, records, state: policy.rollback(records, state, reason),
        lambda: rollback(where.storage_uri, reason=reason, expect_record=expect_record),
        dry_run=dry_run,
        output=output,
        watch=watch,
        timeout_seconds=timeout,
    )
