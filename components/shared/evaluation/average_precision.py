"""Average precision exactly as COCO computes it: 101 recall points, at most 100 detections a picture."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from belisha.components.shared.evaluation.matching import IGNORED, TRUE_POSITIVE, Candidates, match
from belisha.components.shared.evaluation.sets import BoolArray, FloatArray

# COCO's own expressions, so that ties between a recall and a recall point fall the same way.
IOU_THRESHOLDS = tuple(float(value) for value in np.linspace(0.5, 0.95, 10))
RECALL_POINTS: FloatArray = np.linspace(0.0, 1.0, 101)
MAX_DETECTIONS = 100


def coco_outcomes(candidates: Candidates, ignore: BoolArray) -> npt.NDArray[np.int8]:
    """Outcomes at COCO's ten overlaps, `(10, k)` by falling score, of the `k` detections within COCO's 100 a picture."""
    kept = candidates.rank < MAX_DETECTIONS
    outcome = match(candidates, ignore, IOU_THRESHOLDS, kept).outcome
    by_score = candidates.by_score
    return np.asarray(outcome[:, by_score[kept[by_score]]])


def average_precision(outcomes: npt.NDArray[np.int8], pedestrians: int) -> FloatArray:
    """AP of each row.

    Args:
        outcomes: `(t, k)` by falling score.
        pedestrians: counted boxes, > 0.

    Returns:
        `(t,)` in 0..1.
    """
    if outcomes.shape[1] == 0:
        return np.zeros(len(outcomes))
    found = np.cumsum(outcomes == TRUE_POSITIVE, axis=1, dtype=np.int32)
    counted = np.cumsum(outcomes != IGNORED, axis=1, dtype=np.int32)
    precision = found / np.maximum(counted, 1)  # nothing counted: 0 / 1
    envelope = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    recall = found / pedestrians
    return np.array([_mean_precision(*row) for row in zip(recall, envelope, strict=True)])


def _mean_precision(recall: FloatArray, envelope: FloatArray) -> float:
    at = np.searchsorted(recall, RECALL_POINTS, side="left")
    return float(np.append(envelope, 0.0)[at].mean())
