"""The demonstration's data and settings, its first run and its page; the story after it is told by `belisha.demonstration`."""

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
from belisha.pipelines.run_summary import summarise

STREETS = "synthetic://streets?pictures=500&seed=7&pedestrians=4-9&conditions=day"
# A network and settings that learn drawn pedestrians from nothing within two minutes on two CPU cores, and a test part of
# a hundred pictures, below which no miss rate is given.
_COMMON: dict[str, Any] = {
    "split_ratios": "70/10/20",
    "train_architecture": "street-pico.yaml",
    "train_image_size": 320,
    "train_batch": 8,
    "train_workers": 1,
    "train_augmentation_ratio": 0.2,
    "train_learning_rate": 0.01,
}
CHAMPION = {**_COMMON, "train_epochs": 9}
# Of the run that drift starts: it goes on from the champion's weights, more gently.
CHALLENGER = {**_COMMON, "train_epochs": 8, "train_learning_rate": 0.005}


@dataclass(frozen=True, slots=True)
class FirstRun:
    """What the first training leaves.

    Attributes:
        workdir: of the demonstration.
        folder: of the run.
        storage_uri: with the model and the ledger.
        weights_uri: that a later training may start from.
    """

    workdir: Path
    folder: RunFolder
    storage_uri: str
    weights_uri: str

    @property
    def report(self) -> Path:
        """The page with everything."""
        return self.workdir / "report.html"

    @property
    def has_champion(self) -> bool:
        """Whether a candidate was released, so that something can serve."""
        return open_registry(self.storage_uri, must_exist=True).ledger.state().champion is not None

    @property
    def sentence(self) -> str:
        """What came of it."""
        return summarise(self.folder).text


def first_run(workdir: Path, progress: ProgressSink) -> FirstRun:
    """Train the first champion by daylight, from nothing, through the compiled pipeline; raises as `run_locally`."""
    storage_uri = absolute_source(str(workdir / "storage"))
    given = {**CHAMPION, "data_sources": [STREETS], "storage_uri": storage_uri}

    def named(event: ProgressEvent) -> None:
        progress(ProgressEvent(f"train: {event.step}", event.done, event.total, event.unit, event.note))

    folder = run_locally(workdir, pipeline_arguments(given, []), named)
    found = FirstRun(workdir, folder, storage_uri, folder.metadata("train-detector", "model")["weights_uri"])
    if not found.report.exists():
        write_demo_report(found)
    return found


def write_demo_report(first: FirstRun, later: Sequence[RunFolder] = (), more: Sequence[Section] = ()) -> None:
    """Write the page: the first run, those that followed, and what happened around them."""
    write_run_report(first.report, [first.folder, *later], title="Belisha demonstration", more=more)
