"""The split as a pipeline step: artifacts of the orchestrator to `split_dataset` and back."""

from __future__ import annotations

from pathlib import Path

from belisha.components.shared.errors import ContractError
from belisha.components.shared.kfp_artifacts import Artifact, MetricsArtifact, log_numbers, publish_report
from belisha.components.shared.manifest import read_info
from belisha.components.shared.progress import default_sink
from belisha.components.shared.splits import Part
from belisha.components.shared.storage import join_uri
from belisha.components.split.options import parse_options
from belisha.components.split.split import REPORT_FILE, SplitSummary, split_dataset


def frozen_uri_of(storage_uri: str, salt: str) -> str:
    """Where a storage URI keeps the assignments of one salt."""
    return join_uri(storage_uri, "splits", salt)


def run_step(
    dataset: Artifact,
    dataset_digest: str,
    storage_uri: str,
    ratios: str,
    salt: str,
    split: Artifact,
    report: Artifact,
    metrics: MetricsArtifact,
) -> str:
    """Split and fill the step's artifacts; returns the split's digest.

    Raises:
        ContractError: the dataset is not the one that was announced.
        BelishaError: as `split_dataset`.
    """
    options = parse_options(ratios, salt)
    dataset_dir, split_dir = Path(dataset.path), Path(split.path)
    found = read_info(dataset_dir).digest
    if dataset_digest and dataset_digest != found:
        raise ContractError(
            f"{dataset_dir} has digest {found} but {dataset_digest} was announced: acquire the data again"
        )
    summary = split_dataset(dataset_dir, split_dir, options, frozen_uri_of(storage_uri, salt), default_sink())
    log_numbers(metrics, _numbers_of(summary))
    publish_report(split_dir / REPORT_FILE, report)
    return summary.digest


def _numbers_of(summary: SplitSummary) -> dict[str, float]:
    """Flat numbers for the pipeline's metrics."""
    parts = [part.value for part in Part]
    numbers = {f"{part}_pictures": float(summary.pictures[part]) for part in parts}
    return numbers | {f"{part}_pedestrians": float(summary.pedestrians[part]) for part in parts}
