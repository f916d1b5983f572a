"""How good a detector is, and whether one is better than another: AP, MR⁻², curves, calibration and paired resampling."""

from belisha.components.shared.evaluation.bootstrap import (
    METRICS,
    Interval,
    PairedBootstrap,
    PairedMetric,
    one_sided_bounds,
    paired_bootstrap,
)
from belisha.components.shared.evaluation.calibration import Calibration, ReliabilityBin, expected_calibration_error
from belisha.components.shared.evaluation.curves import (
    Outcomes,
    PrecisionRecall,
    PrecisionRecallCurve,
    best_f1_threshold,
    match_outcomes,
    precision_recall_at,
    precision_recall_curve,
)
from belisha.components.shared.evaluation.matching import FALSE_POSITIVE, IGNORED, TRUE_POSITIVE
from belisha.components.shared.evaluation.miss_rate import MIN_IMAGES, SUBSETS, HeightScale, MissRateCurve, Subset
from belisha.components.shared.evaluation.sets import (
    DetectionSet,
    EvaluationSet,
    detection_set,
    detections_of_height,
    detections_on,
    evaluation_set,
    only_boxes,
    only_images,
)
from belisha.components.shared.evaluation.summary import Summary, evaluate, miss_rate_curve

__all__ = [
    "FALSE_POSITIVE",
    "IGNORED",
    "METRICS",
    "MIN_IMAGES",
    "SUBSETS",
    "TRUE_POSITIVE",
    "Calibration",
    "DetectionSet",
    "EvaluationSet",
    "HeightScale",
    "Interval",
    "MissRateCurve",
    "Outcomes",
    "PairedBootstrap",
    "PairedMetric",
    "PrecisionRecall",
    "PrecisionRecallCurve",
    "ReliabilityBin",
    "Subset",
    "Summary",
    "best_f1_threshold",
    "detection_set",
    "detections_of_height",
    "detections_on",
    "evaluate",
    "evaluation_set",
    "expected_calibration_error",
    "match_outcomes",
    "miss_rate_curve",
    "one_sided_bounds",
    "only_boxes",
    "only_images",
    "paired_bootstrap",
    "precision_recall_at",
    "precision_recall_curve",
]
