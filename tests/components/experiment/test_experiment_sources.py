"""The adapters: Prometheus over HTTP, a gateway's own pages, hostile answers; a real Prometheus runs every query, too."""

from __future__ import annotations

import math
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from belisha.components.experiment.gateway_levels import Counted, gateway_attempts, since_last_check
from belisha.components.experiment.guards import ServiceLevels, guard_gates
from belisha.components.experiment.prometheus_levels import PrometheusLevels, UnreachableError
from belisha.components.shared.errors import InputError
from belisha.components.shared.verdict import Verdict
from tests.components.experiment.experimenting import QUICK
from tests.components.experiment.metric_servers import FakeGateway, FakePrometheus, running


def read(served: FakePrometheus, **settings: str) -> ServiceLevels:
    with running(served) as url:
        return PrometheusLevels(url, **settings).read("v1", "v2", 600)


BUCKETS = [({"le": "0.1"}, 950.0), ({"le": "+Inf"}, 1000.0), ({"le": "0.05"}, 500.0)]


def test_two_witnesses_tell_of_failures_and_buckets_of_latency() -> None:
    served = FakePrometheus(
        {
            'outcome=~"error|not_ready"': [({}, 2.2)],
            'outcome=~"ok|error|not_ready"': [({}, 1000.4)],
            'code=~"5.."': [({}, 7.0)],
            "seldon_api_executor": [({}, 1010.0)],
            "_bucket": BUCKETS,
        }
    )
    found = read(served, deployment_name="street", matchers='namespace="ml"')
    assert [(one.attempts, one.failed) for one in found.attempts] == [(1000, 2), (1010, 7)]
    assert found.challenger is not None and found.challenger.count == 1000
    assert found.challenger.p95_seconds() == pytest.approx(0.1)
    assert all('deployment_name="street"' in query and 'namespace="ml"' in query for query in served.queries)
    assert all("[600s]" in query for query in served.queries)


def test_an_empty_answer_is_no_data() -> None:
    found = read(FakePrometheus())
    assert (list(found.attempts), found.challenger, found.champion) == ([], None, None)
    assert "has no series of v2" in found.trouble
    assert {gate.verdict for gate in guard_gates(found, QUICK)} == {Verdict.INCONCLUSIVE}


def test_nan_is_no_number() -> None:
    assert not read(FakePrometheus({"belisha": [({}, math.nan)], "seldon": [({}, math.inf)]})).attempts


