"""The baselines as a pipeline step."""

from __future__ import annotations

from pathlib import Path

from belisha.components.baseline.baseline import REPORT_FILE, evaluate_baselines
from belisha.components.shared.errors import ContractError
from belisha.components.shared.files import write_bytes_atomic
from belisha.components.shared.progress import default_sink
from belisha.components.shared.splits import read_split


def run_baselines(
    dataset_dir: Path,
    split_dir: Path,
    out_dir: Path,
    report_path: Path,
    storage_uri: str,
    split_digest: str,
    run_id: str,
) -> dict[str, float]:
    """Measure the baselines, put the report where the pipeline wants it, and give the numbers.

    Raises:
        ContractError: the split is not the one that was announced.
        BelishaError: as `evaluate_baselines`.
    """
    found = read_split(split_dir).digest
    if split_digest and split_digest != found:
        raise ContractError(f"{split_dir} has digest {found} but {split_digest} was announced: split the data again")
    summary = evaluate_baselines(dataset_dir, split_dir, out_dir, storage_uri, run_id, default_sink())
    write_bytes_atomic(report_path, (out_dir / REPORT_FILE).read_bytes())
    numbers: dict[str, float] = {}
    for name, measured in summary.summaries.items():
        numbers |= {f"{name}_ap50": measured.ap50, f"{name}_ap50_95": measured.ap50_95}
        numbers |= {f"{name}_mr2_{subset}": value for subset, value in measured.mr2.items() if value is not None}
    return numbers
