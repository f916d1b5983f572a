"""Comparison as a pipeline step: folders from artifacts, headline figures and the report to artifacts."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from belisha.components.compare.compare import compare
from belisha.components.compare.settings import GateSettings
from belisha.components.shared.evaluation_artifact import REPORT_FILE
from belisha.components.shared.files import write_json
from belisha.components.shared.progress import default_sink


def run_step(
    inputs: Mapping[str, Any],
    storage_uri: str,
    run_id: str,
    gates: Mapping[str, float],
    decision: Any,
    report: Any,
    metrics: Any,
) -> str:
    """Compare and fill the output artifacts; returns the verdict.

    Args:
        inputs: artifacts `dataset`, `split`, `model`, `evaluation` and `baseline` with KFP's `path`.
        storage_uri: of pictures, registry and ledger.
        run_id: of the run.
        gates: fields of `GateSettings`.
        decision: artifact to fill.
        report: likewise.
        metrics: likewise.
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
    Path(report.path).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(out_dir / REPORT_FILE, report.path)
    headline = result.headline()
    for name, value in headline.items():
        metrics.log_metric(name, value)
    write_json(Path(metrics.path), headline)
    decision.metadata["verdict"] = result.verdict.value
    decision.metadata["sentence"] = result.sentence
    return result.verdict.value


def _whole_numbers(gates: Mapping[str, float]) -> dict[str, Any]:
    """KFP hands whole numbers over as floats now and then."""
    whole = {name for name, kind in GateSettings.__annotations__.items() if kind in ("int", int)}
    return {name: int(value) if name in whole else float(value) for name, value in gates.items()}
