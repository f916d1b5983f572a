"""Which runtime serves a model: ONNX Runtime, as in validation, unless another gives the same boxes clearly faster here."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from belisha.components.shared.detector import OnnxDetector
from belisha.components.shared.errors import BelishaError, ContractError, InputError
from belisha.components.shared.golden import GoldenCheck, GoldenMismatchError, check_golden, read_golden
from belisha.components.shared.runtimes import ONNX_RUNTIME, OPENVINO, gpu_providers

AUTO = "auto"
RUNTIMES = (ONNX_RUNTIME, OPENVINO, AUTO)
# Served boxes equal validated ones to a thousandth of a pixel: another runtime must keep that promise, and be worth it.
PARITY_PX = 0.001
WORTH_RATIO = 0.9
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class RuntimeChoice:
    """A detector that is ready to serve, and why it is this one.

    Attributes:
        detector: warm, and proven on the golden pictures.
        check: that proof.
        seconds: median time of a round of concurrent inferences, by runtime; empty when there was nothing to choose.
        refused: why a runtime was out of the question, by runtime.
    """

    detector: OnnxDetector
    check: GoldenCheck
    seconds: dict[str, float]
    refused: dict[str, str]

    @property
    def sentence(self) -> str:
        """The choice with its numbers."""
        times = ", ".join(f"{name} {seconds * 1000:.1f} ms" for name, seconds in self.seconds.items())
        refused = "".join(f"; {name} is out: {reason}" for name, reason in self.refused.items())
        return f"runtime {self.detector.runtime.name}{f' ({times})' if times else ''}{refused}; {self.check.sentence}"


def choose_runtime(folder: Path, wanted: str, *, threads: int, concurrency: int) -> RuntimeChoice:
    """Load a model artifact on the runtime that shall serve it.

    Args:
        folder: of the model artifact.
        wanted: `onnxruntime`, `openvino`, or `auto`: OpenVINO where it keeps parity and is clearly faster.
        threads: CPU threads for one inference.
        concurrency: inferences at once; what is measured, too.

    Raises:
        ContractError, DigestError: the artifact is not whole, or no runtime gives the stored boxes.
        InputError: there is no such runtime.
    """
    if wanted not in RUNTIMES:
        raise InputError(f"runtime {wanted!r} is not known: choose one of {', '.join(RUNTIMES)}")
    names = (ONNX_RUNTIME, OPENVINO) if wanted == AUTO else (wanted,)
    proven: dict[str, tuple[OnnxDetector, GoldenCheck]] = {}
    refused: dict[str, str] = {}
    kind: type[ContractError] = ContractError
    for name in names:
        try:
            proven[name] = _proven(folder, name, threads, concurrency)
            if len(names) > 1 and name != ONNX_RUNTIME:
                _refuse_without_parity(proven[name][1])
        except BelishaError as error:
            if len(names) == 1:
                raise
            refused[name] = str(error)
            kind = GoldenMismatchError if isinstance(error, GoldenMismatchError) else kind
            proven.pop(name, None)
    if not proven:
        raise kind("no runtime serves this model: " + "; ".join(refused.values()))
    return _best(folder, proven, refused, concurrency)


def _proven(folder: Path, name: str, threads: int, concurrency: int) -> tuple[OnnxDetector, GoldenCheck]:
    """A detector that gave the stored boxes; raises GoldenMismatchError with the numbers when it did not."""
    detector = OnnxDetector(folder, threads=threads, runtime=name, concurrency=concurrency, providers=gpu_providers())
    check = check_golden(folder, detector)
    if not check.passed:
        raise GoldenMismatchError(
            f"the model is not served on {name}: {check.sentence}; release it again or use another runtime"
        )
    return detector, check


def _refuse_without_parity(check: GoldenCheck) -> None:
    if check.max_difference_px > PARITY_PX:
        raise ContractError(f"its boxes differ by {check.max_difference_px:.4f} px, more than {PARITY_PX:g} px")


def _best(
    folder: Path,
    proven: dict[str, tuple[OnnxDetector, GoldenCheck]],
    refused: dict[str, str],
    concurrency: int,
) -> RuntimeChoice:
    image_rgb = read_golden(folder)[1][0].image_rgb
    jobs = {name: functools.partial(detector.detect, image_rgb) for name, (detector, _) in proven.items()}
    seconds = _measured(jobs, concurrency)
    detector, check = proven[preferred(seconds)]
    return RuntimeChoice(detector, check, seconds if len(seconds) > 1 else {}, refused)


def preferred(seconds: Mapping[str, float]) -> str:
    """The first runtime, unless a later one takes less than nine tenths of its time."""
    first = next(iter(seconds))
    best = min(seconds, key=lambda name: seconds[name])
    return best if seconds[best] < WORTH_RATIO * seconds[first] else first


def _measured(jobs: Mapping[str, Callable[[], object]], concurrency: int) -> dict[str, float]:
    """Median seconds of a round of `concurrency` calls at once, by turns so that all meet the same load; warms up, too."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    with ThreadPoolExecutor(concurrency) as pool:
        for number in range(_ROUNDS + 1 if len(jobs) > 1 else 1):
            for name, job in jobs.items():
                begin = time.perf_counter()
                for future in [pool.submit(job) for _ in range(concurrency)]:
                    future.result()
                if number or len(jobs) == 1:
                    times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(values) for name, values in times.items()}
