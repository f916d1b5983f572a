"""The training's report: curves, the check before training, a batch as the model sees it, the export proof."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from belisha.components.shared.images import ImageArray, decode_rgb
from belisha.components.shared.report import (
    AMBER,
    GREEN,
    BoxLayer,
    Markup,
    Section,
    figure,
    gallery,
    new_figure,
    paragraph,
    picture,
    table,
    write_report,
)
from belisha.components.train.layout import LayoutCounts, TrainPicture, paint_ignored

_SAMPLES = 6


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """What the report tells, all of it recorded before."""

    start: str
    settings: dict[str, Any]
    counts: dict[str, LayoutCounts]
    overfit: dict[str, Any]
    overfit_sentence: str
    history: Sequence[dict[str, float]]
    best_epoch: int
    metrics: dict[str, float]
    proof: str
    samples: Sequence[TrainPicture]
    seconds: float


def write_training_report(path: Path, facts: ReportFacts) -> None:
    """Write `report.html`."""
    best = next((row for row in facts.history if row["epoch"] == facts.best_epoch), {})
    done = int(facts.history[-1]["epoch"])
    what = f"Best epoch {facts.best_epoch} of {done}" if done else "The weights as they were given"
    lead = (
        f"{what}: validation AP50 {best.get('val_ap50', 0):.3f}, "
        f"AP50-95 {best.get('val_ap50_95', 0):.3f} (ultralytics' own measure; the evaluation step measures by COCO's rules). "
        f"Started {facts.start}. Training took {facts.seconds:.0f} s."
    )
    sections = [
        Section("Curves", [_losses(facts.history), _accuracy(facts.history), _rates(facts.history)]),
        Section("Can it learn at all?", [paragraph(facts.overfit_sentence, tone=_tone(facts.overfit))]),
        Section(
            "What it learned from",
            [_counts(facts.counts), gallery([_sample(entry) for entry in facts.samples[:_SAMPLES]])],
            lead="Green: pedestrians. Amber: ignored regions, painted over.",
        ),
        Section(
            "Export", [paragraph(facts.proof, tone="good"), table(["figure", "value"], list(facts.metrics.items()))]
        ),
        Section("Settings", [table(["setting", "value"], [[k, str(v)] for k, v in facts.settings.items()])]),
    ]
    write_report(path, "Training", lead, sections)


def _tone(overfit: dict[str, Any]) -> str:
    return "good" if overfit.get("passed") else "warn"


def _losses(history: Sequence[dict[str, float]]) -> Markup:
    chart, axes = new_figure()
    for name in ("box_loss", "cls_loss", "dfl_loss"):
        rows = [row for row in history if name in row]
        axes.plot(
            [row["epoch"] for row in rows], [row[name] for row in rows], marker=".", label=name.removesuffix("_loss")
        )
    axes.set(xlabel="epoch", ylabel="training loss")
    axes.legend()
    return figure(chart, "Training losses by epoch: box, class, and distribution of edges.")


def _accuracy(history: Sequence[dict[str, float]]) -> Markup:
    chart, axes = new_figure()
    for name, label in (("val_ap50", "AP50"), ("val_ap50_95", "AP50-95"), ("val_recall", "recall")):
        axes.plot([row["epoch"] for row in history], [row[name] for row in history], marker=".", label=label)
    axes.set(xlabel="epoch", ylabel="validation", ylim=(0, 1))
    axes.legend()
    return figure(chart, "Accuracy on the validation part by epoch.")


def _rates(history: Sequence[dict[str, float]]) -> Markup:
    chart, axes = new_figure(height_inch=2.2)
    axes.plot([row["epoch"] for row in history], [row["learning_rate"] for row in history], marker=".")
    axes.set(xlabel="epoch", ylabel="learning rate")
    return figure(chart, "Learning rate at the end of each epoch.")


def _counts(counts: dict[str, LayoutCounts]) -> Markup:
    names = LayoutCounts.__slots__
    return table(["part", *names], [[part, *(getattr(row, name) for name in names)] for part, row in counts.items()])


def _sample(entry: TrainPicture) -> Markup:
    image: ImageArray = decode_rgb(Path(entry.path).read_bytes()).copy()
    paint_ignored(image, entry)
    layers = [
        BoxLayer(np.array(boxes, dtype=np.float64).reshape(-1, 4), colour)
        for boxes, colour in ((entry.boxes_xywh_px, GREEN), (entry.ignored_xywh_px, AMBER))
    ]
    return picture(image, f"{len(entry.boxes_xywh_px)} pedestrians", layers)
