"""`kubectl belisha promote`: make the challenger champion."""

from __future__ import annotations

from typing import Annotated

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

    kubectl belisha promote -n ml --reason "won the trial" --watch

    kubectl belisha promote v7 -n ml --dry-run=server

    kubectl belisha promote v3 -n ml --force --reason "the cameras moved, v3 was trained on them"
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="promote", epilog=_EXAMPLES)(_promote)


def _promote(
    version: Annotated[str | None, typer.Argument(help="Version to promote; by default the challenger.")] = None,
    namespace: Namespace = "",
    name: Name = "",
    reason: Reason = "",
    force: Annotated[
        bool, typer.Option("--force", help="Promote a version that did not pass; needs --reason.")
    ] = False,
    expect_record: ExpectRecord = None,
    dry_run: DryRunOption = DryRun.NONE,
    output: OutputOption = Output.TABLE,
    watch: Watch = False,
    timeout: Timeout = 600,
    storage: Storage = "",
    context: Context = "",
    kubeconfig: Kubeconfig = "",
) -> None:
    """Make the challenger, or the version named, champion: requests move to it, then the champion before goes."""
    from belisha.components.release import policy
    from belisha.components.release.release import promote, version_to_promote
    from belisha.kubectl.place import Where
    from belisha.kubectl.release_view import change

    where = Where(namespace=namespace, name=name, storage=storage, context=context, kubeconfig=kubeconfig)
    change(
        where,
        lambda registry, _, state: policy.promotion(
            state, registry.version(version_to_promote(version, state)), reason, force=force
        ),
        lambda: promote(where.storage_uri, version, reason=reason, force=force, expect_record=expect_record),
        dry_run=dry_run,
        output=output,
        watch=watch,
        timeout_seconds=timeout,
    )
