"""What the KFP step does around `train`: folders in, folders and figures out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from belisha.components.shared.kfp_artifacts import log_numbers, publish_report
from belisha.components.shared.progress import default_sink
from belisha.components.train.settings import DEFAULT_ARCHITECTURE, TrainSettings
from belisha.components.train.train import REPORT_FILE, train


def run_step(
    dataset: Any, split: Any, storage_uri: str, model: Any, report: Any, metrics: Any, **settings: Any
) -> None:
    """Train with KFP's artifacts; an empty architecture means the default one."""
    settings["architecture"] = settings["architecture"] or DEFAULT_ARCHITECTURE
    model_dir = Path(model.path)
    summary = train(
        Path(dataset.path), Path(split.path), model_dir, TrainSettings(**settings), storage_uri, default_sink()
    )
    publish_report(model_dir / REPORT_FILE, report)
    model.metadata.update(
        model_digest=summary.model_digest,
        weights_digest=summary.weights_digest,
        weights_uri=summary.weights_uri,
        weights_origin=summary.weights_origin,
    )
    log_numbers(metrics, summary.metrics)
