"""The curves and charts of the validation report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from belisha.components.shared.errors import NoDataError
from belisha.components.shared.evaluation import DetectionSet, EvaluationSet, miss_rate_curve, precision_recall_curve
from belisha.components.shared.report import Markup, figure, new_figure
from belisha.components.validate.calibration import ScoreCalibration
from belisha.components.validate.counts import Counts
from belisha.components.validate.parts import PartData
from belisha.components.validate.slices import FIRM_BOXES, Slice

_MODEL, _SECOND, _PALE = "#286edc", "#e08a00", "#9aa4b2"
_BASELINES = ("#6b7280", "#a78bba", "#8aa78b")
_LEAST_RATE = 0.01
# More points than a screen has pixels only make the file heavy.
_MAX_POINTS = 600


def precision_recall_figure(
    parts: Sequence[PartData], baselines: Mapping[str, DetectionSet], counts: Counts
) -> Markup | None:
    """Precision against recall on test, then val, and for the baselines, with the serving point; None without boxes."""
    test = parts[0]
    if not test.truth.pedestrians:
        return None
    plot, axes = new_figure()
    for part, colour in zip(parts, (_MODEL, _SECOND), strict=False):
        _precision_recall_line(axes, part.truth, part.detections, label=part.name, color=colour, linewidth=1.8)
    for (name, found), colour in zip(baselines.items(), _BASELINES, strict=False):
        _precision_recall_line(axes, test.truth, found, label=f"{name} on test", color=colour, linestyle="--")
    if counts.precision is not None and counts.recall is not None:
        label = f"serving threshold {counts.score_threshold:.2f}"
        axes.plot([counts.recall], [counts.precision], "o", color=_MODEL, markersize=8, label=label)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.02), ylim=(0, 1.02))
    axes.legend(loc="lower left", fontsize=8)
    return figure(plot, "Precision against recall at IoU 0.5; higher and further right is better.")


def _precision_recall_line(axes: Any, truth: EvaluationSet, detections: DetectionSet, **style: Any) -> None:
    if not truth.pedestrians:
        return
    curve = precision_recall_curve(truth, detections)
    points = _thin(len(curve.scores))
    axes.plot(curve.recall[points], curve.precision[points], **style)


def miss_rate_figure(test: PartData, baselines: Mapping[str, DetectionSet]) -> Markup | None:
    """Miss rate against false alarms per picture, both logarithmic; None where no box is in the reasonable subset."""
    plot, axes = new_figure()
    lines = [("model", test.detections, {"color": _MODEL, "linewidth": 1.8})]
    for (name, found), colour in zip(baselines.items(), _BASELINES, strict=False):
        lines.append((name, found, {"color": colour, "linestyle": "--"}))
    try:
        for name, found, style in lines:
            curve = miss_rate_curve(test.truth, found)
            points = _thin(len(curve.fppi))
            axes.plot(
                np.maximum(curve.fppi[points], 1e-3),
                np.maximum(curve.miss_rate[points], _LEAST_RATE),
                label=name,
                **style,
            )
    except NoDataError:
        return None
    axes.axvspan(0.01, 1.0, color="#888888", alpha=0.08, linewidth=0)
    axes.set(xscale="log", yscale="log", xlim=(0.003, 20), ylim=(_LEAST_RATE, 1.1))
    axes.set(xlabel="false alarms per picture (FPPI)", ylabel="miss rate")
    ticks = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.legend(loc="lower left", fontsize=8)
    return figure(plot, "Miss rate on the reasonable subset; lower is better. MR⁻² is the mean over the shaded range.")


def calibration_figure(calibration: ScoreCalibration, score_threshold: float) -> Markup:
    """The reliability diagram over a histogram of scores."""
    plot, axes = new_figure()
    for item in calibration.bins:
        if item.precision is not None:
            axes.bar(
                (item.low + item.high) / 2,
                item.precision,
                width=0.09,
                color=_MODEL if item.detections >= 20 else _PALE,
            )
            axes.annotate(
                f"{item.detections:,}", ((item.low + item.high) / 2, item.precision + 0.015), ha="center", fontsize=7
            )
    axes.plot([0, 1], [0, 1], color="#444444", linestyle=":", label="score = share that is right")
    axes.axvline(score_threshold, color=_SECOND, linewidth=1.2, label=f"serving threshold {score_threshold:.2f}")
    axes.set(xlabel="score", ylabel="share that is right", xlim=(0, 1), ylim=(0, 1.1))
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=8, frameon=False)
    return figure(plot, "How often boxes of a score are right, and how many there are; pale bars have fewer than 20.")


def parts_figure(ap50_by_name: Mapping[str, float | None]) -> Markup:
    """AP50 of the parts and of the baselines, one bar each."""
    plot, axes = new_figure()
    known = {name: value for name, value in ap50_by_name.items() if value is not None}
    for place, (name, value) in enumerate(known.items()):
        axes.bar(place, value, width=0.6, color=_MODEL if name in ("train", "val", "test") else _PALE)
        axes.annotate(f"{value:.3f}", (place, value + 0.015), ha="center", fontsize=8)
    axes.set_xticks(range(len(known)), list(known))
    axes.set(ylabel="AP50", ylim=(0, 1.1))
    return figure(plot, "AP50 on the sample of train, on val and on test, and of the baselines on test.")


def slices_figure(slices: Sequence[Slice], kind: str, caption: str) -> Markup | None:
    """Recall and AP50 a band, with the count of boxes; None when no band has numbers."""
    rows = [item for item in slices if item.kind == kind]
    if not any(item.ap50 is not None for item in rows):
        return None
    plot, axes = new_figure(height_inch=0.9 + 0.55 * len(rows))
    places = np.arange(len(rows))
    for item, place in zip(rows, places, strict=True):
        firm = item.pedestrians >= FIRM_BOXES
        for offset, value, colour in ((-0.19, item.recall, _MODEL), (0.19, item.ap50, _SECOND)):
            if value is None:
                axes.text(0.01, place + offset, "too few boxes", va="center", fontsize=7, color="#555555")
                break
            axes.barh(place + offset, value, height=0.36, color=colour, alpha=1 if firm else 0.55)
            axes.text(value + 0.01, place + offset, f"{value:.2f}", va="center", fontsize=7)
    axes.set_yticks(places, [f"{_short(item.name)}\n{item.pedestrians:,} boxes" for item in rows], fontsize=8)
    axes.invert_yaxis()
    axes.set(xlim=(0, 1.1))
    keys = [axes.barh(0, 0, color=colour, label=label) for colour, label in ((_MODEL, "recall"), (_SECOND, "AP50"))]
    axes.legend(handles=keys, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    return figure(plot, caption)


def _short(name: str) -> str:
    return name.split(",")[0]


def _thin(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.intp]]:
    """At most `_MAX_POINTS` indices into `count` points: all of the sure ones at the start, ever fewer later."""
    if count <= _MAX_POINTS:
        return np.arange(count)
    return np.unique(np.geomspace(1, count, _MAX_POINTS).astype(np.intp) - 1)
