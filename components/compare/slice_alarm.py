"""Is any slice significantly worse at all? Holm's step-down over slices, as an alarm beside the gates."""

from __future__ import annotations

from collections.abc import Sequence

from belisha.components.compare.evidence import Difference, SliceDifference
from belisha.components.compare.settings import GateSettings
from belisha.components.shared.verdict import Gate, Verdict


def slice_alarm(slices: Sequence[SliceDifference], settings: GateSettings) -> Gate:
    """An alarm that names the slices in which AP50 fell, at a family-wise error rate alpha; it does not block."""
    tested = [
        (_p_value_of_no_drop(part.ap50), f"{part.kind} {part.name}")
        for part in slices
        if part.ap50 is not None and part.pedestrians >= settings.min_slice_boxes
    ]
    worse = _holm(tested, settings.alpha_ratio)
    if not tested:
        words = "no slice has enough pedestrians to raise an alarm"
        return Gate("slices_alarm", Verdict.INCONCLUSIVE, words, blocking=False)
    if worse:
        words = f"AP50 fell significantly (Holm over {len(tested)} slices) in {', '.join(worse)}"
        return Gate("slices_alarm", Verdict.FAIL, words, float(len(worse)), 0.0, blocking=False)
    words = f"in none of {len(tested)} slices did AP50 fall significantly (Holm)"
    return Gate("slices_alarm", Verdict.PASS, words, 0.0, 0.0, blocking=False)


def _p_value_of_no_drop(difference: Difference) -> float:
    """Share of resampled differences that are not below zero, kept off zero by one."""
    resampled = difference.resampled
    return float(((resampled >= 0).sum() + 1) / (len(resampled) + 1))


def _holm(tested: Sequence[tuple[float, str]], alpha: float) -> list[str]:
    rejected = []
    for index, (p_value, name) in enumerate(sorted(tested)):
        if p_value > alpha / (len(tested) - index):
            break
        rejected.append(name)
    return rejected
