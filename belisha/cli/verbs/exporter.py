"""`belisha exporter`: what the ledger says, for Prometheus."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from belisha.cli.output import print_json, print_sentence
from belisha.cli.release_options import Json, Storage

_EXAMPLES = """
Examples:

    belisha exporter --storage run1/storage

    curl -s localhost:9109/metrics

    belisha exporter --storage s3://bucket/belisha --deployment crossing --host 0.0.0.0

Dashboards and alerts know by these metrics which model version is champion and which is challenger. The ledger is read at most
every five seconds; while it cannot be read, what was read before still holds and belisha_ledger_readable is 0.
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="exporter", epilog=_EXAMPLES)(_exporter)


def _exporter(
    storage: Storage,
    deployment: Annotated[
        str, typer.Option(help="Name of the SeldonDeployment, for the label deployment_name.")
    ] = "belisha",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 9109,
    json: Json = False,
) -> None:
    """Serve roles, traffic asked for, last records and verdicts of the ledger as Prometheus metrics, until told to stop."""
    from belisha.components.release.ledger_metrics import LedgerMetrics
    from belisha.components.shared.errors import InputError
    from belisha.components.shared.metrics_server import metrics_http_server
    from belisha.components.shared.registry import open_registry

    metrics = LedgerMetrics(open_registry(storage).ledger.records, deployment)
    try:
        server = metrics_http_server(metrics.exposition, host, port)
    except OSError as error:
        raise InputError(
            f"cannot listen on {host}:{port} ({os.strerror(error.errno or 0)}): give another port"
        ) from None
    url = f"http://{host}:{server.server_address[1]}/metrics"
    if json:
        print_json({"url": url})
    else:
        print_sentence(f"metrics of the ledger at {url}")
    try:
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        print_sentence("belisha: stopped")
    finally:
        server.server_close()
