"""Ingestion as a pipeline step: parameters and artifacts of the orchestrator to `acquire` and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from belisha.components.acquire.acquire import CARD_FILE, acquire
from belisha.components.acquire.options import AcquireOptions
from belisha.components.shared.kfp_artifacts import Artifact, MetricsArtifact, log_numbers, publish_report
from belisha.components.shared.progress import default_sink
from belisha.components.shared.storage import join_uri


def run_step(
    data_sources: Sequence[str],
    data_format: str,
    data_images_dir: str,
    data_class_map: Mapping[str, str],
    storage_uri: str,
    dataset: Artifact,
    card: Artifact,
    metrics: MetricsArtifact,
) -> str:
    """Ingest and fill the step's artifacts; returns the dataset's digest. Raises as `acquire`."""
    options = AcquireOptions(format=data_format, images=data_images_dir, class_map=data_class_map)
    dataset_dir = Path(dataset.path)
    summary = acquire(data_sources, dataset_dir, join_uri(storage_uri, "pictures"), options, default_sink())
    counts = {key: value for key, value in summary.to_json().items() if key != "digest"}
    dataset.metadata.update({**counts, "digest": summary.digest})
    log_numbers(metrics, counts)
    publish_report(dataset_dir / CARD_FILE, card)
    return summary.digest
