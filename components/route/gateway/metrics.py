"""Every metric of the gateway; labels are bounded by the roles, the outcomes and the versions that serve."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from belisha.components.route.gateway.fleet import Fleet

_BUCKETS_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
# Why an attempt at a predictor failed.
FAILURES = ("unreachable", "not_ready", "timeout", "connection", "status")
NOBODY = "none"
# Times of creation would be half of all series, and nobody asks for them.
disable_created_metrics()  # type: ignore[no-untyped-call]
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class GatewayMetrics:
    """The gateway's metrics in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        of_model = ["model_version", "role"]
        self.requests = self._counter("requests", "Requests by who answered and how it ended.", [*of_model, "outcome"])
        self.drawn = self._counter("drawn", "Answers that the experiment's dice gave to a model.", of_model)
        self.failures = self._counter("failures", "Attempts at a predictor that failed.", [*of_model, "reason"])
        self.retries = self._counter("retries", "Attempts that failed and were made again elsewhere.", ["reason"])
        self.shed = self._counter("shed", "Requests that were refused because too much was under way.", ["reason"])
        self.shadows = self._counter("shadows", "Shadow requests by outcome.", ["outcome"])
        self.seconds = Histogram(
            "belisha_gateway_seconds",
            "Seconds from a request's last byte to its answer: in all, and of that in the predictor.",
            [*of_model, "stage"],
            registry=self.registry,
            buckets=_BUCKETS_SECONDS,
        )
        self.in_flight = self._gauge("in_flight", "Requests under way.", [])
        self.healthy = self._gauge("predictor_healthy", "1 where a predictor gets requests.", of_model)
        self.asked_ratio = self._gauge("asked_traffic_ratio", "Share of requests that the ledger asks for.", of_model)
        self.realised_ratio = self._gauge(
            "realised_traffic_ratio", "Share of the drawn requests since the shares last changed.", of_model
        )

    def render(self, fleet: Fleet, in_flight: int) -> bytes:
        """The text that Prometheus reads; the state of the predictors is taken now."""
        self.in_flight.set(in_flight)
        for gauge in (self.healthy, self.asked_ratio, self.realised_ratio):
            gauge.clear()
        for version, role, healthy, asked, realised in shares_of(fleet):
            self.healthy.labels(version, role).set(healthy)
            self.asked_ratio.labels(version, role).set(asked)
            self._begin_at_zero(version, role)
            if realised is not None:
                self.realised_ratio.labels(version, role).set(realised)
        self.requests.labels(NOBODY, NOBODY, "failed")
        return generate_latest(self.registry)

    def _begin_at_zero(self, version: str, role: str) -> None:
        """A series that starts at 0 shows its first increase."""
        for outcome in ("answered", "client_error"):
            self.requests.labels(version, role, outcome)
        for reason in FAILURES:
            self.failures.labels(version, role, reason)
        self.drawn.labels(version, role)

    def _counter(self, name: str, text: str, labels: list[str]) -> Counter:
        return Counter(f"belisha_gateway_{name}_total", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: list[str]) -> Gauge:
        return Gauge(f"belisha_gateway_{name}", text, labels, registry=self.registry)


def shares_of(fleet: Fleet) -> list[tuple[str, str, bool, float, float | None]]:
    """Version, role, health, asked and realised share of every predictor; the latter is None before the first request."""
    drawn = sum(one.drawn for one in fleet.upstreams)
    return [
        (
            one.target.version, one.target.role, one.healthy, one.target.traffic_ratio, one.drawn / drawn if drawn else None
        )
        for one in fleet.upstreams
    ]  # fmt: skip
