"""Serve what the ledger says on one address, until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from belisha.components.route.gateway import Fleet, Gateway, GatewaySettings, Sample
from belisha.components.shared.errors import InputError
from belisha.components.shared.progress import ProgressSink
from belisha.components.shared.registry import open_registry
from belisha.serving.environment import serve_python
from belisha.serving.policy_file import PolicyFile
from belisha.serving.predictor_process import PredictorSettings
from belisha.serving.supervisor import Supervisor


def default_cache_dir() -> Path:
    """Below the user's cache folder."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "belisha" / "models"


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What `belisha serve` is told.

    Attributes:
        storage_uri: where models and the ledger are.
        gateway: address and bounds.
        policy: file of rules; None for none.
        workers: processes a predictor.
        python: interpreter of the predictors' environment; None looks for it.
        cache_dir: for fetched models.
        run_dir: for logs of the predictors; None takes a temporary folder.
        samples: pictures that the page offers.
        environment: more variables for the predictors.
        runtime: inference runtime; empty lets each predictor choose.
    """

    storage_uri: str
    gateway: GatewaySettings = field(default_factory=GatewaySettings)
    policy: Path | None = None
    workers: int = 1
    python: Path | None = None
    cache_dir: Path = field(default_factory=default_cache_dir)
    run_dir: Path | None = None
    samples: Sequence[Sample] = ()
    environment: tuple[tuple[str, str], ...] = ()
    runtime: str = ""


@dataclass(frozen=True, slots=True)
class Serving:
    """What runs: the address, the gateway and the supervisor behind it."""

    url: str
    gateway: Gateway
    supervisor: Supervisor


@contextlib.asynccontextmanager
async def serving(options: ServeOptions, progress: ProgressSink) -> AsyncIterator[Serving]:
    """Run the gateway and the predictors; yields once all that the ledger asks for is ready, and drains at the end.

    Raises:
        InputError: there is nothing to serve, or the predictors' environment, the policy or the address cannot be used.
        BelishaError: a predictor did not start.
    """
    registry = await asyncio.to_thread(open_registry, options.storage_uri, must_exist=True)
    state = await asyncio.to_thread(registry.ledger.state)
    if state.champion is None:
        raise InputError(f"{options.storage_uri} has no champion yet: train and release a model first (`belisha run`)")
    policy = PolicyFile(options.policy)
    fleet = Fleet()
    with _run_dir(options.run_dir) as run_dir:
        settings = PredictorSettings(
            serve_python(options.python), options.storage_uri, run_dir, options.workers,
            environment=options.environment, runtime=options.runtime,
        )  # fmt: skip
        supervisor = Supervisor(registry, fleet, settings, options.cache_dir, progress)

        def more_state() -> dict[str, Any]:
            return {**supervisor.state(), "policy_trouble": policy.trouble}

        gateway = Gateway(fleet, options.gateway, policy=policy, samples=options.samples, more_state=more_state)
        async with _following(supervisor), gateway.running() as url:
            await supervisor.until_serving()
            yield Serving(url, gateway, supervisor)


async def serve_until_stopped(
    options: ServeOptions, progress: ProgressSink, when_ready: Callable[[Serving], None]
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what is in flight; a second signal ends at once. Raises as `serving`."""
    stop, is_open = asyncio.Event(), False
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def ask() -> None:
        if is_open and not stop.is_set():
            stop.set()
        elif task is not None:
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ask)
    with contextlib.suppress(asyncio.CancelledError):
        async with serving(options, progress) as running:
            is_open = True
            when_ready(running)
            await stop.wait()


@contextlib.asynccontextmanager
async def _following(supervisor: Supervisor) -> AsyncIterator[None]:
    task = asyncio.create_task(supervisor.follow())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await supervisor.stop()


@contextlib.contextmanager
def _run_dir(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="belisha-serve-") as folder:
        yield Path(folder)
