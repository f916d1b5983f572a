"""Evaluation against hotcoco, and the time of paired resampling.

The yardstick does what a user of hotcoco does: make its data sets from arrays, evaluate, accumulate, summarise. Ours starts
from the same arrays and adds MR⁻² of four subsets.
"""

from __future__ import annotations

import contextlib
import io
import statistics
import time
from collections.abc import Callable

import numpy as np

from belisha.components.shared.evaluation import DetectionSet, EvaluationSet, evaluate, paired_bootstrap
from bench.table import BenchRow

IMAGES, BOXES, MISSED, FALSE_ALARMS = 5_000, 30_000, 0.1, 13_000
COMPARED_IMAGES, COMPARED_BOXES, GROUPS = 500, 3_000, 100
REPETITIONS = 7


def run() -> list[BenchRow]:
    """Both rows of the table."""
    return [_against_hotcoco(), _resampling()]


def _against_hotcoco() -> BenchRow:
    truth = _truth(IMAGES, BOXES, seed=0)
    detections = _detections(truth, FALSE_ALARMS, seed=1)
    ours, theirs = [], []
    for _ in range(REPETITIONS):  # by turns, so that both meet the same load
        theirs.append(_seconds(lambda: _hotcoco_precisions(truth, detections)))
        ours.append(_seconds(lambda: evaluate(truth, detections)))
    summary = evaluate(truth, detections)
    ap50_95, ap50 = _hotcoco_precisions(truth, detections)
    if abs(summary.ap50 - ap50) > 1e-6 or abs(summary.ap50_95 - ap50_95) > 1e-6:
        raise AssertionError(f"AP differs from hotcoco's: {summary.ap50} and {ap50}, {summary.ap50_95} and {ap50_95}")
    our_seconds, their_seconds = statistics.median(ours), statistics.median(theirs)
    return BenchRow(
        name="evaluate with MR⁻² / hotcoco",
        value=our_seconds / their_seconds,
        bound=1.5,
        at_least=False,
        detail=f"{IMAGES} pictures, {BOXES} boxes, {len(detections)} detections: {our_seconds:.3f} s, {their_seconds:.3f} s",
    )


def _resampling() -> BenchRow:
    truth = _truth(COMPARED_IMAGES, COMPARED_BOXES, seed=2)
    candidate, champion = (_detections(truth, 1_300, seed=seed) for seed in (3, 4))
    seconds = statistics.median(
        _seconds(lambda: paired_bootstrap(truth, candidate, champion, resamples=2000)) for _ in range(REPETITIONS)
    )
    return BenchRow(
        name="2000 paired resamples, seconds",
        value=seconds,
        bound=1.0,
        at_least=False,
        detail=f"AP50, AP50-95 and MR⁻² of two models, {COMPARED_IMAGES} pictures, {COMPARED_BOXES} boxes, {GROUPS} groups",
    )


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _hotcoco_precisions(truth: EvaluationSet, detections: DetectionSet) -> tuple[float, float]:
    """AP50-95 and AP50."""
    import hotcoco

    labels = hotcoco.COCO.from_arrays(
        [{"id": index + 1, "width": 2048, "height": 1024} for index in range(truth.n_images)],
        [{"id": 1, "name": "pedestrian"}],
        truth.box_image + 1,
        np.ones(len(truth.box_image), np.int64),
        truth.boxes_xywh_px,
        iscrowd=truth.ignore,
    )
    rows = np.column_stack(
        [detections.image + 1, detections.boxes_xywh_px, detections.scores, np.ones(len(detections))]
    )
    evaluation = hotcoco.COCOeval(labels, labels.load_res(rows), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation.summarize()
    return float(evaluation.stats[0]), float(evaluation.stats[1])


def _truth(images: int, boxes: int, seed: int) -> EvaluationSet:
    """Streets of 2048 x 1024 with boxes of pedestrian shape; one box in eight is a region to ignore."""
    rng = np.random.default_rng(seed)
    height = np.exp(rng.uniform(np.log(25), np.log(400), boxes))
    width = height * rng.normal(0.41, 0.03, boxes)
    geometry = np.stack([rng.uniform(0, 2048 - width), rng.uniform(0, 1024 - height), width, height], axis=1)
    return EvaluationSet(
        image_ids=tuple(f"{index:05d}" for index in range(images)),
        group_index=np.arange(images) * GROUPS // images,
        image_height_px=np.full(images, 1024.0),
        box_image=np.sort(rng.integers(0, images, boxes)),
        boxes_xywh_px=geometry,
        ignore=rng.random(boxes) < 0.125,
        visible_ratio=rng.uniform(0.2, 1, boxes),
    )


def _detections(truth: EvaluationSet, false_alarms: int, seed: int) -> DetectionSet:
    """Most boxes, shaken, and false alarms with lower scores."""
    rng = np.random.default_rng(seed)
    hits = np.flatnonzero(rng.random(len(truth.box_image)) > MISSED)
    size = truth.boxes_xywh_px[hits][:, [2, 3, 2, 3]]
    found = truth.boxes_xywh_px[hits] + rng.normal(0, 0.06, (len(hits), 4)) * size
    height = np.exp(rng.uniform(np.log(25), np.log(400), false_alarms))
    alarms = np.stack(
        [rng.uniform(0, 1800, false_alarms), rng.uniform(0, 600, false_alarms), 0.41 * height, height], axis=1
    )
    return DetectionSet(
        image=np.concatenate([truth.box_image[hits], rng.integers(0, truth.n_images, false_alarms)]),
        boxes_xywh_px=np.concatenate([found, alarms]),
        scores=np.concatenate([rng.beta(4, 2, len(hits)), rng.beta(2, 4, false_alarms)]),
    )
