"""One predictor over HTTP against the same detector in a bare loop, the naive way to use Seldon's wrapper, and MLServer.

All run the same YOLOv8n at 320 pixels, a size at which an inference is short and overhead shows; predictor and loop also at
640, which is what training takes by default. All get the same JPEG over one client connection and have one inference a core,
by turns, so that what else the machine does hits all alike.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np

from belisha.components.shared.errors import BelishaError
from belisha.components.shared.inference import usable_cpus
from belisha.components.shared.model_artifact import read_model_info
from bench.http_load import Round, closed_loop, post
from bench.processes import bare_loop
from bench.table import BenchRow

ROOT = Path(__file__).parents[1]
SERVE_BIN = ROOT / ".venv-serve" / "bin"
BUILD = ROOT / "build" / "bench"
# What `seldon-core-microservice` does when nobody says otherwise.
_WRAPPER_DEFAULTS = {
    "PAYLOAD_PASSTHROUGH": "false",
    "INCLUDE_METRICS_IN_CLIENT_RESPONSE": "true",
    "GUNICORN_THREADS": "1",
    "GUNICORN_KEEPALIVE": "2",
    "GRPC_WORKERS": "1",
}
RUNTIME = "onnxruntime"
DEFAULT_PX, SMALL_PX = 640, 320
WIDTH_PX, HEIGHT_PX = 1280, 720
ROUNDS, PICTURES = 7, 96
WORKERS = usable_cpus()


def run() -> list[BenchRow]:
    """The predictor's rows of the table."""
    with tempfile.TemporaryDirectory(prefix="belisha-bench-") as name:
        scratch = Path(name)
        picture = _picture(scratch)
        return _at_default_size(scratch / "default", picture) + _at_small_size(scratch / "small", picture)


def _at_default_size(scratch: Path, picture: Path) -> list[BenchRow]:
    scratch.mkdir()
    with (
        bare_loop(model := _model(DEFAULT_PX), [picture], RUNTIME, WORKERS) as loop,
        _predictor(model, picture, scratch) as predictor,
    ):
        return _rows(_measured({"loop": loop, "predictor": predictor}), DEFAULT_PX)


def _at_small_size(scratch: Path, picture: Path) -> list[BenchRow]:
    scratch.mkdir()
    model = _model(SMALL_PX)
    with contextlib.ExitStack() as stack:
        ways: dict[str, Round] = {
            "loop": stack.enter_context(bare_loop(model, [picture], RUNTIME, WORKERS)),
            "predictor": stack.enter_context(_predictor(model, picture, scratch)),
            "naive": stack.enter_context(_naive(model, picture, scratch)),
        }
        try:
            ways["MLServer"] = stack.enter_context(_mlserver(model, picture, scratch))
        except _NotHereError as reason:
            print(f"no row for MLServer: {reason}", file=sys.stderr)
        return _rows(_measured(ways), SMALL_PX)


class _NotHereError(Exception):
    """A competitor cannot be measured on this machine."""


def _measured(ways: Mapping[str, Round]) -> dict[str, list[float]]:
    for way in ways.values():
        way(2 * WORKERS)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            seconds[name].append(way(PICTURES))
    return seconds


def _rows(seconds: Mapping[str, list[float]], size_px: int) -> list[BenchRow]:
    # MLServer has a process a core and only detects; the predictor is one process that also keeps log, metrics and statistics.
    bounds = {"loop": 0.85, "naive": 1.0, "MLServer": 0.9}
    labels = {
        "loop": "the detector in a loop",
        "naive": "the naive way (Base64, default settings)",
        "MLServer": "MLServer",
    }
    return [
        BenchRow(
            f"pictures/s at {size_px} px: predictor over HTTP / {labels[name]}",
            statistics.median(other / own for other, own in zip(seconds[name], seconds["predictor"], strict=True)),
            bound,
            at_least=True,
            detail=f"{_rate(seconds['predictor'])} and {_rate(seconds[name])} pictures/s, {WORKERS} at once, {RUNTIME}",
        )
        for name, bound in bounds.items()
        if name in seconds
    ]


def _rate(seconds: list[float]) -> str:
    return f"{PICTURES / statistics.median(seconds):.1f}"


