"""The loop's gauges: names, labels, and a push to a real HTTP server."""

from __future__ import annotations

import enum
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from belisha.components.shared.errors import StorageError
from belisha.components.shared.loop_metrics import LOOP_GAUGES, Job, LoopMetrics


class Verdict(enum.StrEnum):
    NO_DRIFT = "no_drift"
    DRIFT = "drift"


def test_every_gauge_has_a_unit_or_is_a_count_and_a_meaning() -> None:
    names = [gauge.name for gauge in LOOP_GAUGES]

    assert len(set(names)) == len(names)
    assert all(gauge.meaning.endswith(".") for gauge in LOOP_GAUGES)


def test_sets_one_of_an_enumeration() -> None:
    metrics = LoopMetrics(Job.DRIFT)
    metrics.set_one_of("drift_verdict", Verdict.DRIFT)

    text = metrics.exposition().decode()
    assert 'belisha_drift_verdict{verdict="drift"} 1.0' in text
    assert 'belisha_drift_verdict{verdict="no_drift"} 0.0' in text


def test_refuses_a_gauge_of_another_job() -> None:
    with pytest.raises(KeyError):
        LoopMetrics(Job.REVIEW).set("drift_alert", 1.0)


def test_pushes_its_group_whole() -> None:
    seen: list[tuple[str, str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen.append((self.command, self.path, body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.handle_request, daemon=True).start()
    metrics = LoopMetrics(Job.RETRAIN, "street")
    metrics.set("retrain_running", 1.0)
    metrics.push_if_configured(
        {"BELISHA_PUSHGATEWAY": f"http://127.0.0.1:{server.server_port}", "BELISHA_NAMESPACE": "crossings"}
    )
    server.server_close()

    assert seen[0][:2] == ("PUT", "/metrics/job/belisha-retrain/deployment_name/street/namespace/crossings")
    assert b"belisha_retrain_running 1.0" in seen[0][2]


def test_an_absent_pushgateway_is_named() -> None:
    with pytest.raises(StorageError, match=r"the Pushgateway .* did not take"):
        LoopMetrics(Job.DRIFT).push("http://127.0.0.1:9")


def test_without_a_pushgateway_nothing_happens() -> None:
    LoopMetrics(Job.DRIFT).push_if_configured({})


def test_a_failed_job_replaces_only_what_it_tells() -> None:
    seen: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append((self.command, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.handle_request, daemon=True).start()
    metrics = LoopMetrics(Job.DRIFT, "street")
    metrics.set_one_of("drift_verdict", Verdict.DRIFT)
    metrics.push(f"http://127.0.0.1:{server.server_port}", replace=False)
    server.server_close()

    assert seen[0][0] == "POST"
    assert b"belisha_drift_verdict" in seen[0][1]
    assert b"last_success" not in seen[0][1]
