"""`kubectl belisha status`: who serves, who should, and what is in the way."""

from __future__ import annotations

import typer

from belisha.kubectl.options import Context, Kubeconfig, Name, Namespace, Output, OutputOption, Storage, Timeout, Watch

_EXAMPLES = """
Examples:

    kubectl belisha status -n ml

    kubectl belisha status -n ml --watch --timeout 600 && echo done

    kubectl belisha status -n ml -o json | jq .predictors
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="status", epilog=_EXAMPLES)(_status)


def _status(
    namespace: Namespace = "",
    name: Name = "",
    output: OutputOption = Output.TABLE,
    watch: Watch = False,
    timeout: Timeout = 600,
    storage: Storage = "",
    context: Context = "",
    kubeconfig: Kubeconfig = "",
) -> None:
    """Show champion and challenger, the shares asked for and those in the mesh, and the worst of what was found."""
    from belisha.kubectl.place import find_place
    from belisha.kubectl.release_view import show

    place = find_place(namespace=namespace, name=name, storage=storage, context=context, kubeconfig=kubeconfig)
    show(place, output, watch=watch, timeout_seconds=timeout)
