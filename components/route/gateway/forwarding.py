"""One call to one predictor, and its second chance at another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

import aiohttp

from belisha.components.route.gateway import answers
from belisha.components.route.gateway.answers import Answer, RefusedError
from belisha.components.route.gateway.calls import Call
from belisha.components.route.gateway.feedback import FEEDBACK_PATH
from belisha.components.route.gateway.fleet import Fleet, Upstream
from belisha.components.route.gateway.metrics import GatewayMetrics
from belisha.components.route.gateway.settings import GatewaySettings
from belisha.components.route.policy import Policy
from belisha.components.route.routing import Denied, Route, Target, route
from belisha.components.route.standing_in import stand_ins

PREDICTIONS_PATH = "/api/v1.0/predictions"
_CONNECT_SECONDS = 2.0
# A request that two predictors have broken off at may be what breaks them: a third would only follow.
_MOST_BROKEN = 2
_AGAIN_SECONDS = 0.1


class PredictorFailedError(Exception):
    """A predictor gave no usable answer.

    Attributes:
        reason: a short stable word for counting.
        worked_on: whether the predictor may have begun to work on the request.
    """

    def __init__(self, reason: str, *, worked_on: bool = True) -> None:
        super().__init__(reason)
        self.reason, self.worked_on = reason, worked_on


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
        """Answer a call by the model that the policy chooses, or by one that may stand in for it.

        A predictor that cannot be reached or is not ready has not seen the request: it is sent elsewhere for as long as the
        settings' patience lasts. One that broke off or failed may have: the request gets one more chance, no third.

        Raises:
            RefusedError: 403 by the policy, 502 or 503 when no predictor gave an answer.
        """
        decided = await self._decided(call)
        clock = asyncio.get_running_loop().time
        deadline, broken = clock() + self._settings.patience_seconds, 0
        chosen = self._fleet.with_version(decided.target.version)
        upstream = chosen if chosen is not None and chosen.healthy else await self._stand_in(call, decided, deadline)
        while True:
            try:
                return await self._served(upstream, call, decided)
            except PredictorFailedError as failure:
                broken += failure.worked_on
                if broken >= _MOST_BROKEN:
                    raise _broken(failure) from None
                self._metrics.retries.labels(failure.reason).inc()
                # The time that the failed attempt took does not count against finding another predictor.
                deadline = max(deadline, clock() + self._settings.patience_seconds) if failure.worked_on else deadline
            before, upstream = upstream, await self._stand_in(call, decided, deadline, failed=upstream)
            if upstream is before:
                await asyncio.sleep(_AGAIN_SECONDS)

    async def attempt(self, upstream: Upstream, call: Call, *, drawn: bool, shadow: bool = False) -> Answer:
        """Send a call to one predictor; raises PredictorFailedError when it cannot be reached, breaks off or answers 5xx."""
        version, role = upstream.target.version, upstream.target.role
        headers = {**call.headers, answers.ROLE: role, answers.DRAWN: str(int(drawn))}
        if shadow:
            headers[answers.SHADOW] = "1"
        upstream.in_flight += 1
        begin = time.perf_counter()
        try:
            answer = await self._post(upstream, PREDICTIONS_PATH, call.body, headers)
        except PredictorFailedError as failure:
            if not shadow:
                self._metrics.failures.labels(version, role, failure.reason).inc()
            raise
        finally:
            upstream.in_flight -= 1
        if not shadow:
            self._metrics.seconds.labels(version, role, "predictor").observe(time.perf_counter() - begin)
        upstream.note_answer()
        # A look at its health may wait for long behind other requests; an answer is as good.
        self._fleet.mark(upstream, healthy=True)
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

    async def _stand_in(
        self, call: Call, decided: Route, deadline: float, *, failed: Upstream | None = None
    ) -> Upstream:
        """A healthy predictor that may answer, the failed one last; waits for one until the deadline of the loop's clock."""

        def find() -> Upstream | None:
            targets = stand_ins(self._policy(), self._fleet.targets, call.caller, decided.target, datetime.now(UTC))
            found = [self._fleet.with_version(target.version) for target in targets]
            healthy = [upstream for upstream in found if upstream is not None and upstream.healthy]
            return min(healthy, key=lambda upstream: upstream is failed, default=None)

        upstream = await self._fleet.wait_for(find, deadline - asyncio.get_running_loop().time())
        if upstream is None:
            raise _nobody()
        return upstream

    async def feedback(self, upstream: Upstream, call: Call) -> Answer:
        """Tell a predictor what somebody thinks of its answer; raises PredictorFailedError."""
        return await self._post(upstream, FEEDBACK_PATH, call.body, call.headers)

    async def _post(self, upstream: Upstream, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        try:
            async with self._session.post(
                upstream.url + path, data=body, headers=headers, timeout=self._timeout
            ) as response:
                data = await response.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            self._on_failure(upstream)
            raise PredictorFailedError("unreachable", worked_on=False) from None
        except TimeoutError:
            raise PredictorFailedError("timeout") from None
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError):
            self._on_failure(upstream)
            raise PredictorFailedError("connection") from None
        if response.status == HTTPStatus.SERVICE_UNAVAILABLE:
            self._on_failure(upstream)
            raise PredictorFailedError("not_ready", worked_on=False)
        if response.status >= 500:
            raise PredictorFailedError("status")
        content_type = response.headers.get("Content-Type", answers.JSON_TYPE)
        return Answer(response.status, data, content_type)


def _nobody() -> RefusedError:
    return RefusedError(
        503, "no predictor that may answer is healthy now: try again soon", "failed", retry_after_seconds=2
    )


def _broken(failure: PredictorFailedError) -> RefusedError:
    text = f"two predictors in a row gave no answer ({failure.reason}): try again"
    return RefusedError(502, text, "failed", retry_after_seconds=1)
