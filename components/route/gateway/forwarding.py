"""One call to one predictor, and its second chance at another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import aiohttp

from belisha.components.route.gateway import answers
from belisha.components.route.gateway.answers import Answer, RefusedError
from belisha.components.route.gateway.calls import Call
from belisha.components.route.gateway.fleet import Fleet, Upstream
from belisha.components.route.gateway.metrics import GatewayMetrics
from belisha.components.route.gateway.settings import GatewaySettings
from belisha.components.route.policy import Policy
from belisha.components.route.routing import Denied, Route, Target, route
from belisha.components.route.standing_in import stand_ins

PREDICTIONS_PATH = "/api/v1.0/predictions"
_CONNECT_SECONDS = 2.0


class PredictorFailedError(Exception):
    """A predictor gave no usable answer; the reason is a short stable word for counting."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Served:
    """An answer, who gave it, and whether the experiment's dice chose that model."""

    answer: Answer
    upstream: Upstream
    shadow: Target | None
    drawn: bool


class Forwarder:
    """Sends calls to predictors by the policy. Keeps connections alive; safe to use from many tasks of one event loop."""

    def __init__(
        self,
        fleet: Fleet,
        policy: Callable[[], Policy],
        settings: GatewaySettings,
        metrics: GatewayMetrics,
        session: aiohttp.ClientSession,
        on_failure: Callable[[Upstream], None],
    ) -> None:
        """Wire it up; `on_failure` is told of predictors that could not be reached."""
        self._fleet, self._policy, self._settings, self._metrics = fleet, policy, settings, metrics
        self._session, self._on_failure = session, on_failure
        self._timeout = aiohttp.ClientTimeout(total=settings.request_seconds, sock_connect=_CONNECT_SECONDS)

    async def serve(self, call: Call) -> Served:
        """Answer a call by the model that the policy chooses, or once by one that may stand in for it.

        Raises:
            RefusedError: 403 by the policy, 502 or 503 when no predictor gave an answer.
        """
        decided = await self._decided(call)
        chosen = self._fleet.with_version(decided.target.version)
        first = chosen if chosen is not None and chosen.healthy else await self._stand_in(call, decided)
        try:
            return await self._served(first, call, decided)
        except PredictorFailedError as failure:
            self._metrics.retries.labels(failure.reason).inc()
        second = await self._stand_in(call, decided, failed=first)
        try:
            return await self._served(second, call, decided)
        except PredictorFailedError as failure:
            text = f"two predictors in a row gave no answer ({failure.reason}): try again"
            raise RefusedError(502, text, "failed", retry_after_seconds=1) from None

    async def attempt(self, upstream: Upstream, call: Call, *, drawn: bool, shadow: bool = False) -> Answer:
        """Send a call to one predictor; raises PredictorFailedError when it cannot be reached, breaks off or answers 5xx."""
        version, role = upstream.target.version, upstream.target.role
        headers = {**call.headers, answers.ROLE: role, answers.DRAWN: str(int(drawn))}
        if shadow:
            headers[answers.SHADOW] = "1"
        upstream.in_flight += 1
        begin = time.perf_counter()
        try:
            answer = await self._post(upstream, call.body, headers)
        except PredictorFailedError as failure:
            if not shadow:
                self._metrics.failures.labels(version, role, failure.reason).inc()
            raise
        finally:
            upstream.in_flight -= 1
        if not shadow:
            self._metrics.seconds.labels(version, role, "predictor").observe(time.perf_counter() - begin)
        upstream.note_answer()
        return answer

    async def _decided(self, call: Call) -> Route:
        if not self._fleet.targets:
            await self._fleet.wait_for(lambda: next(iter(self._fleet.upstreams), None), self._settings.patience_seconds)
        if not self._fleet.targets:
            raise _nobody()
        decided = route(self._policy(), self._fleet.targets, call.caller, datetime.now(UTC))
        if isinstance(decided, Denied):
            raise RefusedError(403, decided.reason, "denied")
        return decided

    async def _served(self, upstream: Upstream, call: Call, decided: Route) -> Served:
        drawn = decided.drawn and upstream.target.version == decided.target.version
        answer = await self.attempt(upstream, call, drawn=drawn)
        return Served(answer, upstream, decided.shadow, drawn)

    async def _stand_in(self, call: Call, decided: Route, *, failed: Upstream | None = None) -> Upstream:
        """A healthy predictor that may answer, the failed one last; waits for one within the settings' patience."""

        def find() -> Upstream | None:
            targets = stand_ins(self._policy(), self._fleet.targets, call.caller, decided.target, datetime.now(UTC))
            found = [self._fleet.with_version(target.version) for target in targets]
            healthy = [upstream for upstream in found if upstream is not None and upstream.healthy]
            return min(healthy, key=lambda upstream: upstream is failed, default=None)

        upstream = await self._fleet.wait_for(find, self._settings.patience_seconds)
        if upstream is None:
            raise _nobody()
        return upstream

    async def _post(self, upstream: Upstream, body: bytes, headers: dict[str, str]) -> Answer:
        try:
            async with self._session.post(
                upstream.url + PREDICTIONS_PATH, data=body, headers=headers, timeout=self._timeout
            ) as response:
                data = await response.read()
        except TimeoutError:
            raise PredictorFailedError("timeout") from None
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError):
            self._on_failure(upstream)
            raise PredictorFailedError("connection") from None
        if response.status >= 500:
            raise PredictorFailedError("status")
        content_type = response.headers.get("Content-Type", answers.JSON_TYPE)
        return Answer(response.status, data, content_type)


def _nobody() -> RefusedError:
    return RefusedError(
        503, "no predictor that may answer is healthy now: try again soon", "failed", retry_after_seconds=2
    )
