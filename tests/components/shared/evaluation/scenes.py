"""Seeded scenes and deliberately plain re-implementations to hold the fast code against."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from belisha.components.shared.evaluation import DetectionSet, EvaluationSet


def truth_of(
    boxes: list[tuple[int, tuple[float, float, float, float]]],
    images: int,
    *,
    ignore: list[bool] | None = None,
    visible: list[float] | None = None,
    groups: list[int] | None = None,
    image_height_px: float = 1024.0,
) -> EvaluationSet:
    """`boxes` as (picture, [x, y, width, height])."""
    return EvaluationSet(
        image_ids=tuple(f"picture-{index:03d}" for index in range(images)),
        group_index=np.array(range(images) if groups is None else groups, dtype=np.intp),
        image_height_px=np.full(images, image_height_px),
        box_image=np.array([image for image, _ in boxes], dtype=np.intp),
        boxes_xywh_px=np.array([box for _, box in boxes], dtype=np.float64).reshape(-1, 4),
        ignore=np.array(ignore if ignore is not None else [False] * len(boxes), dtype=np.bool_),
        visible_ratio=np.array(visible if visible is not None else [1.0] * len(boxes), dtype=np.float64),
    )


def found(rows: list[tuple[int, tuple[float, float, float, float], float]]) -> DetectionSet:
    """`rows` as (picture, [x, y, width, height], score)."""
    return DetectionSet(
        image=np.array([image for image, _, _ in rows], dtype=np.intp),
        boxes_xywh_px=np.array([box for _, box, _ in rows], dtype=np.float64).reshape(-1, 4),
        scores=np.array([score for _, _, score in rows], dtype=np.float64),
    )


def random_scene(
    seed: int, images: int, boxes: int, *, distinct_scores: bool = False, groups: int | None = None
) -> tuple[EvaluationSet, DetectionSet]:
    """Crowded scenes on a coarse grid, so that equal overlaps, equal scores and contested boxes abound."""
    rng = np.random.default_rng(seed)
    box_image = rng.integers(0, images, boxes)
    geometry = np.stack(
        [rng.integers(0, 30, boxes) * 5, rng.integers(0, 6, boxes) * 10, *_sizes(rng, boxes)], axis=1
    ).astype(float)
    truth = EvaluationSet(
        image_ids=tuple(f"picture-{index:03d}" for index in range(images)),
        group_index=np.arange(images) % (groups or images),
        image_height_px=np.full(images, 1024.0),
        box_image=box_image,
        boxes_xywh_px=geometry,
        ignore=rng.random(boxes) < 0.2,
        visible_ratio=rng.integers(2, 11, boxes) / 10,
    )
    source = rng.integers(0, boxes, 2 * boxes) if boxes else np.zeros(0, np.intp)
    shaken = geometry[source] + rng.integers(-1, 2, (len(source), 4)) * 5
    shaken[:, 2:] = np.maximum(shaken[:, 2:], 5)
    stray = rng.random(len(source)) < 0.2
    image = np.where(stray, rng.integers(0, images, len(source)), box_image[source])
    scores = (
        rng.permutation(len(source)) / max(1, len(source)) if distinct_scores else rng.integers(0, 8, len(source)) / 8
    )
    return truth, DetectionSet(image, shaken, scores.astype(np.float64))


scenes = st.builds(random_scene, st.integers(0, 2**32 - 1), images=st.integers(1, 6), boxes=st.integers(0, 25))


def plain_log_average_miss_rate(
    truth: EvaluationSet, detections: DetectionSet, heights: tuple[float, float], visible: tuple[float, float]
) -> float:
    """MR⁻² by loops, as the rules read."""
    counted = ~truth.ignore & (truth.boxes_xywh_px[:, 3] >= heights[0]) & (truth.boxes_xywh_px[:, 3] <= heights[1])
    counted &= (truth.visible_ratio >= visible[0]) & (truth.visible_ratio <= visible[1])
    pooled: list[tuple[float, bool]] = []
    for image in range(truth.n_images):
        pooled += _match_picture(truth, detections, counted, image, heights)
    pooled.sort(key=lambda row: -row[0])
    wrong = right = 0
    curve = [(0.0, 1.0)]
    for _, hit in pooled:
        right, wrong = right + hit, wrong + (not hit)
        curve.append((wrong / truth.n_images, 1 - right / np.count_nonzero(counted)))
    logs = []
    for fppi in (0.01, 0.0178, 0.0316, 0.0562, 0.1, 0.1778, 0.3162, 0.5623, 1.0):
        missed = [miss for at, miss in curve if at <= fppi][-1]
        logs.append(math.log(max(missed, 1e-10)))
    return math.exp(sum(logs) / len(logs))


def _match_picture(
    truth: EvaluationSet, detections: DetectionSet, counted: np.ndarray, image: int, heights: tuple[float, float]
) -> list[tuple[float, bool]]:
    rows = [
        row
        for row in np.flatnonzero(detections.image == image)
        if heights[0] / 1.25 <= detections.boxes_xywh_px[row, 3] < heights[1] * 1.25
    ]
    rows.sort(key=lambda row: -detections.scores[row])
    free = [index for index in np.flatnonzero(truth.box_image == image) if counted[index]]
    regions = [index for index in np.flatnonzero(truth.box_image == image) if not counted[index]]
    results = []
    for row in rows:
        box = detections.boxes_xywh_px[row]
        best = max(free, key=lambda index: (_overlap(box, truth.boxes_xywh_px[index]), index), default=None)
        if best is not None and _overlap(box, truth.boxes_xywh_px[best]) >= 0.5:
            free.remove(best)
            results.append((float(detections.scores[row]), True))
        elif not any(_overlap(box, truth.boxes_xywh_px[index], over_first=True) >= 0.5 for index in regions):
            results.append((float(detections.scores[row]), False))
    return results


def _overlap(a: np.ndarray, b: np.ndarray, *, over_first: bool = False) -> float:
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    union = a[2] * a[3] if over_first else a[2] * a[3] + b[2] * b[3] - width * height
    return float(width * height / union)


def _sizes(rng: np.random.Generator, boxes: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.integers(2, 8, boxes) * 5, rng.integers(3, 16, boxes) * 5
