"""The split as a pipeline step: text parameters in, folders and numbers out."""

from __future__ import annotations

from pathlib import Path

from belisha.components.shared.errors import ContractError
from belisha.components.shared.files import write_bytes_atomic
from belisha.components.shared.manifest import read_info
from belisha.components.shared.progress import default_sink
from belisha.components.shared.splits import Part
from belisha.components.shared.storage import join_uri
from belisha.components.split.options import parse_options
from belisha.components.split.split import REPORT_FILE, SplitSummary, split_dataset


def frozen_uri_of(storage_uri: str, salt: str) -> str:
    """Where a storage URI keeps the assignments of one salt."""
    return join_uri(storage_uri, "splits", salt)


def run_split(
    dataset_dir: Path, split_dir: Path, report_path: Path, storage_uri: str, dataset_digest: str, ratios: str, salt: str
) -> tuple[str, dict[str, float]]:
    """Split, put the report where the pipeline wants it, and give the split's digest and its numbers.

    Raises:
        ContractError: the dataset is not the one that was announced.
        BelishaError: as `split_dataset`.
    """
    options = parse_options(ratios, salt)
    found = read_info(dataset_dir).digest
    if dataset_digest and dataset_digest != found:
        raise ContractError(
            f"{dataset_dir} has digest {found} but {dataset_digest} was announced: acquire the data again"
        )
    summary = split_dataset(dataset_dir, split_dir, options, frozen_uri_of(storage_uri, salt), default_sink())
    write_bytes_atomic(report_path, (split_dir / REPORT_FILE).read_bytes())
    return summary.digest, numbers_of(summary)


def numbers_of(summary: SplitSummary) -> dict[str, float]:
    """Flat numbers for the pipeline's metrics."""
    parts = [part.value for part in Part]
    numbers = {f"{part}_pictures": float(summary.pictures[part]) for part in parts}
    return numbers | {f"{part}_pedestrians": float(summary.pedestrians[part]) for part in parts}
