"""The baselines as a pipeline step: artifacts of the orchestrator to `evaluate_baselines` and back."""

from __future__ import annotations

from pathlib import Path

from belisha.components.baseline.baseline import REPORT_FILE, BaselineSummary, evaluate_baselines
from belisha.components.shared.errors import ContractError
from belisha.components.shared.kfp_artifacts import Artifact, MetricsArtifact, log_numbers, publish_report
from belisha.components.shared.progress import default_sink
from belisha.components.shared.splits import read_split


def run_step(
    dataset: Artifact,
    split: Artifact,
    split_digest: str,
    storage_uri: str,
    run_id: str,
    baseline: Artifact,
    report: Artifact,
    metrics: MetricsArtifact,
) -> None:
    """Measure the baselines and fill the step's artifacts.

    Raises:
        ContractError: the split is not the one that was announced.
        BelishaError: as `evaluate_baselines`.
    """
    split_dir, out_dir = Path(split.path), Path(baseline.path)
    found = read_split(split_dir).digest
    if split_digest and split_digest != found:
        raise ContractError(f"{split_dir} has digest {found} but {split_digest} was announced: split the data again")
    summary = evaluate_baselines(Path(dataset.path), split_dir, out_dir, storage_uri, run_id, default_sink())
    log_numbers(metrics, _numbers_of(summary))
    publish_report(out_dir / REPORT_FILE, report)


def _numbers_of(summary: BaselineSummary) -> dict[str, float]:
    """Flat numbers for the pipeline's metrics; a miss rate that cannot be told is left out."""
    numbers: dict[str, float] = {}
    for name, measured in summary.summaries.items():
        numbers |= {f"{name}_ap50": measured.ap50, f"{name}_ap50_95": measured.ap50_95}
        numbers |= {f"{name}_mr2_{subset}": value for subset, value in measured.mr2.items() if value is not None}
    return numbers
