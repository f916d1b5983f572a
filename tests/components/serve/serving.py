"""Predictors as real processes on loopback, in the environment that serves."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from belisha.components.shared.detections import Detections

ROOT = Path(__file__).parents[3]
SERVE_PYTHON = ROOT / ".venv-serve" / "bin" / "python"
PREDICT = "/api/v1.0/predictions"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def detections(self) -> Detections:
        boxes = self.json["boxes"]
        sides = [[box[name] for name in ("x", "y", "width", "height")] for box in boxes]
        scores = [box["score"] for box in boxes]
        return Detections(np.array(sides, np.float32).reshape(-1, 4), np.array(scores, np.float32))


@dataclass
class Predictor:
    """A running predictor."""

    process: subprocess.Popen[bytes]
    port: int
    grpc_port: int
    metrics_port: int
    log: Path
    open: list[http.client.HTTPConnection] = field(default_factory=list)

    def connect(self) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        self.open.append(connection)
        return connection

    def post(
        self, body: bytes, path: str = PREDICT, *, method: str = "POST", headers: Mapping[str, str] | None = None
    ) -> Reply:
        """One request on a connection of its own."""
        connection = self.connect()
        try:
            connection.request(method, path, body, {"Content-Type": "image/jpeg", **(headers or {})})
            return read_reply(connection)
        finally:
            connection.close()

    def health(self) -> Reply:
        return self.post(b"", "/health/status", method="GET")

    def counted(self) -> dict[str, float]:
        """Counters of the predictor by `name/value of the last label`, of those with at most one label of their own."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=30) as page:
            lines = re.findall(r"(\w+_total)\{(.*?)\} (\S+)", page.read().decode())
        identity = r'(deployment_name|model_version|predictor_name)="[^"]*",?'
        return {
            f"{name}/{re.sub(identity, '', labels).split('=')[-1].strip(chr(34))}": float(value)
            for name, labels, value in lines
        }

    def family(self) -> list[psutil.Process]:
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def rss_bytes(self) -> int:
        return sum(process.memory_info().rss for process in self.family())

    def wait_ready(self, seconds: float = 60) -> Reply:
        """The first health answer that says more than that the model is loading."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(OSError):
                reply = self.health()
                if reply.status == 200 or "being loaded" not in reply.json["error"]:
                    return reply
            time.sleep(0.1)
        raise AssertionError(f"not ready in {seconds} s: {self.log.read_text()}")


def read_reply(connection: http.client.HTTPConnection) -> Reply:
    response = connection.getresponse()
    return Reply(response.status, dict(response.getheaders()), response.read())


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def predictor(
    model_dir: Path, log: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> Iterator[Predictor]:
    """Start the launcher and end it, with all its children, by SIGTERM."""
    assert SERVE_PYTHON.exists(), "the serving environment is missing: run make setup"
    port, wrapper_port, grpc_port, metrics_port = free_ports(4)
    command = [
        *(str(SERVE_PYTHON), "-m", "belisha.components.serve.launcher", "--model-dir", str(model_dir)),
        *("--http-port", str(port), "--metrics-port", str(wrapper_port), "--grpc-port", str(grpc_port), *arguments),
    ]
    own = {"BELISHA_LISTEN_HOST": "127.0.0.1", "BELISHA_METRICS_PORT": str(metrics_port)}
    settings = {**os.environ, **own, **(environment or {})}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT, env=settings)
    found = Predictor(process, port, grpc_port, metrics_port, log)
    try:
        yield found
    finally:
        end(found)


def end(found: Predictor) -> None:
    for connection in found.open:
        connection.close()
    family = found.family() if found.process.poll() is None else []
    with contextlib.suppress(ProcessLookupError):
        found.process.send_signal(signal.SIGTERM)
    try:
        found.process.wait(40)
    finally:
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
