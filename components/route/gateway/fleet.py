"""The predictors that serve now, and how each of them does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from belisha.components.route.routing import Target

_FAILED_CHECKS_UNTIL_UNHEALTHY = 3
_FRESH_ANSWER_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Offer:
    """A predictor that is ready: the model it serves, with role and share, and its address `http://host:port`."""

    target: Target
    url: str


@dataclass(slots=True, eq=False)
class Upstream:
    """A predictor as the gateway sees it.

    Attributes:
        target: the model it serves, with its present role and share.
        url: `http://host:port`.
        healthy: whether it gets requests.
        in_flight: attempts under way.
        answers: requests it has answered.
        drawn: of those, the ones that the experiment's dice gave it since the shares last changed.
        failed_checks: in a row.
        answered_at: monotonic time of its last answer.
        unhealthy_at: monotonic time since which it gets no requests; None while it does.
    """

    target: Target
    url: str
    healthy: bool = True
    in_flight: int = 0
    answers: int = 0
    drawn: int = 0
    failed_checks: int = 0
    answered_at: float = field(default_factory=time.monotonic)
    unhealthy_at: float | None = None

    def note_answer(self) -> None:
        """It has answered: whatever a slow health check says, it lives."""
        self.answers += 1
        self.answered_at = time.monotonic()

    def fails_for_good(self) -> bool:
        """Count a failed check; whether there were enough of them and no answer meanwhile."""
        self.failed_checks += 1
        silent = time.monotonic() - self.answered_at > _FRESH_ANSWER_SECONDS
        return self.failed_checks >= _FAILED_CHECKS_UNTIL_UNHEALTHY and silent


class Fleet:
    """Every predictor that gets requests, and those that still have some to finish. For one event loop."""

    def __init__(self) -> None:
        self._serving: list[Upstream] = []
        self._leaving: list[Upstream] = []
        self._changed = asyncio.Event()

    @property
    def upstreams(self) -> tuple[Upstream, ...]:
        """Predictors that get new requests."""
        return tuple(self._serving)

    @property
    def targets(self) -> tuple[Target, ...]:
        """The models that serve now, healthy or not."""
        return tuple(upstream.target for upstream in self._serving)

    def serve(self, offers: Sequence[Offer]) -> None:
        """Take these predictors and no others for new requests, all at once.

        A predictor that stays keeps its connections and its requests; one that goes finishes what it has (see `in_flight`).
        """
        shares_before = self._shares()
        known = {upstream.url: upstream for upstream in (*self._serving, *self._leaving)}
        serving = [known.get(offer.url) or self._new(offer) for offer in offers]
        for upstream, offer in zip(serving, offers, strict=True):
            upstream.target = offer.target
        self._leaving = [one for one in known.values() if one not in serving and one.in_flight]
        self._serving = serving
        if self._shares() != shares_before:
            for upstream in serving:
                upstream.drawn = 0
        self.notify()

    def in_flight(self, url: str) -> int:
        """Attempts under way at a predictor, whether or not it still gets new ones."""
        return sum(one.in_flight for one in (*self._serving, *self._leaving) if one.url == url)

    def is_healthy(self, url: str) -> bool:
        """Whether a predictor gets requests now."""
        return any(one.healthy for one in self._serving if one.url == url)

    def unhealthy_seconds(self, url: str) -> float:
        """For how long a predictor that should get requests has got none; 0 for one that is healthy or has no share."""
        since = next((one.unhealthy_at for one in self._serving if one.url == url), None)
        return 0.0 if since is None else time.monotonic() - since

    def with_version(self, version: str) -> Upstream | None:
        """The predictor of a model version, healthy or not."""
        return next((one for one in self._serving if one.target.version == version), None)

    def mark(self, upstream: Upstream, *, healthy: bool) -> None:
        """Note a predictor's health and wake whoever waits for it."""
        if healthy:
            upstream.failed_checks = 0
        if upstream.healthy != healthy:
            upstream.healthy, upstream.unhealthy_at = healthy, None if healthy else time.monotonic()
            self.notify()

    def notify(self) -> None:
        """Wake whoever waits for a change."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait_for(self, find: Callable[[], Upstream | None], seconds: float) -> Upstream | None:
        """What `find` finds, asked again after every change, or None after `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    changed = self._changed
                    if (found := find()) is not None:
                        return found
                    await changed.wait()
        except TimeoutError:
            return None

    def _new(self, offer: Offer) -> Upstream:
        """A predictor that was started again goes on counting where the one before it ended."""
        before = self.with_version(offer.target.version)
        answers, drawn = (before.answers, before.drawn) if before else (0, 0)
        return Upstream(offer.target, offer.url, answers=answers, drawn=drawn)

    def _shares(self) -> list[tuple[str, str, float]]:
        return [(one.target.version, one.target.role, one.target.traffic_ratio) for one in self._serving]
