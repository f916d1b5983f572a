"""Validation as a pipeline step: folders from artifacts, headline figures and the confusion matrix to artifacts."""

from __future__ import annotations

from pathlib import Path

from belisha.components.shared.evaluation_artifact import REPORT_FILE
from belisha.components.shared.files import write_json
from belisha.components.shared.kfp_artifacts import (
    Artifact,
    ConfusionArtifact,
    MetricsArtifact,
    log_numbers,
    publish_report,
)
from belisha.components.shared.progress import default_sink
from belisha.components.validate.evaluation import Evaluation
from belisha.components.validate.validate import validate

CLASSES = ["pedestrian", "background"]


def run_step(
    dataset: Artifact,
    split: Artifact,
    model: Artifact,
    baseline: Artifact,
    storage_uri: str,
    run_id: str,
    evaluation: Artifact,
    report: Artifact,
    metrics: MetricsArtifact,
    confusion: ConfusionArtifact,
) -> None:
    """Validate and fill the step's artifacts. Raises as `validate`."""
    out_dir = Path(evaluation.path)
    result = validate(
        Path(dataset.path),
        Path(split.path),
        Path(model.path),
        Path(baseline.path),
        out_dir,
        storage_uri,
        run_id,
        default_sink(),
    )
    publish_report(out_dir / REPORT_FILE, report)
    log_numbers(metrics, result.headline())
    matrix = confusion_matrix(result)
    confusion.log_confusion_matrix(CLASSES, matrix)
    write_json(Path(confusion.path), {"classes": CLASSES, "matrix": matrix})
    evaluation.metadata["sentence"] = result.sentence
    evaluation.metadata["model_digest"] = result.model_digest


def confusion_matrix(result: Evaluation) -> list[list[int]]:
    """Rows are what is labelled, columns what was found: pedestrian, background.

    Background that was rightly left alone has no count for a detector, so its cell is 0.
    """
    counts = result.test.at_threshold
    return [[counts.true_positives, counts.false_negatives], [counts.false_positives, 0]]
