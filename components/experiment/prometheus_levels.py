"""Guards' figures from Prometheus, over HTTP.

Two witnesses tell of failed attempts: the predictor itself, and Seldon's executor before it, which also sees answers that never
came. Each is judged for itself.
"""

from __future__ import annotations

import json
import math
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass

from belisha.components.experiment.guards import Attempts, BucketedLatencies, ServiceLevels
from belisha.components.shared.errors import BelishaError, InputError

_SECONDS = 10.0
_MOST_BYTES = 16 * 2**20
# An increase needs two scrapes inside its window.
_SHORTEST_WINDOW_SECONDS = 120

Sample = tuple[dict[str, str], float]


class UnreachableError(BelishaError):
    """A source of metrics gave no answer that can be used; to a guard that is no data."""


@dataclass(frozen=True, slots=True)
class PrometheusLevels:
    """Asks a Prometheus server.

    Attributes:
        url: such as `http://prometheus:9090`, with the path that it is served under, if any.
        deployment_name: of the SeldonDeployment.
        matchers: more label matchers for every series, such as `namespace="ml"`.
    """

    url: str
    deployment_name: str = "belisha"
    matchers: str = ""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise InputError(f"{self.url} is no address of Prometheus: give one such as http://prometheus:9090")

    def read(self, champion: str, challenger: str, window_seconds: float) -> ServiceLevels:
        """What is known of both models over the last so many seconds; a server that cannot be asked gives no data."""
        window = f"{max(_SHORTEST_WINDOW_SECONDS, math.ceil(window_seconds))}s"
        try:
            attempts = [
                self._attempts(self._own(challenger, window), window, "by its own count"),
                self._attempts(self._executors(challenger, window), window, "by the executor's count"),
            ]
            return ServiceLevels(
                [one for one in attempts if one is not None],
                self._latencies(challenger, window),
                self._latencies(champion, window),
                "" if any(attempts) else f"{self.url} has no series of {challenger} in the last {window}",
            )
        except UnreachableError as error:
            return ServiceLevels(trouble=str(error))

    def _own(self, version: str, window: str) -> tuple[str, str]:
        """Queries for all attempts and the failed ones, as the predictor counts them; a client's mistake is none of either."""

        def total(outcomes: str) -> str:
            series = f'belisha_requests_total{{{self._labels(version)},outcome=~"{outcomes}"}}'
            return f"sum(increase({series}[{window}]))"

        return total("ok|error|not_ready"), total("error|not_ready")

    def _executors(self, version: str, window: str) -> tuple[str, str]:
        """The same as Seldon's executor counts them; it knows no model versions, so these come by the predictor's name."""
        known = f"last_over_time(belisha_model_info{{{self._labels(version)}}}[{window}])"
        join = (
            f"on (deployment_name, predictor_name) group_left () group by (deployment_name, predictor_name) ({known})"
        )
        name = "seldon_api_executor_server_requests_seconds_count"
        common = f'deployment_name="{self.deployment_name}",service="predictions"{self._more()}'

        def total(code: str) -> str:
            return f"sum(increase({name}{{{common}{code}}}[{window}]) * {join})"

        return total(""), total(',code=~"5.."')

    def _attempts(self, queries: tuple[str, str], window: str, by: str) -> Attempts | None:
        every, failed = (self._number(query) for query in queries)
        if every is None:
            return None
        # Increases are extrapolated, so a fraction may come out, and a sum of parts may exceed the whole by one.
        attempts = round(every)
        return Attempts(attempts, min(attempts, round(failed or 0.0)), f"in the last {window} {by}")

    def _latencies(self, version: str, window: str) -> BucketedLatencies | None:
        series = f'belisha_stage_seconds_bucket{{{self._labels(version)},stage="total"}}'
        found = self._query(f"sum by (le) (increase({series}[{window}]))")
        buckets = sorted((float(labels["le"]), count) for labels, count in found if "le" in labels)
        if not buckets:
            return None
        return BucketedLatencies(tuple(bound for bound, _ in buckets), tuple(count for _, count in buckets))

    def _labels(self, version: str) -> str:
        return f'deployment_name="{self.deployment_name}",model_version="{version}"{self._more()}'

    def _more(self) -> str:
        return f",{self.matchers}" if self.matchers else ""

    def _number(self, query: str) -> float | None:
        found = self._query(query)
        return found[0][1] if found else None

    def _query(self, query: str) -> Sequence[Sample]:
        """Samples of an instant query; raises UnreachableError."""
        address = f"{self.url.rstrip('/')}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        try:
            with urllib.request.urlopen(address, timeout=_SECONDS) as response:
                value = json.loads(response.read(_MOST_BYTES))
            samples = [(dict(one["metric"]), float(one["value"][1])) for one in value["data"]["result"]]
        except urllib.error.HTTPError as error:
            raise UnreachableError(f"{self.url} refused a query with status {error.code}: {_said(error)}") from None
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise UnreachableError(f"{self.url} gave no answer that can be read ({error}): is it Prometheus?") from None
        return [(labels, number) for labels, number in samples if math.isfinite(number)]


def _said(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read(10_000))["error"])[:200]
    except (OSError, ValueError, KeyError, TypeError):
        return str(error.reason)
