"""A router in Seldon's own wrapper, as a process, and clients for it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[3]
SERVE_PYTHON = ROOT / ".venv-serve" / "bin" / "python"


def wait_until(holds: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.02)


class Wrapper:
    """A router in Seldon's wrapper, a process group of its own on loopback."""

    def __init__(self, folder: Path, parameters: dict[str, Any], *, workers: int = 2, threads: int = 4) -> None:
        self.folder = folder
        self.http, wrappers_metrics, self.metrics = free_ports(3)
        kinds = {str: "STRING", float: "FLOAT"}
        given = [{"name": n, "value": str(v), "type": kinds[type(v)]} for n, v in parameters.items()]
        environment = {
            **os.environ,
            "PREDICTIVE_UNIT_PARAMETERS": json.dumps(given),
            "PREDICTIVE_UNIT_ID": "ab",
            "SELDON_DEPLOYMENT_ID": "crossing",
            "PREDICTOR_ID": "trial",
            "BELISHA_LISTEN_HOST": "127.0.0.1",
            "BELISHA_METRICS_PORT": str(self.metrics),
            "GUNICORN_WORKERS": str(workers),
            "GUNICORN_THREADS": str(threads),
            "TMPDIR": str(folder),
        }
        script = Path(__file__).with_name("wrapper.py")
        name = "belisha.components.route.router.TrafficRouter"
        command = [SERVE_PYTHON, script, name, "ROUTER", str(self.http), str(wrappers_metrics)]
        self.log = folder / "wrapper.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                list(map(str, command)), env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True
            )
        wait_until(lambda: self._answers(self.http, "/health/ping") and self._answers(self.metrics, "/metrics"), 60)

    def _answers(self, port: int, path: str) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return get(port, path)[0] == 200
        except OSError:
            return False

    def end(self) -> None:
        """SIGTERM to the wrapper alone, as a cluster does; whatever is left of its group is then ended."""
        self.process.terminate()
        try:
            self.process.wait(20)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)

    def samples(self, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Samples of a metric by their labels but for those that all share."""
        families = text_string_to_metric_families(get(self.metrics, "/metrics")[1].decode())
        shared = {"deployment_name": "crossing", "predictor_name": "trial"}
        found = {}
        for sample in (sample for family in families for sample in family.samples if sample.name == name):
            assert shared.items() <= sample.labels.items()
            rest = {label: value for label, value in sample.labels.items() if label not in shared}
            found[tuple(sorted(rest.items()))] = sample.value
        return found


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


class Client:
    """One connection that is kept alive."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def post(self, path: str, value: Any, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        body = json.dumps(value)
        self._connection.request("POST", path, body, {"Content-Type": "application/json", **(headers or {})})
        response = self._connection.getresponse()
        return response.status, json.loads(response.read())

    def child(self, headers: dict[str, str] | None = None, **tags: str) -> int:
        status, answer = self.post("/route", {"meta": {"tags": tags}, "jsonData": {"image": ""}}, headers)
        assert status == 200, answer
        return int(answer["data"]["ndarray"][0][0])


def in_threads(count: int, work: Callable[[int], None]) -> None:
    failures: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - it is raised below
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
