"""The realised split: what chance allows, what it does not, and what is no data."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from belisha.components.release.realised_split import PrometheusTraffic, split_gate
from belisha.components.shared.errors import ClusterError
from belisha.components.shared.registry import open_registry
from belisha.components.shared.verdict import Verdict
from tests.kube.api_server import KubeServer
from tests.kube.release_world import applier, decide
from tests.kube.seldon_world import SeldonWorld


@pytest.mark.parametrize(
    ("wanted", "counted", "verdict"),
    [
        ({"y-v1": 80, "y-v2": 20}, {"y-v1": 812, "y-v2": 188}, Verdict.PASS),
        # 100/0 served 50/50: what Ambassador v1 makes of a weight of nothing.
        ({"y-v1": 100}, {"y-v1": 500, "y-v2": 500}, Verdict.FAIL),
        ({"y-v1": 80, "y-v2": 20}, {"y-v1": 1000}, Verdict.FAIL),
        ({"y-v1": 80, "y-v2": 20}, {"y-v1": 60, "y-v2": 20}, Verdict.INCONCLUSIVE),
        ({"y-v1": 100}, {}, Verdict.INCONCLUSIVE),
        ({"y-v1": 100}, {"y-v1": 100}, Verdict.PASS),
    ],
)
def test_split_gate(wanted: dict[str, int], counted: dict[str, float], verdict: Verdict) -> None:
    assert split_gate(wanted, counted, 120).verdict is verdict


def test_fair_draws_pass_and_a_shifted_split_does_not() -> None:
    random = np.random.default_rng(7)
    fair = [float(count) for count in random.binomial(2000, 0.2, 500)]
    shifted = [float(count) for count in random.binomial(2000, 0.3, 500)]

    def failures(challenger: list[float]) -> int:
        gates = [split_gate({"a": 80, "b": 20}, {"a": 2000 - one, "b": one}, 60) for one in challenger]
        return sum(gate.verdict is Verdict.FAIL for gate in gates)

    assert failures(fair) == 0 and failures(shifted) > 490


class _Prometheus(BaseHTTPRequestHandler):
    counts: dict[str, float]
    asked: list[str]

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.asked.append(parse_qs(urlsplit(self.path).query)["query"][0])
        result = [{"metric": {"predictor_name": name}, "value": [0, str(count)]} for name, count in self.counts.items()]
        data = json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def prometheus() -> Iterator[tuple[str, Any]]:
    handler = type("Handler", (_Prometheus,), {"counts": {}, "asked": []})
    http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_address[1]}", handler
    http.shutdown()
    http.server_close()


def test_prometheus_is_asked_for_the_executors_own_counts(prometheus: tuple[str, Any]) -> None:
    url, handler = prometheus
    handler.counts = {"y-v1": 80.0, "y-v2": 20.5}
    assert PrometheusTraffic(url, "ml", "belisha").requests(90) == {"y-v1": 80.0, "y-v2": 20.5}
    assert 'deployment_name="belisha"' in handler.asked[0] and "[90s]" in handler.asked[0]


def test_a_prometheus_that_is_away_is_no_data_of_zero() -> None:
    with pytest.raises(ClusterError, match="gave no answer"):
        PrometheusTraffic("http://127.0.0.1:9", "ml", "belisha").requests(90)


@pytest.mark.parametrize(
    ("counts", "verdict", "said"),
    [
        ({"y-v1": 800.0, "y-v2": 200.0}, Verdict.PASS, "v1 80 % and v2 20 %"),
        ({"y-v1": 500.0, "y-v2": 500.0}, Verdict.FAIL, "answered 50.0% of 1000 requests"),
        ({}, Verdict.INCONCLUSIVE, "probably not receiving traffic"),
    ],
)
def test_the_controller_judges_what_was_answered(
    tmp_path: Path, prometheus: tuple[str, Any], counts: dict[str, float], verdict: Verdict, said: str
) -> None:
    url, handler = prometheus
    handler.counts = counts
    server = KubeServer()
    try:
        SeldonWorld(server)
        storage = str(tmp_path / "storage")
        decide(storage, "v1", "v2", 0.2)
        made = applier(server, storage, traffic_window_seconds=0)
        made.traffic = PrometheusTraffic(url, "ml", "belisha")
        status = made.apply().status
        assert status.verdict is verdict and said in status.sentence
    finally:
        server.close()


def test_quiet_nights_do_not_fill_the_ledger(tmp_path: Path, prometheus: tuple[str, Any]) -> None:
    url, handler = prometheus
    server = KubeServer()
    try:
        SeldonWorld(server)
        storage = str(tmp_path / "storage")
        decide(storage, "v1")
        made = applier(server, storage, traffic_window_seconds=0)
        made.traffic = PrometheusTraffic(url, "ml", "belisha")
        for counts in ({}, {"y-v1": 900.0}, {}, {"y-v1": 800.0}, {"y-v2": 500.0, "y-v1": 500.0}, {}, {"y-v1": 700.0}):
            handler.counts = counts
            made.apply()
        verdicts = [one.draft.details["verdict"] for one in open_registry(storage).ledger.records()[1:]]
        assert verdicts == ["INCONCLUSIVE", "PASS", "FAIL", "PASS"]
    finally:
        server.close()
