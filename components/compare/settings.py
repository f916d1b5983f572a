"""Every bound of the gates, with its default; nothing about the decision is hidden elsewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from belisha.components.shared.errors import InputError


@dataclass(frozen=True, slots=True)
class GateSettings:
    """Bounds of the gates. Accuracy is in ratios 0..1, time in seconds on one CPU thread of this machine.

    Attributes:
        alpha_ratio: one-sided error rate of every bound, 0..0.5.
        bootstrap_resamples: resamples of each paired bootstrap, at least 100.
        bootstrap_seed: same seed, same bounds.
        min_ap50_95_gain: the lower bound of the gain in AP50-95 over the champion must exceed this.
        efficiency_margin_ap50_95: with a value above 0, a candidate that is proven faster or is 5 % smaller passes when it is
            not worse by more than this; 0 asks for a gain from every candidate.
        max_mr2_increase: the upper bound of the increase of MR⁻² (Reasonable) must stay below this; 1 turns the gate off.
        max_slice_ap50_drop: in no slice may AP50 drop by this, by its lower bound.
        min_slice_boxes: slices with fewer pedestrians are listed and do not block.
        min_test_groups: with fewer groups in the test part nothing is proven against a champion.
        min_test_pedestrians: with fewer pedestrians in the test part no figure means anything; 0 turns the gate off.
        min_ap50: AP50 that any candidate must reach; 0 turns the gate off, for what is enough only the user knows.
        max_latency_p95_seconds: 95th percentile for one picture; 0 turns the gate off.
        max_latency_ratio: the same over the champion's, both measured here in turn; 0 turns the gate off.
        max_model_megabytes: size of the ONNX file, 10^6 bytes; 0 turns the gate off.
        max_test_looks: runs that may look at one test part before it must be renewed; 0 turns the gate off.
    """

    alpha_ratio: float = 0.05
    bootstrap_resamples: int = 2000
    bootstrap_seed: int = 0
    min_ap50_95_gain: float = 0.0
    efficiency_margin_ap50_95: float = 0.0
    max_mr2_increase: float = 0.01
    max_slice_ap50_drop: float = 0.02
    min_slice_boxes: int = 200
    min_test_groups: int = 10
    min_test_pedestrians: int = 20
    min_ap50: float = 0.0
    max_latency_p95_seconds: float = 1.0
    max_latency_ratio: float = 1.2
    max_model_megabytes: float = 300.0
    max_test_looks: int = 20

    def __post_init__(self) -> None:
        for setting in fields(self):
            _refuse_unless(setting.name, getattr(self, setting.name), *_RANGES.get(setting.name, (0.0, math.inf)))


_RANGES: dict[str, tuple[float, float]] = {
    "alpha_ratio": (0.0001, 0.5),
    "bootstrap_resamples": (100, 100_000),
    "bootstrap_seed": (0, 2**63 - 1),
    "min_ap50_95_gain": (0.0, 1.0),
    "efficiency_margin_ap50_95": (0.0, 1.0),
    "max_mr2_increase": (0.0, 1.0),
    "max_slice_ap50_drop": (0.0, 1.0),
    "min_slice_boxes": (1, math.inf),
    "min_test_groups": (2, math.inf),
    "min_ap50": (0.0, 1.0),
}


def _refuse_unless(name: str, value: float, low: float, high: float) -> None:
    # A comparison with NaN is false, so NaN ends here too.
    if not low <= value <= high or math.isinf(value):
        wanted = f"at least {low:g}" if math.isinf(high) else f"between {low:g} and {high:g}"
        raise InputError(f"gate setting {name} is {value}, expected a number {wanted}: change it")
