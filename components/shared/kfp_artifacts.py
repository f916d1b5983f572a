"""What our steps do with an orchestrator's artifacts, without importing the orchestrator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from belisha.components.shared.files import write_bytes_atomic, write_json


class Artifact(Protocol):
    """What we use of an artifact: a file or folder at `path`, and values that the orchestrator shows beside it."""

    path: str
    metadata: dict[str, Any]


class MetricsArtifact(Artifact, Protocol):
    """An artifact of named numbers."""

    def log_metric(self, metric: str, value: float) -> None:
        """Record one number."""


class ConfusionArtifact(Artifact, Protocol):
    """An artifact of a confusion matrix."""

    def log_confusion_matrix(self, categories: list[str], matrix: list[list[int]]) -> None:
        """Record counts; a row is what is true, a column what was found."""


def log_numbers(metrics: MetricsArtifact, numbers: Mapping[str, float]) -> None:
    """Log finite numbers by name, and write them at the artifact's path too: KFP's cache only keeps outputs with a file."""
    for name, value in numbers.items():
        metrics.log_metric(name, value)
    write_json(Path(metrics.path), dict(numbers))


def publish_report(report_file: Path, report: Artifact) -> None:
    """Copy a self-contained HTML page to where the orchestrator shows it."""
    write_bytes_atomic(Path(report.path), report_file.read_bytes())
