"""Comparison as a pipeline step: folders from artifacts, headline figures and the report to artifacts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from belisha.components.compare.compare import compare
from belisha.components.compare.settings import GateSettings
from belisha.components.shared.evaluation_artifact import REPORT_FILE
from belisha.components.shared.kfp_artifacts import Artifact, MetricsArtifact, log_numbers, publish_report
from belisha.components.shared.progress import default_sink


def run_step(
    inputs: Mapping[str, Artifact],
    storage_uri: str,
    run_id: str,
    gates: Mapping[str, float],
    decision: Artifact,
    report: Artifact,
    metrics: MetricsArtifact,
) -> str:
    """Compare and fill the output artifacts; returns the verdict.

    Args:
        inputs: artifacts `dataset`, `split`, `model`, `evaluation` and `baseline` of these names.
        storage_uri: of pictures, registry and ledger.
        run_id: of the run.
        gates: fields of `GateSettings`.
        decision: decision folder to write.
        report: page to write.
        metrics: headline figures to write.
    """
    out_dir = Path(decision.path)
    result = compare(
        Path(inputs["dataset"].path),
        Path(inputs["split"].path),
        Path(inputs["model"].path),
        Path(inputs["evaluation"].path),
        Path(inputs["baseline"].path),
        out_dir,
        storage_uri,
        run_id,
        GateSettings(**_whole_numbers(gates)),
        default_sink(),
    )
    publish_report(out_dir / REPORT_FILE, report)
    log_numbers(metrics, result.headline())
    decision.metadata["verdict"] = result.verdict.value
    decision.metadata["sentence"] = result.sentence
    return result.verdict.value


def _whole_numbers(gates: Mapping[str, float]) -> dict[str, Any]:
    """KFP hands whole numbers over as floats now and then."""
    whole = {name for name, kind in GateSettings.__annotations__.items() if kind in ("int", int)}
    return {name: int(value) if name in whole else float(value) for name, value in gates.items()}
