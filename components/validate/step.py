"""Validation as a pipeline step: folders from artifacts, headline figures and the confusion matrix to artifacts."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from belisha.components.shared.evaluation_artifact import REPORT_FILE
from belisha.components.shared.files import write_json
from belisha.components.shared.progress import default_sink
from belisha.components.validate.evaluation import Evaluation
from belisha.components.validate.validate import validate

CLASSES = ["pedestrian", "background"]


def run_step(
    dataset: Any,
    split: Any,
    model: Any,
    baseline: Any,
    storage_uri: str,
    run_id: str,
    evaluation: Any,
    report: Any,
    metrics: Any,
    confusion: Any,
) -> None:
    """Validate and fill the output artifacts; the arguments have KFP's `path`, `log_metric`, `log_confusion_matrix`."""
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
    Path(report.path).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(out_dir / REPORT_FILE, report.path)
    headline = result.headline()
    for name, value in headline.items():
        metrics.log_metric(name, value)
    write_json(Path(metrics.path), headline)
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
