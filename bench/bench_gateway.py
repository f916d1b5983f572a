"""The gateway against the same detector without it: throughput, and what a request waits longer.

With the size that training takes by default, and with a small one that answers four times as fast, where every hop shows: a
gateway, a predictor and clients share the cores that the bare detector has for itself.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from belisha.components.acquire.synthetic import StreetSettings, draw_street
from belisha.components.acquire.synthetic.folder import encode_jpeg
from belisha.components.release.release import release
from belisha.components.shared.detector import OnnxDetector
from belisha.components.shared.evaluation_artifact import EVALUATION_SCHEMA
from belisha.components.shared.files import write_json
from belisha.components.shared.golden import GoldenPicture, write_golden
from belisha.components.shared.model_artifact import ModelInfo, Thresholds, write_model_info
from belisha.components.shared.preprocessing import PreprocessingSpec
from belisha.components.shared.verdict import DECISION_SCHEMA
from belisha.serving.load import PREDICTIONS_PATH
from bench.http_load import Connection, closed_loop, post
from bench.processes import bare_loop, piped
from bench.table import BenchRow

_PICTURES, _CLIENTS, _RUNTIME = 12, 2, "onnxruntime"
# Side of the model's input, and requests of a round of throughput.
_DEFAULT, _SMALL = (640, 100), (320, 300)
_LEAST_LEFT = 0.80
# Requests that are sent one by one to see what each waits.
_ROUNDS, _SINGLE = 5, 300


def run() -> list[BenchRow]:
    """Measure in alternating rounds, so that a busy machine touches all sides alike."""
    with tempfile.TemporaryDirectory(prefix="belisha-bench-") as folder:
        root = Path(folder)
        pictures = _pictures(root / "pictures")
        requests = [post(0, PREDICTIONS_PATH, picture.read_bytes(), "image/jpeg") for picture in pictures]
        model = _released(root / "default", _DEFAULT[0])
        with _served(root / "default") as ports:
            rows = [_throughput(model, pictures, ports, requests, *_DEFAULT), *_added(_waits(ports, requests))]
        model = _released(root / "small", _SMALL[0])
        with _served(root / "small") as ports:
            return [*rows, _throughput(model, pictures, ports, requests, *_SMALL)]


def _waits(ports: Mapping[str, int], requests: list[bytes]) -> dict[str, list[float]]:
    """Seconds of requests sent one by one, by turns to the gateway and to the predictor behind it."""
    waits: dict[str, list[float]] = {name: [] for name in ports}
    with contextlib.ExitStack() as stack:
        connections = {name: stack.enter_context(Connection(port)) for name, port in ports.items()}
        for number in range(_SINGLE):
            for name, connection in connections.items():
                waits[name].append(connection.ask(requests[number % len(requests)]))
    return waits


def _throughput(
    model: Path,
    pictures: list[Path],
    ports: Mapping[str, int],
    requests: list[bytes],
    size_px: int,
    count: int,
) -> BenchRow:
    through = closed_loop(ports["gateway"], requests, _CLIENTS)
    with bare_loop(model, pictures, _RUNTIME, _CLIENTS) as bare:
        through(count)
        seconds = [(bare(count), through(count)) for _ in range(_ROUNDS)]
    bare_rate, rate = (count / statistics.median(column) for column in zip(*seconds, strict=True))
    return BenchRow(
        f"gateway: throughput over the bare detector, {size_px} px",
        statistics.median(alone / with_it for alone, with_it in seconds),
        _LEAST_LEFT,
        at_least=True,
        detail=f"{rate:.1f} and {bare_rate:.1f} pictures/s, yolo11n, {_CLIENTS} clients or threads",
    )


def _added(waits: dict[str, list[float]]) -> list[BenchRow]:
    through, straight = (np.array(waits[name]) * 1000 for name in ("gateway", "predictor"))
    rows = []
    for share, bound in ((50, 2.5), (99, 10.0)):
        with_it, without = np.percentile(through, share), np.percentile(straight, share)
        rows.append(
            BenchRow(
                f"gateway: added ms at p{share}", float(with_it - without), bound, at_least=False,
                detail=f"{with_it:.1f} ms against {without:.1f} ms without it, {len(through)} requests each",
            )
        )  # fmt: skip
    return rows


@contextlib.contextmanager
def _served(root: Path) -> Iterator[dict[str, int]]:
    """Ports of a gateway and of the predictor behind it."""
    command = [sys.executable, "-m", "bench.serving_process", str(root / "storage"), str(root / "cache"), _RUNTIME]
    with piped(command) as (_, stdout):
        urls = json.loads(stdout.readline())
        yield {name: int(url.rpartition(":")[2]) for name, url in urls.items()}


def _pictures(folder: Path) -> list[Path]:
    folder.mkdir()
    settings = StreetSettings(pictures=_PICTURES, width_px=1280, height_px=720)
    paths = [folder / f"{number:02d}.jpg" for number in range(_PICTURES)]
    for number, path in enumerate(paths):
        path.write_bytes(encode_jpeg(draw_street(settings, number).image_rgb, 90))
    return paths


def _released(root: Path, size_px: int) -> Path:
    """A model of the demonstration's architecture, released; its weights are random, for only its cost counts."""
    from belisha.components.train.export import export_onnx
    from belisha.components.train.settings import TrainSettings
    from belisha.components.train.weights import build_model

    folder = root / "model"
    folder.mkdir(parents=True)
    settings = TrainSettings(image_size_px=size_px)
    export_onnx(build_model(settings, "").float().eval(), size_px, folder)
    spec = PreprocessingSpec(height_px=size_px, width_px=size_px)
    info = ModelInfo(spec, Thresholds(), "d" * 64, "5" * 64, "scratch", {})
    write_model_info(folder, info)
    image = draw_street(StreetSettings(), 0).image_rgb
    write_golden(folder, [GoldenPicture(image, OnnxDetector(folder).detect(image))], info.thresholds.score)
    digest = write_model_info(folder, info).digest
    decision = {"verdict": "PASS", "sentence": "for measuring", "model_digest": digest, "champion": None, "metrics": {}}
    write_json(root / "decision/decision.json", {"schema": DECISION_SCHEMA, **decision})
    write_json(root / "evaluation/metrics.json", {"schema": EVALUATION_SCHEMA, "model_digest": digest})
    release(folder, root / "evaluation", root / "decision", str(root / "storage"), "bench")
    return folder
