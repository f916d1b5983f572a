"""How much better than the cheap heuristics: a model that is not has learned nothing worth serving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from belisha.components.shared.detections import Detections, read_detections
from belisha.components.shared.errors import ContractError
from belisha.components.shared.evaluation import DetectionSet, detection_set, evaluate, paired_bootstrap
from belisha.components.shared.evaluation_artifact import DETECTIONS_TEST_FILE
from belisha.components.validate.parts import PartData

METRICS = ("ap50", "ap50_95")
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Margin:
    """The model against one baseline on the test part, by paired bootstrap over groups.

    Attributes:
        baseline: its name.
        metric: `ap50` or `ap50_95`.
        model: value of the model.
        value: value of the baseline.
        difference: model minus baseline.
        low: one-sided 95 % lower bound of the difference; None with a single group of pictures.
        high: one-sided 95 % upper bound of the difference; None as `low`.
        sentence: what it means.
    """

    baseline: str
    metric: str
    model: float
    value: float
    difference: float
    low: float | None
    high: float | None
    sentence: str

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def read_baselines(baseline_dir: Path) -> dict[str, dict[str, Detections]]:
    """Detections on the test part by name of the baseline, as the baseline step wrote them.

    Raises:
        ContractError: the folder holds none, or one is unreadable.
    """
    paths = sorted(baseline_dir.glob(f"*/{DETECTIONS_TEST_FILE}"))
    if not paths:
        raise ContractError(f"{baseline_dir} holds no baseline's {DETECTIONS_TEST_FILE}: run `belisha baseline` first")
    return {path.parent.name: read_detections(path) for path in paths}


def baseline_sets(test: PartData, baselines: dict[str, dict[str, Detections]]) -> dict[str, DetectionSet]:
    """The baselines' detections on the test part's pictures; raises ContractError when they saw other pictures."""
    return {name: detection_set(test.truth, by_image) for name, by_image in baselines.items()}


def margins_of(test: PartData, baselines: dict[str, DetectionSet]) -> tuple[Margin, ...]:
    """Margins over every baseline; none where nothing counts."""
    if not test.truth.pedestrians:
        return ()
    return tuple(margin for name, found in baselines.items() for margin in _margins(test, name, found))


def _margins(test: PartData, name: str, baseline: DetectionSet) -> Sequence[Margin]:
    if len(set(test.groups)) < 2:
        return _without_bounds(test, name, baseline)
    bootstrap = paired_bootstrap(test.truth, test.detections, baseline, metrics=list(METRICS))
    margins = []
    for metric in METRICS:
        found, bounds = bootstrap.metrics[metric], bootstrap.interval(metric, alpha=ALPHA)
        sentence = _sentence(name, metric, found.difference, bounds.low, bounds.high)
        values = (found.candidate, found.champion, found.difference)
        margins.append(Margin(name, metric, *values, bounds.low, bounds.high, sentence))
    return margins


def _without_bounds(test: PartData, name: str, baseline: DetectionSet) -> Sequence[Margin]:
    model, other = evaluate(test.truth, test.detections), evaluate(test.truth, baseline)
    margins = []
    for metric in METRICS:
        values = (getattr(model, metric), getattr(other, metric))
        difference = values[0] - values[1]
        sentence = (
            f"{difference:+.3f} {_LABELS[metric]} over {name}, but the test part has a single group of pictures: "
            "too few to tell whether that is chance."
        )
        margins.append(Margin(name, metric, *values, difference, None, None, sentence))
    return margins


def _sentence(name: str, metric: str, difference: float, low: float, high: float) -> str:
    numbers = f"by {difference:+.3f} {_LABELS[metric]} (95 % bounds {low:+.3f} to {high:+.3f})"
    if low > 0:
        return f"Better than {name} {numbers}."
    if high < 0:
        return f"Worse than {name} {numbers}."
    return f"Not distinguishable from {name}: {numbers.removeprefix('by ')}."


_LABELS = {"ap50": "AP50", "ap50_95": "AP50-95"}
