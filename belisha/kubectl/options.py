"""Options that the verbs share, spelled as kubectl spells its own."""

from __future__ import annotations

import enum
from typing import Annotated

import typer


class Output(enum.StrEnum):
    """How a result is printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


class DryRun(enum.StrEnum):
    """Who looks at a change that is not made: nobody but us, or the API server with Seldon's webhook too."""

    NONE = "none"
    CLIENT = "client"
    SERVER = "server"


Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Namespace of the release; else the context's.")]
Context = Annotated[str, typer.Option("--context", help="Context of the kubeconfig.")]
Kubeconfig = Annotated[str, typer.Option("--kubeconfig", help="Path of the kubeconfig; else $KUBECONFIG.")]
Name = Annotated[str, typer.Option("--name", help="Name of the release, where a namespace has several.")]
Storage = Annotated[
    str,
    typer.Option(
        "--storage",
        envvar="BELISHA_STORAGE_URI",
        help="Where the ledger lives; else what the chart has, with its secret.",
    ),
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="How to print it.")]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Go on until the cluster has what the ledger says.")]
Timeout = Annotated[float, typer.Option("--timeout", min=0, help="Longest watch, in seconds; 0 for no end.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for the ledger.")]
DryRunOption = Annotated[DryRun, typer.Option("--dry-run", help="Show what would be written, and write nothing.")]
ExpectRecord = Annotated[
    int | None,
    typer.Option("--expect-record", min=0, help="Do nothing unless this is the number of the ledger's last record."),
]
