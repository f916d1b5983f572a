"""A bounded load of requests on one address, and what came of each of them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from belisha.components.route.gateway.answers import CAMERA

PREDICTIONS_PATH = "/api/v1.0/predictions"
_GIVE_UP_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one request.

    Attributes:
        began: monotonic time at which it was sent.
        seconds: until its answer was whole.
        picture: number of the picture sent.
        status: HTTP status; 0 where there was no answer at all.
        version: model version that answered.
        role: of that model.
        drawn: whether the experiment's dice chose that model.
        boxes: as they stand in the answer.
    """

    began: float
    seconds: float
    picture: int
    status: int
    version: str = ""
    role: str = ""
    drawn: bool = False
    boxes: Sequence[dict[str, float]] = ()


@dataclass(slots=True)
class Load:
    """Sends pictures in turn.

    Attributes:
        url: the gateway's address, or a predictor's.
        pictures: encoded.
        cameras: that took them, in the same order; none where nobody tells.
        sent: requests so far.
    """

    url: str
    pictures: Sequence[bytes]
    cameras: Sequence[str] = ()
    sent: int = 0

    async def closed(
        self, session: aiohttp.ClientSession, *, clients: int, requests: int, take: Callable[[Reply], None]
    ) -> None:
        """Have `clients` ask one after another, `requests` in all."""
        last = self.sent + requests

        async def client() -> None:
            while self.sent < last:
                take(await self._ask(session))

        await asyncio.gather(*(client() for _ in range(clients)))

    async def steady(
        self,
        session: aiohttp.ClientSession,
        *,
        per_second: float,
        at_most: int,
        going: Callable[[], bool],
        take: Callable[[Reply], None],
    ) -> int:
        """Send at a steady rate while `going`, by at most so many clients, each of which waits for its answer.

        Returns:
            How many requests were held back because all clients were waiting.
        """
        begin, due, held_back, tasks = time.perf_counter(), 0, 0, set[asyncio.Task[None]]()

        async def one() -> None:
            take(await self._ask(session))

        while going():
            while due < (time.perf_counter() - begin) * per_second:
                due += 1
                if len(tasks) >= at_most:
                    held_back += 1
                    continue
                task = asyncio.create_task(one())
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.sleep(min(0.5, 1 / per_second))
        await asyncio.gather(*tasks)
        return held_back

    async def _ask(self, session: aiohttp.ClientSession) -> Reply:
        number = self.sent % len(self.pictures)
        self.sent += 1
        headers = {CAMERA: self.cameras[number]} if self.cameras else {}
        began, clock = time.monotonic(), time.perf_counter()
        try:
            async with session.post(
                self.url + PREDICTIONS_PATH, data=self.pictures[number], headers=headers
            ) as response:
                body = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError):
            return Reply(began, time.perf_counter() - clock, number, 0)
        seconds = time.perf_counter() - clock
        return Reply(began, seconds, number, response.status, **_facts(response, body))


def client_session() -> aiohttp.ClientSession:
    """A session without a bound of its own on connections, and with one on time."""
    timeout = aiohttp.ClientTimeout(total=_GIVE_UP_SECONDS)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout)


def _facts(response: aiohttp.ClientResponse, body: bytes) -> dict[str, Any]:
    if response.status != 200:
        return {}
    return {
        "version": response.headers.get("X-Belisha-Model-Version", ""),
        "role": response.headers.get("X-Belisha-Role", ""),
        "drawn": response.headers.get("X-Belisha-Drawn") == "1",
        "boxes": json.loads(body)["boxes"],
    }
