"""`kubectl belisha split`: share requests between champion and challenger."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from belisha.components.shared.errors import InputError
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

    kubectl belisha split 95/5 -n ml --reason "first real requests"

    kubectl belisha split 80/20 -n ml --watch

    kubectl belisha split 50/50 -n ml --dry-run=server -o yaml
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="split", epilog=_EXAMPLES)(_split)


def challenger_ratio(text: str) -> float:
    """The challenger's share, 0..1, of `80/20`: whole percent for champion and challenger; raises InputError."""
    found = re.fullmatch(r"(\d{1,3})/(\d{1,3})", text)
    if not found or int(found[1]) + int(found[2]) != 100:
        raise InputError(
            f"{text!r} is no split: give champion/challenger in whole percent that sum to 100, such as 80/20"
        )
    return int(found[2]) / 100


def _split(
    shares: Annotated[str, typer.Argument(help="Champion/challenger in whole percent, such as 80/20.")],
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
    """Give the challenger a share of requests; the release controller moves it when everything is ready."""
    from belisha.components.release import policy
    from belisha.components.release.release import split
    from belisha.kubectl.place import Where
    from belisha.kubectl.release_view import change

    ratio = challenger_ratio(shares)
    where = Where(namespace=namespace, name=name, storage=storage, context=context, kubeconfig=kubeconfig)
    change(
        where,
        lambda _, __, state: policy.share(state, ratio, reason),
        lambda: split(where.storage_uri, ratio, reason=reason, expect_record=expect_record),
        dry_run=dry_run,
        output=output,
        watch=watch,
        timeout_seconds=timeout,
    )
