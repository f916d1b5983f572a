"""Who answered how many requests, asked of Prometheus, and whether that is the share that was asked for."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from belisha.components.shared.errors import ClusterError
from belisha.components.shared.verdict import Gate, Verdict

MIN_REQUESTS = 100
# Requests that fall outside by chance alone: once in some 16,000 looks.
_STANDARD_ERRORS = 4.0
_SECONDS = 10.0
_QUERY = (
    "sum by (predictor_name)(increase(seldon_api_executor_server_requests_seconds_count"
    '{{deployment_name="{name}",namespace=~"{namespace}|",service="predictions"}}[{seconds}s]))'
)


class TrafficMetrics(Protocol):
    """Where the realised split can be asked."""

    def requests(self, window_seconds: int) -> Mapping[str, float]:
        """Requests of the last seconds by predictor; empty when there is no series. Raises ClusterError."""
        ...


class PrometheusTraffic:
    """The executor's own counts, from a Prometheus server.

    Args:
        url: for example `http://prometheus:9090`.
        namespace: of the SeldonDeployment.
        name: of the SeldonDeployment.
    """

    def __init__(self, url: str, namespace: str, name: str) -> None:
        self._url, self._namespace, self._name = url.rstrip("/"), namespace, name

    def requests(self, window_seconds: int) -> Mapping[str, float]:
        """Requests of the last seconds by predictor."""
        query = _QUERY.format(name=self._name, namespace=self._namespace, seconds=window_seconds)
        return {
            str(one["metric"].get("predictor_name", "")): float(one["value"][1])
            for one in query_prometheus(self._url, query)
        }


def query_prometheus(url: str, query: str) -> list[dict[str, Any]]:
    """Result of an instant query; raises ClusterError when there is no answer that can be read."""
    request = Request(
        f"{url.rstrip('/')}/api/v1/query?{urlencode({'query': query})}", headers={"Accept": "application/json"}
    )
    try:
        with urlopen(request, timeout=_SECONDS) as response:
            answer = json.load(response)
            return list(answer["data"]["result"])
    except (URLError, OSError, ValueError, KeyError, TypeError) as error:
        raise ClusterError(
            f"Prometheus at {url} gave no answer ({error}): check its address, or leave it away"
        ) from None


def split_gate(wanted_percent: Mapping[str, int], counted: Mapping[str, float], window_seconds: int) -> Gate:
    """Whether each predictor answered its share, within what chance allows for so many requests.

    Args:
        wanted_percent: share by predictor, without zeros.
        counted: requests by predictor.
        window_seconds: over which they were counted.
    """
    total = sum(counted.values())
    if total < MIN_REQUESTS:
        sentence = (
            f"{total:.0f} requests in {window_seconds} s, {MIN_REQUESTS} are needed to see the split: "
            "it is probably not receiving traffic yet"
        )
        return Gate("realised_split", Verdict.INCONCLUSIVE, sentence, total, MIN_REQUESTS)
    return _judged(wanted_percent, counted, total)


def _judged(wanted_percent: Mapping[str, int], counted: Mapping[str, float], total: float) -> Gate:
    worst, farthest = "", 0.0
    for name in sorted({*wanted_percent, *counted}):
        wanted = wanted_percent.get(name, 0) / 100
        distance = abs(counted.get(name, 0.0) / total - wanted) - _allowance(wanted, total)
        if not worst or distance > farthest:
            worst, farthest = name, distance
    wanted, share = wanted_percent.get(worst, 0) / 100, counted.get(worst, 0.0) / total
    allowed = _allowance(wanted, total)
    sentence = (
        f"{worst} answered {share:.1%} of {total:.0f} requests, {wanted:.0%} was asked for, give or take {allowed:.1%}"
    )
    verdict = Verdict.PASS if farthest <= 0 else Verdict.FAIL
    return Gate(
        "realised_split", verdict, sentence, share, wanted, (max(0.0, wanted - allowed), min(1.0, wanted + allowed))
    )


def _allowance(wanted: float, total: float) -> float:
    """How far a share of so many random draws may be off; Prometheus' extrapolation of counts adds a few requests."""
    return _STANDARD_ERRORS * math.sqrt(wanted * (1 - wanted) / total) + 2 / total + 0.005
