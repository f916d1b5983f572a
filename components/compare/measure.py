"""From checked inputs to the evidence: both models on the same pictures, resampled together."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from belisha.components.compare.evidence import (
    ChampionEvidence,
    Difference,
    Evidence,
    SliceDifference,
)
from belisha.components.compare.inputs import Candidate, TestPart
from belisha.components.compare.latency import measure_in_turn
from belisha.components.compare.settings import GateSettings
from belisha.components.compare.slices import SlicePart, slice_parts
from belisha.components.shared.detections import Detections
from belisha.components.shared.detector import OnnxDetector
from belisha.components.shared.errors import NoDataError
from belisha.components.shared.evaluation import (
    DetectionSet,
    EvaluationSet,
    PairedBootstrap,
    detection_set,
    evaluate,
    paired_bootstrap,
)
from belisha.components.shared.inference import detect_all, read_image
from belisha.components.shared.model_artifact import ONNX_FILE
from belisha.components.shared.picture_store import PictureReader
from belisha.components.shared.progress import ProgressSink
from belisha.components.shared.registry import ModelVersion

_LATENCY_PICTURES = 20


@dataclass(frozen=True, slots=True)
class Rival:
    """The champion as measured here: its version, its folder and what it found, by picture and flat."""

    version: ModelVersion
    folder: Path
    by_image: Mapping[str, Detections]
    detections: DetectionSet
    score_threshold: float


def run_champion(version: ModelVersion, folder: Path, test: TestPart, progress: ProgressSink) -> Rival:
    """Run the champion's ONNX over the test part; raises DigestError, NotFoundError, InputError with the picture's name."""
    detector = OnnxDetector(folder)
    by_image = detect_all(detector, test.pictures, progress, step="champion")
    detections = detection_set(test.truth, by_image)
    return Rival(version, folder, by_image, detections, detector.info.thresholds.score)


def measure(
    model_dir: Path,
    model_digest: str,
    test: TestPart,
    candidate: Candidate,
    baselines: Mapping[str, DetectionSet],
    rival: Rival | None,
    settings: GateSettings,
    progress: ProgressSink,
) -> Evidence:
    """Compute everything that the gates judge; raises NoDataError when nothing in the test part counts."""
    summary = evaluate(test.truth, candidate.detections)
    metrics = {"ap50": summary.ap50, "ap50_95": summary.ap50_95}
    metrics |= {f"mr2_{name}": value for name, value in summary.mr2.items() if value is not None}
    images = _latency_pictures(test)
    detectors = OnnxDetector(model_dir), None if rival is None else OnnxDetector(rival.folder)
    return Evidence(
        model_digest=model_digest,
        model_bytes=(model_dir / ONNX_FILE).stat().st_size,
        metrics=metrics,
        images=test.truth.n_images,
        pedestrians=test.truth.pedestrians,
        groups=_groups(test.truth),
        looks=test.looks,
        baselines={name: _margin(test.truth, candidate, found, settings) for name, found in baselines.items()},
        champion=None if rival is None else _against(test, candidate, rival, settings),
        latencies=measure_in_turn(*detectors, images, progress),
    )


def _against(test: TestPart, candidate: Candidate, rival: Rival, settings: GateSettings) -> ChampionEvidence:
    # With a single group nothing can be resampled by group; the gate says so, and needs the estimates all the same.
    truth = test.truth if _groups(test.truth) > 1 else _ungrouped(test.truth)
    whole = _bootstrap(truth, candidate.detections, rival.detections, settings)
    parts = slice_parts(test.pictures, truth, candidate.detections, rival.detections)
    return ChampionEvidence(
        version=rival.version.version,
        model_digest=rival.version.model_digest,
        model_bytes=(rival.folder / ONNX_FILE).stat().st_size,
        ap50_95=_difference(whole, "ap50_95"),
        ap50=_difference(whole, "ap50"),
        mr2_reasonable=_difference(whole, "mr2_reasonable") if "mr2_reasonable" in whole.metrics else None,
        slices=tuple(_slice(part, settings) for part in parts),
    )


def _slice(part: SlicePart, settings: GateSettings) -> SliceDifference:
    difference = None
    if part.truth.pedestrians >= settings.min_slice_boxes:
        try:
            both = (part.candidate, part.champion)
            difference = _difference(_bootstrap(part.truth, *both, settings, ["ap50"]), "ap50")
        except NoDataError:  # all of the slice lies in one group: there is nothing to resample
            difference = None
    return SliceDifference(part.kind, part.name, part.truth.pedestrians, difference)


def _margin(truth: EvaluationSet, candidate: Candidate, baseline: DetectionSet, settings: GateSettings) -> Difference:
    """AP50 over a baseline; with few groups pictures are resampled, which is fair enough for so large a difference."""
    grouped = truth if _groups(truth) >= settings.min_test_groups else _ungrouped(truth)
    return _difference(_bootstrap(grouped, candidate.detections, baseline, settings, ["ap50"]), "ap50")


def _bootstrap(
    truth: EvaluationSet,
    candidate: DetectionSet,
    rival: DetectionSet,
    settings: GateSettings,
    metrics: Sequence[str] = ("ap50", "ap50_95", "mr2_reasonable"),
) -> PairedBootstrap:
    return paired_bootstrap(
        truth,
        candidate,
        rival,
        resamples=settings.bootstrap_resamples,
        seed=settings.bootstrap_seed,
        metrics=metrics,
    )


def _difference(bootstrap: PairedBootstrap, metric: str) -> Difference:
    paired = bootstrap.metrics[metric]
    return Difference(paired.candidate, paired.champion, paired.resampled_differences, bootstrap.groups)


def _groups(truth: EvaluationSet) -> int:
    return len(np.unique(truth.group_index))


def _ungrouped(truth: EvaluationSet) -> EvaluationSet:
    return dataclasses.replace(truth, group_index=np.arange(truth.n_images, dtype=np.intp))


def _latency_pictures(test: TestPart) -> list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    reader = PictureReader()
    return [read_image(picture, reader) for picture in test.pictures[:_LATENCY_PICTURES]]
