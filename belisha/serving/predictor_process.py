"""One predictor: a process group of its own under a guard, on free loopback ports."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from belisha.components.shared.errors import BelishaError
from belisha.serving import guard

LAUNCHER = "belisha.components.serve.launcher"
_HOST = "127.0.0.1"
_POLL_SECONDS = 0.1
_LAST_LINES_BYTES = 4000


class PredictorError(BelishaError):
    """A predictor did not start."""


@dataclass(frozen=True, slots=True)
class PredictorSettings:
    """How predictors are started.

    Attributes:
        python: interpreter of the predictors' environment.
        storage_uri: where the request log goes.
        run_dir: for logs and the files of the metrics.
        workers: processes that answer, per predictor.
        ready_seconds: from start to ready.
        grace_seconds: from being told to stop to being killed.
        environment: more variables for the predictors, as name and value.
        runtime: inference runtime; empty lets the predictor choose.
    """

    python: Path
    storage_uri: str
    run_dir: Path
    workers: int = 1
    ready_seconds: float = 120.0
    grace_seconds: float = 10.0
    environment: tuple[tuple[str, str], ...] = ()
    runtime: str = ""


@dataclass(slots=True, eq=False)
class Predictor:
    """A started predictor.

    Attributes:
        version: model version it serves.
        url: `http://127.0.0.1:port`.
        metrics_url: where Prometheus finds its metrics.
        process: its guard, which leads its process group.
        log: what it prints.
    """

    version: str
    url: str
    metrics_url: str
    process: subprocess.Popen[bytes]
    log: Path
    stopping: bool = field(default=False)

    @property
    def pid(self) -> int:
        """Of the guard, and of the process group."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether its guard runs."""
        return self.process.poll() is None

    async def wait_until_ready(self, seconds: float) -> None:
        """Wait until it says that it is ready; raises PredictorError when it ends before or takes too long."""
        deadline = asyncio.get_running_loop().time() + seconds
        while not await asyncio.to_thread(_is_ready, self.url):
            if not self.alive:
                raise PredictorError(f"the predictor of {self.version} ended before it was ready: {self.last_words()}")
            if asyncio.get_running_loop().time() > deadline:
                raise PredictorError(
                    f"the predictor of {self.version} was not ready within {seconds:g} s: look at {self.log}"
                )
            await asyncio.sleep(_POLL_SECONDS)

    def last_words(self) -> str:
        """The last line of its log, and where the rest is."""
        with contextlib.suppress(OSError), self.log.open("rb") as stream:
            stream.seek(max(0, self.log.stat().st_size - _LAST_LINES_BYTES))
            lines = stream.read().decode(errors="replace").strip().splitlines()
            if lines:
                return f"{lines[-1].strip()[:300]} (more in {self.log})"
        return f"it said nothing; look at {self.log}"

    async def stop(self) -> None:
        """Have it finish what it has begun and end; killed when it takes longer than its grace."""
        self.stopping = True
        if self.process.stdin is not None:
            self.process.stdin.close()
        await asyncio.to_thread(self.process.wait)
        self.kill()

    def kill(self) -> None:
        """End whatever is left of its process group at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()


def start_predictor(version: str, role: str, model_dir: Path, settings: PredictorSettings) -> Predictor:
    """Start a predictor and return at once; see `Predictor.wait_until_ready`."""
    http_port, metrics_port, own_metrics_port = free_ports(3)
    name = f"{version}-{http_port}"
    scratch = settings.run_dir / name
    (scratch / "metrics").mkdir(parents=True)
    command = [str(settings.python), "-m", LAUNCHER, "--http-port", str(http_port), "--metrics-port", str(metrics_port)]
    environment = {
        **_inherited(),
        **_seldon_variables(version, role, model_dir, settings),
        "BELISHA_METRICS_PORT": str(own_metrics_port),
        "BELISHA_METRICS_FOLDER": str(scratch / "metrics"),
        **dict(settings.environment),
    }
    log = scratch / "predictor.log"
    with log.open("wb") as stream:
        process = guarded(command, environment, stream.fileno(), settings.grace_seconds)
    url = f"http://{_HOST}:{http_port}"
    return Predictor(version, url, f"http://{_HOST}:{own_metrics_port}/metrics", process, log)


def guarded(
    command: Sequence[str], environment: dict[str, str], output: int, grace_seconds: float
) -> subprocess.Popen[bytes]:
    """Start a command below a guard that ends it with us; closing the guard's standard input stops it."""
    return subprocess.Popen(
        [sys.executable, "-I", guard.__file__, str(grace_seconds), *command],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        env=environment,
        start_new_session=True,
    )


def free_ports(count: int) -> list[int]:
    """Ports of the loopback address that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind((_HOST, 0))
        return [one.getsockname()[1] for one in sockets]


def _inherited() -> dict[str, str]:
    """Our environment without what belongs to this Python alone."""
    return {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    }


def _seldon_variables(version: str, role: str, model_dir: Path, settings: PredictorSettings) -> dict[str, str]:
    """What Seldon's operator would give the container."""
    given = {"model_dir": str(model_dir), "model_version": version, "role": role, "runtime": settings.runtime}
    parameters = [{"name": name, "value": value, "type": "STRING"} for name, value in given.items() if value]
    return {
        "BELISHA_LISTEN_HOST": _HOST,
        "BELISHA_STORAGE_URI": settings.storage_uri,
        "PREDICTIVE_UNIT_ID": "pedestrian-detector",
        "PREDICTIVE_UNIT_PARAMETERS": json.dumps(parameters),
        "PREDICTOR_ID": version,
        "PREDICTOR_LABELS": json.dumps({"version": version}),
        "SELDON_DEPLOYMENT_ID": "belisha",
        "SELDON_LOG_LEVEL": "WARNING",
        "PAYLOAD_PASSTHROUGH": "true",
        "INCLUDE_METRICS_IN_CLIENT_RESPONSE": "false",
        "GRPC_WORKERS": "0",
        "GUNICORN_WORKERS": str(settings.workers),
        "GUNICORN_KEEPALIVE": "75",
    }


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health/status", timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False
