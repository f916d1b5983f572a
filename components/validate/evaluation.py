"""The result of a validation, and `metrics.json` made of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from belisha import __version__
from belisha.components.shared.evaluation import Summary
from belisha.components.shared.evaluation_artifact import EVALUATION_SCHEMA
from belisha.components.validate.calibration import ScoreCalibration
from belisha.components.validate.counts import Counts
from belisha.components.validate.latency import Latency
from belisha.components.validate.margins import Margin
from belisha.components.validate.overfitting import Gap
from belisha.components.validate.slices import Slice


@dataclass(frozen=True, slots=True)
class PartNumbers:
    """One part's figures.

    Attributes:
        part: `train` (a sample), `val` or `test`.
        images: pictures looked at.
        pedestrians: boxes that count.
        summary: AP and MR⁻²; None when no box counts.
        at_threshold: counts at the serving threshold.
    """

    part: str
    images: int
    pedestrians: int
    summary: Summary | None
    at_threshold: Counts

    @property
    def ap50(self) -> float | None:
        """AP50; None when no box counts."""
        return None if self.summary is None else self.summary.ap50

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "images": self.images,
            "pedestrians": self.pedestrians,
            "summary": None if self.summary is None else self.summary.to_json(),
            "at_serving_threshold": self.at_threshold.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that is known of a model after validation.

    Attributes:
        run_id: who looked at the test part.
        model_digest: of `model.json` and the files it names.
        dataset_digest: of the labels.
        split_digest: of the assignment.
        model_size_bytes: of `model.onnx`.
        score_threshold: the serving threshold, 0..1.
        parts: by name: `train`, `val`, `test`; val and train are left out when they have no picture.
        slices: of the test part.
        gap: the overfitting check.
        calibration: on the test part.
        latency: at 1 and 2 threads.
        margins: over each baseline; empty without baselines.
        test_looks: runs that have looked at this test part, this one included.
        warnings: sentences that a reader must not miss.
        best_val_threshold: counts on val at the score where F1 is best there; None where val cannot tell.
    """

    run_id: str
    model_digest: str
    dataset_digest: str
    split_digest: str
    model_size_bytes: int
    score_threshold: float
    parts: dict[str, PartNumbers]
    slices: tuple[Slice, ...]
    gap: Gap
    calibration: ScoreCalibration
    latency: tuple[Latency, ...]
    margins: tuple[Margin, ...]
    test_looks: int
    warnings: tuple[str, ...]
    best_val_threshold: Counts | None = None

    @property
    def test(self) -> PartNumbers:
        """The sealed part's figures."""
        return self.parts["test"]

    @property
    def sentence(self) -> str:
        """The result in one sentence."""
        counts, summary = self.test.at_threshold, self.test.summary
        if summary is None:
            return f"No labelled pedestrian counts in the {self.test.images} test pictures, so nothing can be said."
        share = f"{counts.true_positives} of {self.test.pedestrians}"
        return (
            f"At the serving threshold {self.score_threshold:.2f} it finds {share} pedestrians in {self.test.images} "
            f"test pictures with {counts.false_positives} false alarms: AP50 {summary.ap50:.3f}, "
            f"AP50-95 {summary.ap50_95:.3f}, {mr2_text(summary, 'reasonable')}."
        )

    @property
    def threshold_sentence(self) -> str:
        """How the serving threshold compares with the best one on val."""
        best, val = self.best_val_threshold, self.parts.get("val")
        if best is None or val is None:
            return "No better threshold is known: val has no pedestrian or the model found nothing there."
        return (
            f"On val F1 is best at score {best.score_threshold:.2f} ({best.f1 or 0:.3f}); at the serving threshold "
            f"{self.score_threshold:.2f} it is {val.at_threshold.f1 or 0:.3f}."
        )

    def headline(self) -> dict[str, float]:
        """The figures that compare runs, by stable names; what is unknown is left out, never NaN."""
        found: dict[str, float | None] = {}
        for name, part in self.parts.items():
            found[f"{name}_ap50"] = part.ap50
        counts, summary = self.test.at_threshold, self.test.summary
        found |= {"test_precision": counts.precision, "test_recall": counts.recall, "test_f1": counts.f1}
        if summary is not None:
            found["test_ap50_95"] = summary.ap50_95
            found |= {f"test_mr2_{name}": value for name, value in summary.mr2.items()}
        found |= {"gap_ap50": self.gap.difference, "test_ece": self.calibration.ece}
        for row in self.latency:
            found[f"latency_p95_seconds_{row.threads}_threads"] = row.p95_seconds
        found |= {f"margin_{row.baseline}_{row.metric}": row.difference for row in self.margins}
        found |= {"model_size_bytes": self.model_size_bytes, "test_looks": self.test_looks}
        return {name: float(value) for name, value in found.items() if value is not None and math.isfinite(value)}

    def to_json(self) -> dict[str, Any]:
        """What `metrics.json` holds: schema belisha.evaluation/1, every number finite or null."""
        return {
            "schema": EVALUATION_SCHEMA,
            "code_version": __version__,
            "run_id": self.run_id,
            "sentence": self.sentence,
            "model_digest": self.model_digest,
            "model_size_bytes": self.model_size_bytes,
            "dataset_digest": self.dataset_digest,
            "split_digest": self.split_digest,
            "score_threshold": self.score_threshold,
            "headline": self.headline(),
            "parts": {name: part.to_json() for name, part in self.parts.items()},
            "slices": [item.to_json() for item in self.slices],
            "best_val_threshold": None if self.best_val_threshold is None else self.best_val_threshold.to_json(),
            "gap": self.gap.to_json(),
            "calibration": self.calibration.to_json(),
            "latency": [row.to_json() for row in self.latency],
            "margins": [margin.to_json() for margin in self.margins],
            "test_looks": self.test_looks,
            "warnings": list(self.warnings),
        }


def mr2_text(summary: Summary, subset: str) -> str:
    """MR⁻² of a subset with its name, or why there is none."""
    value = summary.mr2[subset]
    if value is not None:
        return f"MR⁻² {subset} {value:.3f}"
    return f"MR⁻² {subset}: {missing_mr2(summary, subset)}"


def missing_mr2(summary: Summary, subset: str) -> str:
    """Why a subset has no MR⁻²."""
    reasons = [note for note in summary.notes if "too few" in note or f" {subset}:" in note]
    return reasons[0].split(": ", 1)[-1] if reasons else "not computed"
