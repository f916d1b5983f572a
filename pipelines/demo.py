"""The demonstration: the whole loop on drawn streets, from nothing to a champion and a rival that is judged against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from belisha.components.shared.progress import ProgressEvent, ProgressSink
from belisha.components.shared.registry import open_registry
from belisha.components.shared.report import Section
from belisha.pipelines.arguments import absolute_source, pipeline_arguments
from belisha.pipelines.local_run import run_locally
from belisha.pipelines.run_folder import RunFolder
from belisha.pipelines.run_report import write_run_report
from belisha.pipelines.run_summary import RunSummary, summarise

STREETS = "synthetic://streets?pictures=500&seed=7&pedestrians=4-9&conditions=day:0.25,night:0.45,rain:0.3"
# A network and settings that learn drawn pedestrians from nothing within two minutes on two CPU cores, and a test part of
# a hundred pictures, below which no miss rate is given.
_COMMON: dict[str, Any] = {
    "data_sources": [STREETS],
    "split_ratios": "70/10/20",
    "train_architecture": "street-pico.yaml",
    "train_image_size": 320,
    "train_batch": 8,
    "train_workers": 1,
    "train_augmentation_ratio": 0.2,
    "train_learning_rate": 0.01,
}
CHAMPION = {**_COMMON, "train_epochs": 9}
# Goes on from the champion's weights, more gently.
CHALLENGER = {**_COMMON, "train_epochs": 6, "train_learning_rate": 0.005}


@dataclass(frozen=True, slots=True)
class DemoOutcome:
    """What the demonstration leaves.

    Attributes:
        champion: the first candidate, trained from scratch, which only had the baselines to beat.
        challenger: the second, trained on from the first, which had the first to beat.
        report: the page with everything.
        storage_uri: with both models and the ledger.
        runs: the two runs, for `write_demo_report`.
    """

    champion: RunSummary
    challenger: RunSummary
    report: Path
    storage_uri: str
    runs: tuple[RunFolder, RunFolder]

    @property
    def has_champion(self) -> bool:
        """Whether a candidate was released, so that something can serve."""
        return open_registry(self.storage_uri, must_exist=True).ledger.state().champion is not None


def run_demo(workdir: Path, progress: ProgressSink) -> DemoOutcome:
    """Run the pipeline twice with other settings on one storage and write `report.html`; raises as `run_locally`."""
    first = _run(workdir, "1/2", CHAMPION, progress)
    weights_uri = first.metadata("train-detector", "model")["weights_uri"]
    second = _run(workdir, "2/2", {**CHALLENGER, "train_weights_uri": weights_uri}, progress)
    report = workdir / "report.html"
    outcome = DemoOutcome(summarise(first), summarise(second), report, _storage_uri(workdir), (first, second))
    write_demo_report(outcome)
    return outcome


def write_demo_report(outcome: DemoOutcome, more: Sequence[Section] = ()) -> None:
    """Write the page again, with what came after the runs."""
    write_run_report(outcome.report, outcome.runs, title="Belisha demonstration", more=more)


def _storage_uri(workdir: Path) -> str:
    return absolute_source(str(workdir / "storage"))


def _run(workdir: Path, name: str, settings: dict[str, Any], progress: ProgressSink) -> RunFolder:
    given = {**settings, "storage_uri": _storage_uri(workdir)}

    def named(event: ProgressEvent) -> None:
        progress(ProgressEvent(f"{name} {event.step}", event.done, event.total, event.unit, event.note))

    return run_locally(workdir, pipeline_arguments(given, []), named)
