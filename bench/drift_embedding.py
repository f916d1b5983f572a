"""What the embedding costs an inference: the exported model with its second output and without, in turns."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from belisha.components.shared.runtimes import ONNX_RUNTIME, open_runtime
from bench.table import BenchRow

SIZE_PX = 640
ROUNDS = 40


def run() -> list[BenchRow]:
    """Median of the ratios of neighbouring inferences."""
    import onnx.utils

    from tests.exported_model import write_exported_model

    with tempfile.TemporaryDirectory(prefix="belisha-bench-") as name:
        folder = Path(name)
        cv2.imwrite(str(folder / "golden.png"), np.full((96, 96, 3), 90, np.uint8))
        write_exported_model(folder / "model", None, [folder / "golden.png"], size_px=SIZE_PX)
        whole = folder / "model" / "model.onnx"
        onnx.utils.extract_model(str(whole), str(folder / "without.onnx"), ["images"], ["output0"])
        runtimes = [open_runtime(ONNX_RUNTIME, path) for path in (whole, folder / "without.onnx")]
    tensor = np.random.default_rng(0).random((1, 3, SIZE_PX, SIZE_PX), dtype=np.float32)
    seconds = [[_seconds(runtime, tensor) for runtime in runtimes] for _ in range(ROUNDS + 1)][1:]
    ratio = statistics.median(with_it / without for with_it, without in seconds)
    milliseconds = [1000 * statistics.median(column) for column in zip(*seconds, strict=True)]
    detail = f"{milliseconds[0]:.1f} and {milliseconds[1]:.1f} ms CPU time, YOLOv8n, {SIZE_PX} px, {ONNX_RUNTIME}"
    return [BenchRow("drift: inference with embedding / without", ratio, 1.05, at_least=False, detail=detail)]


def _seconds(runtime: object, tensor: np.ndarray) -> float:
    begin = time.process_time()
    runtime.run(tensor)  # type: ignore[attr-defined]
    return time.process_time() - begin
