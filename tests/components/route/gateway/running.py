"""A gateway before real predictor processes, for one scenario."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from belisha.components.route import Policy, Target
from belisha.components.route.gateway import Fleet, Gateway, GatewaySettings, Offer

SCRIPT = Path(__file__).with_name("small_predictor.py")


def settings(**changed: object) -> GatewaySettings:
    values = {"port": 0, "patience_seconds": 2.0, "health_interval_seconds": 0.05, **changed}
    return GatewaySettings(**values)  # type: ignore[arg-type]


def policy(**value: object) -> Policy:
    return Policy.model_validate({"sticky_by": "request", **value})


@dataclass
class Process:
    version: str
    popen: subprocess.Popen[str] = field(init=False)
    url: str = field(init=False)

    def __post_init__(self) -> None:
        command = [sys.executable, str(SCRIPT), self.version]
        self.popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.popen.stdout is not None
        self.url = f"http://127.0.0.1:{int(self.popen.stdout.readline())}"

    def end(self) -> None:
        self.popen.kill()
        self.popen.communicate()


_started: dict[str, Process] = {}


def living(version: str) -> Process:
    """A predictor that may have served another test, or a new one where that has ended."""
    found = _started.get(version)
    if found is None or found.popen.poll() is not None:
        found = _started[version] = Process(version)
    return found


@atexit.register
def _end_all() -> None:
    for process in _started.values():
        process.end()


@dataclass
class Front:
    """What a scenario works with."""

    gateway: Gateway
    url: str
    session: aiohttp.ClientSession
    processes: list[Process]

    async def ask(self, body: bytes = b"picture", path: str = "/api/v1.0/predictions", **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.post(self.url + path, data=body, headers=named) as response:
            return Reply(response.status, await response.read(), dict(response.headers))

    async def get(self, path: str) -> Reply:
        async with self.session.get(self.url + path) as response:
            return Reply(response.status, await response.read(), dict(response.headers))

    async def seen(self, number: int, *, forget: bool = False) -> list[dict[str, str]]:
        path = "/seen?forget=1" if forget else "/seen"
        async with self.session.get(self.processes[number].url + path) as response:
            found: list[dict[str, str]] = json.loads(await response.text())
            return found

    def share(self, champion: float, challenger: float) -> None:
        """Give the first process the first share, the second the other."""
        self.gateway.fleet.serve(offers(self.processes, champion, challenger))


@dataclass(frozen=True)
class Reply:
    status: int
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def version(self) -> str:
        return self.headers["X-Belisha-Model-Version"]


def offers(processes: list[Process], champion: float, challenger: float) -> list[Offer]:
    roles = (("champion", champion, 1000), ("challenger", challenger, 5000))
    pairs = zip(processes, roles, strict=False)
    return [Offer(Target(one.version, role, share, size), one.url) for one, (role, share, size) in pairs]


def through_gateway(
    scenario: Callable[[Front], Awaitable[None]],
    *,
    policy: Policy | None = None,
    settings: GatewaySettings | None = None,
    challenger: float = 0.0,
    models: int = 2,
) -> None:
    """Run a scenario with predictors v1 (champion) and v2 (challenger)."""

    async def run() -> None:
        processes = [living(f"v{number + 1}") for number in range(models)]
        async with front(processes, policy, settings, challenger) as found, asyncio.timeout(60):
            for number in range(models):
                await found.seen(number, forget=True)
            await scenario(found)

    asyncio.run(run())


@contextlib.asynccontextmanager
async def front(
    processes: list[Process], policy: Policy | None, settings: GatewaySettings | None, challenger: float
) -> AsyncIterator[Front]:
    fleet = Fleet()
    fleet.serve(offers(processes, 1 - challenger, challenger))
    bounds = settings or GatewaySettings(port=0, patience_seconds=2, health_interval_seconds=0.05)
    gateway = Gateway(fleet, bounds, policy=lambda: policy or Policy(sticky_by="request"))
    async with gateway.running() as url, aiohttp.ClientSession() as session:
        yield Front(gateway, url, session, processes)
