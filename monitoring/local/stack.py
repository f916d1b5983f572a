"""Start the stack, wait until all of it is ready, and end it: nothing outlives the process that asked for it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

from belisha.components.release.ledger_metrics import LedgerMetrics
from belisha.components.shared.errors import BelishaError, InputError
from belisha.components.shared.progress import ProgressEvent, ProgressSink
from belisha.components.shared.registry import open_registry
from belisha.monitoring.local.configuration import Addresses, alertmanager_config, prometheus_config
from belisha.monitoring.local.programs import Programs, find_programs
from belisha.monitoring.local.server import MonitorServer
from belisha.monitoring.rules.document import rules_text
from belisha.monitoring.settings import MonitoringSettings
from belisha.serving.predictor_process import free_ports, guarded

_HOST = "127.0.0.1"
_READY_SECONDS, _GRACE_SECONDS, _WATCH_SECONDS = 60.0, 10.0, 1.0


@dataclass(frozen=True, slots=True)
class StackOptions:
    """What `belisha monitor` is told.

    Attributes:
        storage_uri: where the ledger is.
        gateway_url: what `belisha serve` answers on.
        deployment_name: value of that label.
        ports: of page, prometheus, pushgateway and alertmanager; 0 takes a free one.
        data_dir: where Prometheus keeps what it has seen; None forgets it at the end.
        scrape_seconds: between two scrapes.
        settings: thresholds and time scale of the rules.
        ledger_seconds: how old what is known of the ledger may be.
    """

    storage_uri: str
    gateway_url: str = "http://127.0.0.1:8080"
    deployment_name: str = "belisha"
    ports: tuple[int, int, int, int] = (8090, 9090, 9091, 9093)
    data_dir: Path | None = None
    scrape_seconds: float = 5.0
    settings: MonitoringSettings = field(default_factory=MonitoringSettings)
    ledger_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Stack:
    """What runs: addresses, our own server, and the programs by their names."""

    addresses: Addresses
    server: MonitorServer
    processes: Mapping[str, subprocess.Popen[bytes]]

    async def until_one_ends(self) -> None:
        """Wait for ever; raises BelishaError when a program has ended by itself."""
        while True:
            for part, process in self.processes.items():
                if process.poll() is not None:
                    raise BelishaError(f"{part} has ended: start `belisha monitor` again")
            await asyncio.sleep(_WATCH_SECONDS)


@contextlib.asynccontextmanager
async def monitoring_stack(options: StackOptions, progress: ProgressSink) -> AsyncIterator[Stack]:
    """Run everything; yields once all parts are ready.

    Raises:
        InputError: a program is not installed, an address is taken, or there is no ledger.
        BelishaError: a program did not start.
    """
    programs = find_programs()
    registry = await asyncio.to_thread(open_registry, options.storage_uri, must_exist=True)
    ledger = LedgerMetrics(registry.ledger.records, options.deployment_name, read_again_seconds=options.ledger_seconds)
    addresses = _addresses(options)
    _refuse_taken(addresses)
    server = MonitorServer(addresses, ledger.exposition, options.scrape_seconds)
    with _folder(options.data_dir) as folder:
        async with _listening(server, addresses.page):
            with contextlib.ExitStack() as running:
                processes: dict[str, subprocess.Popen[bytes]] = {}
                for part, command in _commands(programs, addresses, folder, options).items():
                    processes[part] = running.enter_context(_running(part, command, folder))
                    await _until_ready(part, getattr(addresses, part), processes[part], folder, progress)
                yield Stack(addresses, server, processes)


def _addresses(options: StackOptions) -> Addresses:
    free = iter(free_ports(len(options.ports)))
    page, prometheus, pushgateway, alertmanager = (f"http://{_HOST}:{port or next(free)}" for port in options.ports)
    return Addresses(page, options.gateway_url.rstrip("/"), prometheus, pushgateway, alertmanager)


def _refuse_taken(addresses: Addresses) -> None:
    """Raise InputError when somebody listens already: we would take their answers for ours."""
    for address in (addresses.page, addresses.prometheus, addresses.pushgateway, addresses.alertmanager):
        host, port = address.removeprefix("http://").rsplit(":", 1)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, int(port)))
            except OSError as error:
                raise InputError(
                    f"cannot listen on {host}:{port} ({os.strerror(error.errno or 0)}): give another port"
                ) from None


def _commands(
    programs: Programs, addresses: Addresses, folder: Path, options: StackOptions
) -> dict[str, Sequence[str]]:
    """Write the files of configuration, and say how each program is started."""
    settings = options.settings.at(runbook_url=f"{addresses.page}/runbooks", grafana_url=addresses.page)
    rules, prometheus, alertmanager = (folder / name for name in ("rules.yaml", "prometheus.yaml", "alertmanager.yaml"))
    rules.write_text(rules_text(settings), encoding="utf-8")
    config = prometheus_config(
        addresses, rules, settings, scrape_seconds=options.scrape_seconds, deployment_name=options.deployment_name
    )
    prometheus.write_text(config, encoding="utf-8")
    alertmanager.write_text(alertmanager_config(addresses, settings), encoding="utf-8")
    return {
        "pushgateway": (
            programs.pushgateway, _listen(addresses.pushgateway), f"--persistence.file={folder / 'pushed'}",
        ),
        "alertmanager": (
            programs.alertmanager, _listen(addresses.alertmanager), f"--config.file={alertmanager}",
            f"--storage.path={folder / 'alertmanager'}", "--cluster.listen-address=",
        ),
        "prometheus": (
            programs.prometheus, _listen(addresses.prometheus), f"--config.file={prometheus}",
            f"--storage.tsdb.path={folder / 'series'}", "--storage.tsdb.retention.time=30d",
        ),
    }  # fmt: skip


def _listen(address: str) -> str:
    return f"--web.listen-address={address.removeprefix('http://')}"


@contextlib.contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="belisha-monitor-") as folder:
        yield Path(folder)


@contextlib.asynccontextmanager
async def _listening(server: MonitorServer, address: str) -> AsyncIterator[None]:
    host, port = address.removeprefix("http://").rsplit(":", 1)
    runner = web.AppRunner(server.application(), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, int(port)).start()
        yield
    finally:
        await runner.cleanup()


@contextlib.contextmanager
def _running(part: str, command: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / f"{part}.log").open("wb") as log:
        process = guarded(command, dict(os.environ), log.fileno(), _GRACE_SECONDS)
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


async def _until_ready(
    part: str, address: str, process: subprocess.Popen[bytes], folder: Path, progress: ProgressSink
) -> None:
    progress(ProgressEvent(part, 0, 1, "ready", "starting"))
    deadline = time.monotonic() + _READY_SECONDS
    async with aiohttp.ClientSession() as session:
        while not await _is_ready(session, address):
            if process.poll() is not None or time.monotonic() > deadline:
                raise BelishaError(f"{part} did not start at {address}: {_last_words(folder / f'{part}.log')}")
            await asyncio.sleep(0.1)
    progress(ProgressEvent(part, 1, 1, "ready", address))


async def _is_ready(session: aiohttp.ClientSession, address: str) -> bool:
    try:
        async with session.get(f"{address}/-/ready", timeout=aiohttp.ClientTimeout(total=2)) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


def _last_words(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][-400:] if lines else f"it said nothing; look at {log}"


async def monitor_until_stopped(
    options: StackOptions, progress: ProgressSink, when_ready: Callable[[Stack], None]
) -> None:
    """Watch until SIGTERM or SIGINT; raises as `monitoring_stack`, and BelishaError when one of the programs ends."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        async with monitoring_stack(options, progress) as stack:
            when_ready(stack)
            await stack.until_one_ends()
