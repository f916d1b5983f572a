"""The gates: pure functions from evidence and settings to verdicts, each a sentence with its numbers.

The method is that of non-inferiority testing with one superiority test (intersection-union: every gate must hold, so no
gate's error rate needs correcting); see docs/architecture.md for how verdicts combine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from belisha.components.compare.cost_gates import cost_gates
from belisha.components.compare.evidence import ChampionEvidence, Difference, Evidence, SliceDifference
from belisha.components.compare.power import detectable_difference, more_pictures
from belisha.components.compare.settings import GateSettings
from belisha.components.compare.slice_alarm import slice_alarm
from belisha.components.shared.evaluation import MIN_IMAGES
from belisha.components.shared.verdict import Gate, Verdict, worst

SUPERIORITY = "superiority_ap50_95"


def decide(evidence: Evidence, settings: GateSettings) -> tuple[Gate, ...]:
    """Judge the evidence; deterministic and free of side effects."""
    return tuple(_gates(evidence, settings))


def verdict_of(gates: tuple[Gate, ...]) -> Verdict:
    """The worst of the blocking gates; of none at all INCONCLUSIVE."""
    return worst(gate.verdict for gate in gates if gate.blocking)


def _gates(evidence: Evidence, settings: GateSettings) -> Iterator[Gate]:
    champion = evidence.champion
    if champion is not None:
        yield _superiority(evidence, champion, settings)
        yield _miss_rate(evidence, champion, settings)
        for part in champion.slices:
            yield _slice(evidence, part, settings)
        yield slice_alarm(champion.slices, settings)
    yield from _baselines(evidence, settings)
    if settings.min_test_pedestrians > 0:
        yield _enough(evidence, settings)
    if settings.min_ap50 > 0:
        yield _floor(evidence, settings)
    yield from cost_gates(evidence, settings)
    if settings.max_test_looks > 0:
        yield _looks(evidence, settings)


def _superiority(evidence: Evidence, champion: ChampionEvidence, settings: GateSettings) -> Gate:
    gain, limit = champion.ap50_95, settings.min_ap50_95_gain
    low, high = gain.bounds(settings.alpha_ratio)
    figures = f"AP50-95 {_both(gain)} of champion {champion.version}, {_interval(gain, settings)}"
    verdict, words = Verdict.INCONCLUSIVE, ""
    if evidence.model_digest == champion.model_digest:
        words = f"the candidate is the very model that is champion ({champion.version}): there is nothing to gain"
    elif evidence.groups < settings.min_test_groups:
        words = (
            f"{figures}, but the test part has only {evidence.groups} independent groups of {settings.min_test_groups} "
            f"needed: add {settings.min_test_groups - evidence.groups} groups (sequences, or cameras and times)"
        )
    elif low > limit:
        verdict, words = Verdict.PASS, f"better than the champion: {figures}"
    elif _is_cheaper_and_no_worse(evidence, champion, settings):
        verdict = Verdict.PASS
        words = f"cheaper and not worse by {settings.efficiency_margin_ap50_95:g}: {figures}"
    elif high < limit:
        verdict, words = Verdict.FAIL, f"not better than the champion: {figures}"
    else:
        words = f"not distinguishable from the champion: {figures}; {_needed(evidence, gain, *_room(gain, limit, settings))}"
    return Gate(SUPERIORITY, verdict, words, gain.estimate, limit, (low, high))


def _is_cheaper_and_no_worse(evidence: Evidence, champion: ChampionEvidence, settings: GateSettings) -> bool:
    margin = settings.efficiency_margin_ap50_95
    if margin <= 0 or champion.ap50_95.bounds(settings.alpha_ratio)[0] <= -margin:
        return False
    smaller = evidence.model_bytes <= 0.95 * champion.model_bytes
    gates = cost_gates(evidence, settings)
    ratios = [gate.interval for gate in gates if gate.name == "latency_ratio" and gate.interval is not None]
    return smaller or any(high < 1 for _, high in ratios)


def _miss_rate(evidence: Evidence, champion: ChampionEvidence, settings: GateSettings) -> Gate:
    name, limit, increase = "mr2_reasonable", settings.max_mr2_increase, champion.mr2_reasonable
    if limit >= 1:
        return Gate(name, Verdict.PASS, "the guard on MR⁻² is turned off (max_mr2_increase is 1)", blocking=False)
    if increase is None:
        lacking = MIN_IMAGES - evidence.images
        todo = f"test on {lacking} more" if lacking > 0 else "add pictures with pedestrians of the Reasonable subset"
        words = f"MR⁻² (Reasonable) means nothing on these {evidence.images} test pictures: {todo}"
        return Gate(name, Verdict.INCONCLUSIVE, words, bound=limit)
    low, high = increase.bounds(settings.alpha_ratio)
    figures = f"MR⁻² (Reasonable, lower is better) {_both(increase)}, {_interval(increase, settings)}"
    if high < limit:
        return Gate(
            name, Verdict.PASS, f"misses no more than allowed: {figures}", increase.estimate, limit, (low, high)
        )
    if low > limit:
        return Gate(name, Verdict.FAIL, f"misses more: {figures}", increase.estimate, limit, (low, high))
    needed = _needed(evidence, increase, *_room(increase, limit, settings, lower_is_better=True))
    words = f"an increase by {limit:g} cannot be ruled out: {figures}; {needed}"
    return Gate(name, Verdict.INCONCLUSIVE, words, increase.estimate, limit, (low, high))


def _slice(evidence: Evidence, part: SliceDifference, settings: GateSettings) -> Gate:
    name, limit = f"slice_{part.kind}_{part.name}".replace(" ", "_"), -settings.max_slice_ap50_drop
    where = f"{part.kind} {part.name} ({part.pedestrians} pedestrians)"
    if part.ap50 is None or part.pedestrians < settings.min_slice_boxes:
        words = f"{where}: insufficient, {settings.min_slice_boxes} are needed; listed, not blocking"
        value = None if part.ap50 is None else part.ap50.estimate
        return Gate(name, Verdict.INCONCLUSIVE, words, value, limit, blocking=False)
    low, high = part.ap50.bounds(settings.alpha_ratio)
    figures = f"AP50 {_both(part.ap50)}, {_interval(part.ap50, settings)}"
    if low > limit:
        return Gate(name, Verdict.PASS, f"{where}: holds, {figures}", part.ap50.estimate, limit, (low, high))
    if high < limit:
        return Gate(name, Verdict.FAIL, f"{where}: worse, {figures}", part.ap50.estimate, limit, (low, high))
    needed = _needed(evidence, part.ap50, *_room(part.ap50, limit, settings))
    words = f"{where}: a drop by {-limit:g} cannot be ruled out, {figures}; {needed}"
    return Gate(name, Verdict.INCONCLUSIVE, words, part.ap50.estimate, limit, (low, high))


def _baselines(evidence: Evidence, settings: GateSettings) -> Iterator[Gate]:
    if not evidence.baselines:
        words = "no baseline was measured on this test part, so nothing shows that the model beats one: run `belisha baseline`"
        yield Gate("baselines", Verdict.INCONCLUSIVE, words)
    for name, margin in evidence.baselines.items():
        low, high = margin.bounds(settings.alpha_ratio)
        figures = f"AP50 {_both(margin)} of {name}, {_interval(margin, settings)}"
        verdict, words = Verdict.INCONCLUSIVE, f"not distinguishable from a cheap heuristic: {figures}"
        if low > 0:
            verdict, words = Verdict.PASS, f"beats a cheap heuristic: {figures}"
        elif high < 0:
            verdict, words = Verdict.FAIL, f"worse than a cheap heuristic: {figures}"
        else:
            words += f"; {_needed(evidence, margin, *_room(margin, 0.0, settings))}"
        yield Gate(f"baseline_{name}", verdict, words, margin.estimate, 0.0, (low, high))


def _enough(evidence: Evidence, settings: GateSettings) -> Gate:
    limit, lacking = settings.min_test_pedestrians, settings.min_test_pedestrians - evidence.pedestrians
    words = f"{evidence.pedestrians} pedestrians in the test part, at least {limit} are asked for"
    verdict = Verdict.PASS
    if lacking > 0:
        verdict = Verdict.INCONCLUSIVE
        words += f": label {lacking} more (about {_pictures_with(evidence, lacking)} pictures) and split again"
    return Gate("test_pedestrians", verdict, words, float(evidence.pedestrians), float(limit))


def _pictures_with(evidence: Evidence, pedestrians: int) -> int:
    """How many pictures like those of the test part hold that many pedestrians."""
    return math.ceil(pedestrians * evidence.images / max(evidence.pedestrians, 1))


def _floor(evidence: Evidence, settings: GateSettings) -> Gate:
    value, limit = evidence.metrics.get("ap50"), settings.min_ap50
    if value is None:
        return Gate("min_ap50", Verdict.INCONCLUSIVE, "AP50 of the candidate is not known", bound=limit)
    verdict = Verdict.PASS if value >= limit else Verdict.FAIL
    return Gate("min_ap50", verdict, f"AP50 {value:.4f}, at least {limit:g} is asked for", value, limit)


def _looks(evidence: Evidence, settings: GateSettings) -> Gate:
    limit = settings.max_test_looks
    words = f"look {evidence.looks} of {limit} at this test part"
    verdict = Verdict.PASS
    if evidence.looks > limit:
        verdict = Verdict.INCONCLUSIVE
        words += ": choices have adapted to it by now; renew the test part with fresh groups"
    return Gate("test_looks", verdict, words, float(evidence.looks), float(limit))


def _both(difference: Difference) -> str:
    return f"{difference.candidate:.4f} against {difference.rival:.4f}"


def _interval(difference: Difference, settings: GateSettings) -> str:
    low, high = difference.bounds(settings.alpha_ratio)
    level = f"{100 * (1 - settings.alpha_ratio):g} %"
    return f"difference {difference.estimate:+.4f} (one-sided {level} bounds {low:+.4f} to {high:+.4f})"


def _room(
    difference: Difference, limit: float, settings: GateSettings, *, lower_is_better: bool = False
) -> tuple[float, float]:
    """Distance from the estimate to the limit, positive on the good side, and half-width on the limit's side."""
    low, high = difference.bounds(settings.alpha_ratio)
    above = difference.estimate - limit
    half_width = difference.estimate - low if above > 0 else high - difference.estimate
    return (-above if lower_is_better else above), half_width


def _needed(evidence: Evidence, difference: Difference, distance: float, half_width: float) -> str:
    """What would settle it; `distance` is from the estimate to the limit, positive on the good side."""
    smallest = detectable_difference(difference)
    if smallest == 0:
        return (
            "both models give the same result on every resample, so more pictures of this kind will not tell them apart"
        )
    power = f"a true difference of {smallest:.4f} is found in 80 % of tests of this size"
    more = more_pictures(evidence.images, distance, half_width)
    if more is None:
        return f"the estimate lies on the limit, so no number of pictures settles it; {power}"
    side = "for" if distance > 0 else "against"
    return f"about {more:,} more test pictures would settle it {side} the candidate if the estimate holds; {power}"
