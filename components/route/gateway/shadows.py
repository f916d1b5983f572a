"""Shadow requests: the other model answers too, for its log alone, and never at the cost of a real request."""

from __future__ import annotations

import asyncio

from belisha.components.route.gateway.calls import Call
from belisha.components.route.gateway.fleet import Upstream
from belisha.components.route.gateway.forwarding import Forwarder, PredictorFailedError
from belisha.components.route.gateway.metrics import GatewayMetrics


class Shadows:
    """Sends shadow requests in the background, a bounded number at a time; what is above it is dropped and counted."""

    def __init__(self, forwarder: Forwarder, metrics: GatewayMetrics, at_most: int) -> None:
        self._forwarder, self._metrics, self._at_most = forwarder, metrics, at_most
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, upstream: Upstream, call: Call) -> None:
        """Have a predictor answer a call for its log; returns at once."""
        if len(self._tasks) >= self._at_most or not upstream.healthy:
            self._metrics.shadows.labels("dropped").inc()
            return
        task = asyncio.create_task(self._send(upstream, call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """End those under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _send(self, upstream: Upstream, call: Call) -> None:
        try:
            await self._forwarder.attempt(upstream, call, drawn=False, shadow=True)
        except PredictorFailedError:
            self._metrics.shadows.labels("failed").inc()
        else:
            self._metrics.shadows.labels("answered").inc()
