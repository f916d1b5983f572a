"""Every metric of the in-graph router, declared in one place; labels are bounded by the graph's children.

The wrapper's own feedback counter skips rewards of 0 and loses counts under threads, so rewards are counted here.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge

from belisha.components.shared.process_metrics import ProcessMetrics, metrics_in

UNKNOWN = "unknown"
_IDENTITY = ("deployment_name", "predictor_name")


class Source(enum.StrEnum):
    """What the router follows."""

    POLICY = "policy"
    LEDGER = "ledger"


class RouterMetrics:
    """Counts what the router decides and what callers say of the answers. Safe under threads and forks.

    Args:
        deployment_name: Seldon's name of the deployment.
        predictor_name: Seldon's name of the predictor.
        versions: model versions of the children.
        folder: where all processes of the router count together.
    """

    def __init__(self, deployment_name: str, predictor_name: str, versions: Sequence[str], folder: Path) -> None:
        self._folder = folder
        self._names = (deployment_name, predictor_name)
        self._registry = CollectorRegistry()
        with metrics_in(folder):
            self._declare(versions)

    def _declare(self, versions: Sequence[str]) -> None:
        routes = self._counter("routes", "Requests that were sent to a model.", "model_version", "drawn")
        self._routes = {
            (version, drawn): routes.labels(*self._names, version, str(drawn).lower())
            for version in versions
            for drawn in (False, True)
        }
        self._denied = self._counter("denied", "Requests that the policy refused.").labels(*self._names)
        known = (*versions, UNKNOWN)
        feedback = self._counter("feedback", "Feedback by the sign of its reward.", "model_version", "sign")
        self._feedback = {
            (version, sign): feedback.labels(*self._names, version, sign)
            for version in known
            for sign in ("negative", "zero", "positive", "refused")
        }
        gained = self._counter("reward_gained", "Sum of the positive rewards.", "model_version")
        self._gained = {version: gained.labels(*self._names, version) for version in known}
        lost = self._counter("reward_lost", "Sum of the negative rewards, without their sign.", "model_version")
        self._lost = {version: lost.labels(*self._names, version) for version in known}
        stale = Gauge(
            "belisha_router_stale",
            "1 where the last reading failed and what was read before still holds.",
            (*_IDENTITY, "source"),
            registry=self._registry,
            multiprocess_mode="max",
        )
        self._stale = {source: stale.labels(*self._names, source.value) for source in Source}

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"belisha_router_{name}_total", text, (*_IDENTITY, *labels), registry=self._registry)

    def routed(self, version: str, *, drawn: bool) -> None:
        """A request goes to a model; drawn when the experiment's dice chose it."""
        self._routes[version, drawn].inc()

    def denied(self) -> None:
        """A request was refused."""
        self._denied.inc()

    def rewarded(self, version: str, reward: float) -> None:
        """Somebody judged an answer of a model; of one that is no child, the judgement counts as `unknown`."""
        version = version if version in self._gained else UNKNOWN
        if not math.isfinite(reward):
            self._feedback[version, "refused"].inc()
            return
        self._feedback[version, "positive" if reward > 0 else "negative" if reward < 0 else "zero"].inc()
        (self._gained if reward > 0 else self._lost)[version].inc(abs(reward))

    def stale(self, source: Source, *, is_stale: bool) -> None:
        """Say whether what was read last from a source is older than it should be."""
        self._stale[source].set(int(is_stale))

    def page(self) -> ProcessMetrics:
        """The metrics of all processes of the router."""
        return ProcessMetrics(self._folder, self._registry)