@pytest.mark.parametrize(
    "answer",
    [
        (500, b"oops"), (422, b'{"status":"error","error":"parse error"}'), (200, b"<html>"), (200, b"[]"), (200, b"{}"),
        (200, b'{"data":{"result":[{"metric":1,"value":[0,"1"]}]}}'), (200, b'{"data":{"result":[{"metric":{},"value":[]}]}}'),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_no_data_with_its_reason(answer: tuple[int, bytes]) -> None:
    found = read(FakePrometheus({"": answer}))
    assert found.trouble and not found.attempts
    assert all(gate.verdict is Verdict.INCONCLUSIVE for gate in guard_gates(found, QUICK))


def test_a_server_that_is_away_is_no_data() -> None:
    assert "gave no answer" in PrometheusLevels("http://127.0.0.1:9").read("v1", "v2", 60).trouble


@pytest.mark.parametrize("url", ["", "prometheus:9090", "ftp://x", "file:///etc/passwd"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InputError):
        PrometheusLevels(url)
    with pytest.raises(InputError):
        gateway_attempts(url, "v2")


def test_a_gateways_own_count_and_that_of_shadows() -> None:
    with running(FakeGateway(answered=90, failed=10, shadow_ok=40, shadow_errors=2)) as url:
        assert gateway_attempts(url, "v2") == Counted(142, 12)
        assert gateway_attempts(url, "v1") == Counted(900, 400)
        assert gateway_attempts(url, "v9") == Counted()


@pytest.mark.parametrize("body", [b"\xff\xfe", b"{", b'belisha_gateway_requests_total{model_version="v2" 3\n', b"[1]"])
def test_a_page_of_nonsense_is_said(body: bytes) -> None:
    with running(lambda_of(body)) as url, pytest.raises(UnreachableError):
        gateway_attempts(url, "v2")


class lambda_of:  # noqa: N801 - reads like what it is
    url = ""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def __call__(self, path: str) -> tuple[int, bytes]:
        return 200, self.body


def test_since_the_last_check() -> None:
    first = since_last_check(None, Counted(100, 1))
    assert [(one.attempts, one.failed) for one in first] == [(100, 1)]
    later = since_last_check(Counted(100, 1), Counted(130, 5))
    assert [(one.attempts, one.failed) for one in later] == [(30, 4), (130, 5)]
    anew = since_last_check(Counted(100, 1), Counted(20, 0))
    assert [(one.attempts, one.failed) for one in anew] == [(20, 0)]


class Scraped:
    """Pages of a predictor and of Seldon's executor whose counters grow with every scrape; the executor sees more failures."""

    url = ""

    def __init__(self) -> None:
        self.scrapes = 0

    def __call__(self, path: str) -> tuple[int, bytes]:
        self.scrapes += 1
        ok, failed, all_ = 80 * self.scrapes, 2 * self.scrapes, 90 * self.scrapes
        own = 'deployment_name="belisha",predictor_name="v2",model_version="v2"'
        seldon = 'deployment_name="belisha",predictor_name="v2",service="predictions",method="post"'
        lines = [
            f'belisha_model_info{{{own},runtime="onnxruntime"}} 1',
            f'belisha_requests_total{{{own},outcome="ok",shadow="false"}} {ok}',
            f'belisha_requests_total{{{own},outcome="error",shadow="false"}} {failed}',
            f'belisha_requests_total{{{own},outcome="bad_picture",shadow="false"}} {ok}',
            f'belisha_stage_seconds_bucket{{{own},stage="total",le="0.05"}} {ok // 2}',
            f'belisha_stage_seconds_bucket{{{own},stage="total",le="0.1"}} {ok}',
            f'belisha_stage_seconds_bucket{{{own},stage="total",le="+Inf"}} {ok}',
            f'seldon_api_executor_server_requests_seconds_count{{{seldon},code="200"}} {all_ - 9 * self.scrapes}',
            f'seldon_api_executor_server_requests_seconds_count{{{seldon},code="500"}} {9 * self.scrapes}',
            f'seldon_api_executor_server_requests_seconds_count{{{seldon.replace("v2", "v1")},code="500"}} {all_}',
        ]
        return 200, ("\n".join(lines) + "\n").encode()


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[str]:
    """A real Prometheus that scrapes such a page every quarter of a second."""
    binary = shutil.which("prometheus")
    assert binary, "prometheus is missing: apt-get install prometheus"
    with running(Scraped()) as scraped, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        target = scraped.removeprefix("http://")
        config = tmp_path / "prometheus.yml"
        config.write_text(
            "global: {scrape_interval: 250ms, scrape_timeout: 250ms}\n"
            f"scrape_configs: [{{job_name: x, static_configs: [{{targets: ['{target}']}}]}}]\n"
        )
        command = [binary, f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'tsdb'}"]
        log = (tmp_path / "log").open("wb")
        process = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)
            log.close()


def test_a_real_prometheus_understands_every_query(prometheus: str) -> None:
    levels, deadline = PrometheusLevels(prometheus), time.monotonic() + 60
    while True:
        found = levels.read("v1", "v2", 60)
        if len(found.attempts) == 2 and all(one.failed for one in found.attempts) and found.challenger is not None:
            break
        assert time.monotonic() < deadline, found
        time.sleep(0.3)
    own, executors = found.attempts
    assert own.failed / own.attempts == pytest.approx(2 / 82, rel=0.3)
    assert executors.failed / executors.attempts == pytest.approx(0.1, rel=0.3), "v1's failures are not v2's"
    assert found.challenger.p95_seconds() == pytest.approx(0.095, abs=0.003)
    assert found.champion is None, "v1 tells nothing of itself"
    assert found.trouble == ""
    assert guard_gates(found, QUICK)[0].verdict is not Verdict.PASS
