"""`belisha monitor`: Prometheus, Pushgateway and Alertmanager beside `belisha serve`, and a page of plots."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from belisha.cli.output import print_json, print_sentence, progress_sink
from belisha.cli.release_options import Json, Storage

_EXAMPLES = """
Examples:

    belisha serve --storage run1/storage &
    belisha monitor --storage run1/storage

    belisha monitor --storage run1/storage --serve http://127.0.0.1:8081 --port 0 --json

    BELISHA_PUSHGATEWAY=http://127.0.0.1:9091 belisha drift check --storage run1/storage

Open the address in a browser for the plots of the four dashboards; those who have Grafana import monitoring/dashboards/*.json
and name Prometheus as the data source. The programs come with `apt-get install prometheus prometheus-pushgateway
prometheus-alertmanager`. Ctrl-C ends them all.
"""
Port = Annotated[int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes a free one.")]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="monitor", epilog=_EXAMPLES)(_monitor)


def _monitor(
    storage: Storage,
    serve: Annotated[str, typer.Option(help="Address of `belisha serve`.")] = "http://127.0.0.1:8080",
    deployment: Annotated[str, typer.Option(help="Value of the label deployment_name.")] = "belisha",
    port: Port = 8090,
    prometheus_port: Annotated[int, typer.Option(min=0, max=65535, help="Of Prometheus; 0 takes a free one.")] = 9090,
    pushgateway_port: Annotated[int, typer.Option(min=0, max=65535, help="Of the Pushgateway.")] = 9091,
    alertmanager_port: Annotated[int, typer.Option(min=0, max=65535, help="Of the Alertmanager.")] = 9093,
    data: Annotated[
        Path | None, typer.Option(help="Folder that keeps what was seen; without it all is forgotten at the end.")
    ] = None,
    scrape_seconds: Annotated[float, typer.Option(min=0.5, help="Seconds between two scrapes.")] = 5.0,
    json: Json = False,
) -> None:
    """Watch what serves on this machine: scrape, record, alert and draw, until told to stop."""
    import asyncio

    from belisha.monitoring.local.stack import Stack, StackOptions, monitor_until_stopped

    ports = (port, prometheus_port, pushgateway_port, alertmanager_port)
    options = StackOptions(storage, serve, deployment, ports, data, scrape_seconds)

    def say(stack: Stack) -> None:
        found = stack.addresses
        if json:
            names = ("page", "prometheus", "pushgateway", "alertmanager")
            print_json({name: getattr(found, name) for name in names})
        else:
            print_sentence(f"plots and alerts at {found.page}; Prometheus at {found.prometheus}")
            print_sentence(f"jobs push to it when BELISHA_PUSHGATEWAY={found.pushgateway}")

    with progress_sink() as progress:
        asyncio.run(monitor_until_stopped(options, progress, say))
    print_sentence("belisha: stopped watching")