def _picture(scratch: Path) -> Path:
    """A JPEG of about 150 kB, as a street camera sends."""
    rng = np.random.default_rng(0)
    rough = rng.integers(0, 255, (HEIGHT_PX // 16, WIDTH_PX // 16, 3), dtype=np.uint8)
    image = cv2.resize(rough, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    image = (image + rng.integers(-12, 12, image.shape)).clip(0, 255).astype(np.uint8)
    path = scratch / "street.jpg"
    cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 70])
    return path


def _model(size_px: int) -> Path:
    """An exported YOLOv8n with random weights, made once; its answers are worthless and cost what real ones cost."""
    folder = BUILD / f"yolov8n-{size_px}"
    try:
        read_model_info(folder)
    except BelishaError:
        from tests.exported_model import write_exported_model

        shutil.rmtree(folder, ignore_errors=True)
        golden = Path(tempfile.mkdtemp(prefix="belisha-bench-")) / "golden.png"
        cv2.imwrite(str(golden), np.full((96, 96, 3), 90, np.uint8))
        write_exported_model(folder, None, [golden], size_px=size_px)
        shutil.rmtree(golden.parent)
    return folder


@contextlib.contextmanager
def _predictor(model: Path, picture: Path, scratch: Path) -> Iterator[Round]:
    """As `belisha serve` starts it, request log and metrics included."""
    port, wrapper_port, metrics_port = _free_ports(3)
    command = [
        *(SERVE_BIN / "python", "-m", "belisha.components.serve.launcher", "--model-dir", model, "--runtime", RUNTIME),
        *("--http-port", str(port), "--metrics-port", str(wrapper_port), "--storage-uri", scratch / "storage"),
    ]
    environment = {"BELISHA_LISTEN_HOST": "127.0.0.1", "BELISHA_METRICS_PORT": str(metrics_port)}
    with _server(command, environment, scratch / "predictor.log", f"http://127.0.0.1:{port}/health/status"):
        yield _client(port, "/api/v1.0/predictions", picture.read_bytes(), "image/jpeg")


@contextlib.contextmanager
def _naive(model: Path, picture: Path, scratch: Path) -> Iterator[Round]:
    """The same class with the wrapper's default settings, and pictures as most examples send them."""
    port, wrapper_port, metrics_port, grpc_port = _free_ports(4)
    command = [
        *(SERVE_BIN / "python", "-m", "belisha.components.serve.launcher", "--model-dir", model, "--runtime", RUNTIME),
        *("--http-port", str(port), "--metrics-port", str(wrapper_port), "--grpc-port", str(grpc_port)),
    ]
    environment = {"BELISHA_LISTEN_HOST": "127.0.0.1", "BELISHA_METRICS_PORT": str(metrics_port), **_WRAPPER_DEFAULTS}
    body = json.dumps({"binData": base64.b64encode(picture.read_bytes()).decode()}).encode()
    with _server(command, environment, scratch / "naive.log", f"http://127.0.0.1:{port}/health/status"):
        yield _client(port, "/api/v1.0/predictions", body, "application/json")


@contextlib.contextmanager
def _mlserver(model: Path, picture: Path, scratch: Path) -> Iterator[Round]:
    """MLServer with its default settings and its V2 protocol, running our detector."""
    from bench.mlserver_environment import prepare

    python, reason = prepare(BUILD / "mlserver")
    if python is None:
        raise _NotHereError(reason)
    port, grpc_port, metrics_port = _free_ports(3)
    folder = scratch / "mlserver"
    folder.mkdir()
    shutil.copy(Path(__file__).with_name("mlserver_runtime.py"), folder)
    ports = {"host": "127.0.0.1", "http_port": port, "grpc_port": grpc_port, "metrics_port": metrics_port}
    (folder / "settings.json").write_text(json.dumps({**ports, "parallel_workers": WORKERS}))
    parameters = {"uri": str(model), "extra": {"runtime": RUNTIME}}
    settings = {"name": "detector", "implementation": "mlserver_runtime.Detector", "parameters": parameters}
    (folder / "model-settings.json").write_text(json.dumps(settings))
    tensor = {"name": "picture", "shape": [1], "datatype": "BYTES", "parameters": {"content_type": "base64"}}
    tensor["data"] = [base64.b64encode(picture.read_bytes()).decode()]
    body = json.dumps({"inputs": [tensor]}).encode()
    address = f"http://127.0.0.1:{port}/v2/models/detector/ready"
    with _server(
        [python.with_name("mlserver"), "start", folder], {"PYTHONPATH": str(folder)}, scratch / "mlserver.log", address
    ):
        yield _client(port, "/v2/models/detector/infer", body, "application/json")


@contextlib.contextmanager
def _server(command: list[str | Path], environment: Mapping[str, str], log: Path, health: str) -> Iterator[None]:
    """A server in a process group of its own, once it is ready; ended with the group."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            list(map(str, command)),
            env={**os.environ, **environment},
            stdout=output,
            stderr=output,
            start_new_session=True,
            cwd=log.parent,
        )
    try:
        _wait(health, process, log)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _wait(address: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(address, timeout=5) as reply:
            if reply.status == 200:
                return
        time.sleep(0.2)
    raise _NotHereError(f"no server at {address}: {log.read_text()[-500:]}")


def _client(port: int, path: str, body: bytes, kind: str) -> Round:
    return closed_loop(port, [post(port, path, body, kind)], WORKERS)


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
