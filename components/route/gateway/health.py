"""Regular looks at every predictor, and one at once when a request met trouble."""

from __future__ import annotations

import asyncio
import contextlib

import aiohttp

from belisha.components.route.gateway.fleet import Fleet, Upstream

HEALTH_PATH = "/health/status"
_CHECK_SECONDS = 2.0


class HealthChecker:
    """Marks predictors healthy or not. A refused connection counts at once; slowness only when it lasts."""

    def __init__(self, fleet: Fleet, session: aiohttp.ClientSession, interval_seconds: float) -> None:
        self._fleet, self._session, self._interval = fleet, session, interval_seconds
        self._timeout = aiohttp.ClientTimeout(total=_CHECK_SECONDS)
        self._kicked = asyncio.Event()

    def suspect(self, upstream: Upstream) -> None:
        """Give a predictor no more requests until a check, made at once, finds it well."""
        self._fleet.mark(upstream, healthy=False)
        self._kicked.set()

    async def run(self) -> None:
        """Check for ever; cancel to end."""
        while True:
            await asyncio.gather(*(self._check(upstream) for upstream in self._fleet.upstreams))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._kicked.wait()
            self._kicked.clear()

    async def _check(self, upstream: Upstream) -> None:
        try:
            async with self._session.get(upstream.url + HEALTH_PATH, timeout=self._timeout) as response:
                well = response.status == 200
                await response.read()
        except aiohttp.ClientConnectorError:
            self._fleet.mark(upstream, healthy=False)
            return
        except (aiohttp.ClientError, TimeoutError, OSError):
            well = False
        if well:
            self._fleet.mark(upstream, healthy=True)
        elif upstream.fails_for_good():
            self._fleet.mark(upstream, healthy=False)
