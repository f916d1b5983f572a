"""The gateway against the same detector without it: throughput, and what a request waits longer."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np

from belisha.components.acquire.synthetic import StreetSettings, draw_street
from belisha.components.acquire.synthetic.folder import encode_jpeg
from belisha.components.release.release import release
from belisha.components.route.gateway import GatewaySettings
from belisha.components.shared.detector import OnnxDetector
from belisha.components.shared.evaluation_artifact import EVALUATION_SCHEMA
from belisha.components.shared.files import write_json
from belisha.components.shared.golden import GoldenPicture, write_golden
from belisha.components.shared.model_artifact import ModelInfo, Thresholds, write_model_info
from belisha.components.shared.preprocessing import PreprocessingSpec
from belisha.components.shared.progress import silent
from belisha.components.shared.verdict import DECISION_SCHEMA
from belisha.serving.environment import serve_python
from belisha.serving.load import Load, Reply, client_session
from belisha.serving.serve import ServeOptions, serving
from bench.table import BenchRow

_SIZE_PX, _PICTURES, _REQUESTS, _ROUNDS, _CLIENTS = 320, 12, 40, 3, 2
_DIRECT = """
import json, sys, time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from belisha.components.shared.detector import OnnxDetector
from belisha.components.shared.images import decode_rgb
detector = OnnxDetector(Path(sys.argv[1]))
pictures = [path.read_bytes() for path in sorted(Path(sys.argv[2]).glob("*.jpg"))]
def one(number):
    detector.detect(decode_rgb(pictures[number % len(pictures)]))
with ThreadPoolExecutor(int(sys.argv[4])) as threads:
    list(threads.map(one, range(10)))
    for line in sys.stdin:
        begin = time.perf_counter()
        list(threads.map(one, range(int(sys.argv[3]))))
        print(json.dumps(int(sys.argv[3]) / (time.perf_counter() - begin)), flush=True)
"""


def run() -> list[BenchRow]:
    """Measure in alternating rounds, so that a busy machine touches all sides alike."""
    with tempfile.TemporaryDirectory(prefix="belisha-bench-") as folder:
        root = Path(folder)
        pictures = _pictures(root / "pictures")
        model_dir = _released(root)
        return asyncio.run(_measure(root, model_dir, pictures))


async def _measure(root: Path, model_dir: Path, pictures: list[bytes]) -> list[BenchRow]:
    options = ServeOptions(
        str(root / "storage"), GatewaySettings(port=0), cache_dir=root / "cache", runtime="onnxruntime"
    )
    direct = _direct_process(model_dir, root / "pictures")
    try:
        async with serving(options, silent) as running, client_session() as session:
            predictor = next(iter(running.supervisor.posts)).url
            through, straight = Load(running.url, pictures), Load(predictor, pictures)
            plain: list[float] = []
            ratios: list[float] = []
            waits: dict[str, list[float]] = {"through": [], "straight": []}
            for _ in range(_ROUNDS):
                plain.append(_direct_rate(direct))
                replies: list[Reply] = []
                begin = time.perf_counter()
                await through.closed(session, clients=_CLIENTS, requests=_REQUESTS, take=replies.append)
                ratios.append(_REQUESTS / (time.perf_counter() - begin) / plain[-1])
                assert all(reply.status == 200 for reply in replies)
            # One of each in turn: whatever else the machine does meets both alike.
            for _ in range(_ROUNDS * _REQUESTS):
                for name, load in (("through", through), ("straight", straight)):
                    replies = []
                    await load.closed(session, clients=1, requests=1, take=replies.append)
                    waits[name] += [reply.seconds for reply in replies]
    finally:
        direct.terminate()
        direct.communicate()
    return _rows(plain, ratios, waits)


def _rows(plain: list[float], ratios: list[float], waits: dict[str, list[float]]) -> list[BenchRow]:
    through, straight = (np.array(waits[name]) * 1000 for name in ("through", "straight"))
    rows = [
        BenchRow(
            "gateway: throughput over the bare detector", statistics.median(ratios), 0.80, at_least=True,
            detail=f"{_CLIENTS} clients, yolo11n, {_SIZE_PX} px; bare: {statistics.median(plain):.1f}/s, as many threads",
        )
    ]  # fmt: skip
    for share, bound in ((50, 2.5), (99, 10.0)):
        with_it, without = np.percentile(through, share), np.percentile(straight, share)
        rows.append(
            BenchRow(
                f"gateway: added ms at p{share}", float(with_it - without), bound, at_least=False,
                detail=f"{with_it:.1f} ms against {without:.1f} ms without it, {len(through)} requests each",
            )
        )  # fmt: skip
    return rows


def _direct_process(model_dir: Path, pictures: Path) -> subprocess.Popen[str]:
    """The yardstick: the same decoding and detection, in the predictors' environment, without any server."""
    command = [str(serve_python()), "-c", _DIRECT, str(model_dir), str(pictures), str(_REQUESTS), str(_CLIENTS)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _direct_rate(process: subprocess.Popen[str]) -> float:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return float(json.loads(process.stdout.readline()))


def _pictures(folder: Path) -> list[bytes]:
    folder.mkdir()
    settings = StreetSettings(pictures=_PICTURES, width_px=1280, height_px=720)
    found = [encode_jpeg(draw_street(settings, number).image_rgb, 90) for number in range(_PICTURES)]
    for number, data in enumerate(found):
        (folder / f"{number:02d}.jpg").write_bytes(data)
    return found


def _released(root: Path) -> Path:
    """A model of the demonstration's architecture, released; its weights are random, for only its cost counts."""
    from belisha.components.train.export import export_onnx
    from belisha.components.train.settings import TrainSettings
    from belisha.components.train.weights import build_model

    folder = root / "model"
    folder.mkdir()
    settings = TrainSettings(image_size_px=_SIZE_PX)
    export_onnx(build_model(settings, "").float().eval(), _SIZE_PX, folder)
    spec = PreprocessingSpec(height_px=_SIZE_PX, width_px=_SIZE_PX)
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
