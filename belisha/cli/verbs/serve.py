"""`belisha serve`: champion and challenger behind one address."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from belisha.cli.output import print_json, print_sentence, progress_sink
from belisha.cli.release_options import Json, Storage

if TYPE_CHECKING:
    from belisha.serving.serve import Serving

_EXAMPLES = """
Examples:

    belisha serve --storage run1/storage

    curl -s --data-binary @street.jpg -H 'Content-Type: image/jpeg' localhost:8080/api/v1.0/predictions

    belisha serve --storage s3://bucket/belisha --policy policy.yaml --workers 2

Open the address in a browser to give both models a picture. `belisha split`, `belisha promote` and `belisha rollback` on the
same storage act on it at once. Ctrl-C finishes what is under way and ends.
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command(name="serve", epilog=_EXAMPLES)(_serve)


def _serve(
    storage: Storage,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8080,
    policy: Annotated[Path | None, typer.Option(help="File of rules: who may use which model and when.")] = None,
    max_in_flight: Annotated[
        int, typer.Option(min=1, help="Requests under way at a time; those above get 503 at once.")
    ] = 256,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes for each model.")] = 1,
    serve_python: Annotated[
        Path | None, typer.Option(help="Python of the predictors' environment; by default that of .venv-serve.")
    ] = None,
    cache: Annotated[Path | None, typer.Option(help="Folder that keeps fetched models.")] = None,
    json: Json = False,
) -> None:
    """Start what the ledger says and answer on one address, until told to stop; follows the ledger as it changes."""
    import asyncio

    from belisha.components.route.gateway import GatewaySettings
    from belisha.serving.samples import sample_streets
    from belisha.serving.serve import ServeOptions, default_cache_dir, serve_until_stopped

    options = ServeOptions(
        storage_uri=storage,
        gateway=GatewaySettings(host=host, port=port, max_in_flight=max_in_flight),
        policy=policy,
        workers=workers,
        python=serve_python,
        cache_dir=cache or default_cache_dir(),
        samples=sample_streets(),
    )

    def say(running: Serving) -> None:
        if json:
            print_json({"url": running.url, **running.supervisor.state()})
        else:
            print_sentence(f"serving at {running.url}: open it in a browser, or POST pictures to /api/v1.0/predictions")

    with progress_sink() as progress:
        asyncio.run(serve_until_stopped(options, progress, say))
    print_sentence("belisha: stopped serving; every request that had come was answered")
