"""What each gate says of which numbers, as tables; and how often equal models are promoted."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from belisha.components.compare.decision import sentence_of
from belisha.components.compare.evidence import Evidence, Latencies, SliceDifference
from belisha.components.compare.gates import SUPERIORITY, decide, verdict_of
from belisha.components.compare.power import detectable_difference, more_pictures
from belisha.components.compare.settings import GateSettings
from belisha.components.shared.errors import InputError
from belisha.components.shared.verdict import Gate, Verdict
from tests.components.compare.simulated import champion, difference, evidence, evidence_of, simulate

PASS, INCONCLUSIVE, ERROR, FAIL = Verdict
DEFAULTS = GateSettings()


def gate(found: Evidence, name: str, settings: GateSettings = DEFAULTS) -> Gate:
    return next(each for each in decide(found, settings) if each.name == name)


def names(found: Evidence, settings: GateSettings = DEFAULTS) -> set[str]:
    return {each.name for each in decide(found, settings)}


@pytest.mark.parametrize(
    ("case", "gain", "spread", "verdict", "words"),
    [
        ("clearly better", 0.05, 0.01, PASS, "better than the champion"),
        ("clearly worse", -0.05, 0.01, FAIL, "not better than the champion"),
        ("a little better", 0.01, 0.01, INCONCLUSIVE, "more test pictures would settle it for the candidate"),
        ("a little worse", -0.01, 0.01, INCONCLUSIVE, "would settle it against the candidate"),
        ("no difference at all", 0.0, 0.01, INCONCLUSIVE, "no number of pictures settles it"),
        ("same boxes", 0.0, 0.0, INCONCLUSIVE, "same result on every resample"),
    ],
)
def test_superiority(case: str, gain: float, spread: float, verdict: Verdict, words: str) -> None:
    found = gate(evidence(champion=champion(ap50_95=difference(gain, spread))), SUPERIORITY)
    assert found.verdict is verdict and words in found.sentence
    assert found.value == pytest.approx(gain) and found.bound == 0 and found.blocking


def test_a_model_is_not_better_than_itself() -> None:
    same = evidence(model_digest="champion", champion=champion())
    assert gate(same, SUPERIORITY).verdict is INCONCLUSIVE
    assert "the very model that is champion" in gate(same, SUPERIORITY).sentence


@pytest.mark.parametrize(("groups", "verdict"), [(1, INCONCLUSIVE), (9, INCONCLUSIVE), (10, PASS)])
def test_few_groups_prove_nothing(groups: int, verdict: Verdict) -> None:
    assert gate(evidence(groups=groups, champion=champion()), SUPERIORITY).verdict is verdict


@pytest.mark.parametrize(
    ("case", "gain", "size", "latency", "verdict"),
    [
        ("no worse and smaller", -0.001, 5_000_000, 0.05, PASS),
        ("no worse and faster", -0.001, 10_000_000, 0.03, PASS),
        ("no worse, neither smaller nor faster", -0.001, 10_000_000, 0.05, INCONCLUSIVE),
        ("worse, though smaller", -0.05, 5_000_000, 0.05, FAIL),
    ],
)
def test_cheaper_models_may_be_a_little_worse_when_asked(
    case: str, gain: float, size: int, latency: float, verdict: Verdict
) -> None:
    latencies = Latencies(np.full(50, latency), np.full(50, 0.05))
    found = evidence(model_bytes=size, latencies=latencies, champion=champion(ap50_95=difference(gain, 0.003)))
    assert gate(found, SUPERIORITY, GateSettings(efficiency_margin_ap50_95=0.01)).verdict is verdict
    assert gate(found, SUPERIORITY).verdict is not PASS


@pytest.mark.parametrize(
    ("case", "increase", "spread", "verdict"),
    [
        ("fewer misses", -0.05, 0.01, PASS),
        ("hardly more, known well", 0.002, 0.002, PASS),
        ("hardly more, known badly", 0.002, 0.02, INCONCLUSIVE),
        ("many more", 0.05, 0.01, FAIL),
    ],
)
def test_miss_rate(case: str, increase: float, spread: float, verdict: Verdict) -> None:
    found = gate(evidence(champion=champion(mr2_reasonable=difference(increase, spread))), "mr2_reasonable")
    assert found.verdict is verdict and found.bound == 0.01


def test_an_unknown_miss_rate_is_no_pass_and_says_how_many_pictures_lack() -> None:
    found = gate(evidence(images=30, champion=champion(mr2_reasonable=None)), "mr2_reasonable")
    assert found.verdict is INCONCLUSIVE and found.blocking and "test on 70 more" in found.sentence
    off = gate(evidence(champion=champion(mr2_reasonable=None)), "mr2_reasonable", GateSettings(max_mr2_increase=1))
    assert not off.blocking


@pytest.mark.parametrize(
    ("case", "boxes", "drop", "spread", "verdict", "blocking"),
    [
        ("holds", 200, 0.0, 0.005, PASS, True),
        ("worse", 200, 0.06, 0.01, FAIL, True),
        ("unclear", 200, 0.01, 0.02, INCONCLUSIVE, True),
        ("few boxes, though worse", 199, 0.06, 0.01, INCONCLUSIVE, False),
    ],
)
def test_slices(case: str, boxes: int, drop: float, spread: float, verdict: Verdict, blocking: bool) -> None:
    part = SliceDifference("condition", "night", boxes, difference(-drop, spread))
    found = gate(evidence(champion=champion(slices=(part,))), "slice_condition_night")
    assert (found.verdict, found.blocking) == (verdict, blocking)
    assert ("insufficient" in found.sentence) is (not blocking)


def test_the_alarm_corrects_for_many_slices_and_never_blocks() -> None:
    noisy = [SliceDifference("height", str(index), 500, difference(-0.0168, 0.01)) for index in range(20)]
    found = gate(evidence(champion=champion(slices=tuple(noisy))), "slices_alarm")
    assert found.verdict is PASS and not found.blocking
    worse = (*noisy, SliceDifference("condition", "fog", 500, difference(-0.2, 0.01)))
    found = gate(evidence(champion=champion(slices=worse)), "slices_alarm")
    assert found.verdict is FAIL and found.sentence.endswith("condition fog")


@pytest.mark.parametrize(("margin", "verdict"), [(0.2, PASS), (0.01, INCONCLUSIVE), (-0.2, FAIL)])
def test_baselines(margin: float, verdict: Verdict) -> None:
    found = evidence(baselines={"hog": difference(margin, 0.02)})
    assert gate(found, "baseline_hog").verdict is verdict
    assert verdict_of(decide(found, DEFAULTS)) is verdict


def test_no_baseline_is_no_pass() -> None:
    found = evidence(baselines={}, champion=champion())
    assert verdict_of(decide(found, DEFAULTS)) is INCONCLUSIVE


@pytest.mark.parametrize(
    ("case", "changes", "name", "verdict"),
    [
        ("within the budget", {"latencies": Latencies(np.full(50, 0.9), np.zeros(0))}, "latency_p95", PASS),
        ("over the budget", {"latencies": Latencies(np.full(50, 1.1), np.zeros(0))}, "latency_p95", FAIL),
        ("not measured", {"latencies": None}, "latency_p95", INCONCLUSIVE),
        ("ratio at the limit", {"latencies": Latencies(np.full(50, 0.12), np.full(50, 0.1))}, "latency_ratio", PASS),
        ("ratio above", {"latencies": Latencies(np.full(50, 0.13), np.full(50, 0.1))}, "latency_ratio", FAIL),
        ("small enough", {"model_bytes": 300_000_000}, "model_size", PASS),
        ("too large", {"model_bytes": 300_000_001}, "model_size", FAIL),
        ("last look", {"looks": 20}, "test_looks", PASS),
        ("one look too many", {"looks": 21}, "test_looks", INCONCLUSIVE),
    ],
)
def test_costs_and_looks(case: str, changes: dict[str, object], name: str, verdict: Verdict) -> None:
    assert gate(evidence(champion=champion(), **changes), name).verdict is verdict


def test_what_other_processes_take_is_not_held_against_a_model() -> None:
    disturbed = np.full(60, 0.1)
    disturbed[:20] = 5.0
    found = evidence(champion=champion(), latencies=Latencies(disturbed, np.full(60, 0.1), np.arange(60) % 20))
    assert gate(found, "latency_ratio").value == pytest.approx(1.0)


@pytest.mark.parametrize(("floor", "verdict"), [(0.7, PASS), (0.71, FAIL)])
def test_floor(floor: float, verdict: Verdict) -> None:
    assert gate(evidence(), "min_ap50", GateSettings(min_ap50=floor)).verdict is verdict


@pytest.mark.parametrize(("pedestrians", "verdict"), [(0, INCONCLUSIVE), (19, INCONCLUSIVE), (20, PASS)])
def test_few_pedestrians_prove_nothing(pedestrians: int, verdict: Verdict) -> None:
    found = gate(evidence(images=10, pedestrians=pedestrians), "test_pedestrians")
    assert found.verdict is verdict
    assert f"{pedestrians} pedestrians in the test part, at least 20" in found.sentence


def test_few_pedestrians_say_how_many_pictures_are_lacking() -> None:
    found = gate(evidence(images=6, pedestrians=2), "test_pedestrians")
    assert "label 18 more (about 54 pictures)" in found.sentence


def test_zero_turns_gates_off() -> None:
    off = GateSettings(
        max_latency_p95_seconds=0, max_latency_ratio=0, max_model_megabytes=0, max_test_looks=0, min_test_pedestrians=0
    )
    assert names(evidence(), off) == {"baseline_hog", "baseline_heatmap"}


def test_without_a_champion_the_baselines_decide() -> None:
    assert SUPERIORITY not in names(evidence())
    assert verdict_of(decide(evidence(), DEFAULTS)) is PASS


def test_the_worst_blocking_gate_is_the_verdict_and_leads_the_sentence() -> None:
    found = decide(evidence(model_bytes=10**9, looks=21, champion=champion()), DEFAULTS)
    verdict = verdict_of(found)
    assert verdict is FAIL
    sentence = sentence_of(verdict, found, "v1")
    assert sentence.startswith("FAIL against champion v1: the ONNX file has 1000.00 MB") and "1 more of" in sentence


@pytest.mark.parametrize(
    ("name", "value"),
    [("alpha_ratio", 0.0), ("alpha_ratio", 0.9), ("min_ap50", 45.0), ("bootstrap_resamples", 3), ("max_test_looks", -1)]
    + [(each.name, math.nan) for each in fields(GateSettings)],
)
def test_settings_that_make_no_sense_are_refused(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"gate setting {name} is"):
        GateSettings(**{name: value})  # type: ignore[arg-type]


def test_more_pictures_follow_the_root_law() -> None:
    assert more_pictures(100, 0.01, 0.02) == 300
    assert more_pictures(100, -0.01, 0.02) == 300
    assert more_pictures(100, 0.0, 0.02) is None
    assert detectable_difference(difference(0.0, 0.01)) == pytest.approx(0.0249, abs=2e-4)


@given(st.floats(-0.2, 0.2), st.floats(0, 0.1), st.floats(-0.2, 0.2), st.integers(1, 60))
def test_every_number_is_finite_and_every_pass_is_proven(gain: float, spread: float, mr2: float, groups: int) -> None:
    found = evidence(
        groups=groups, champion=champion(ap50_95=difference(gain, spread), mr2_reasonable=difference(mr2, spread))
    )
    for each in decide(found, DEFAULTS):
        numbers = [each.value, each.bound, *(each.interval or ())]
        assert all(number is None or math.isfinite(number) for number in numbers)
        assert each.sentence
    if verdict_of(decide(found, DEFAULTS)) is PASS:
        assert found.champion is not None and found.champion.ap50_95.bounds(0.05)[0] > 0 and groups >= 10


def test_equal_models_are_rarely_promoted() -> None:
    """At most 5 % of 200 repetitions, where "the higher AP wins" promotes about half."""
    settings = GateSettings(bootstrap_resamples=300)
    repetitions = [evidence_of(simulate(seed, groups=30), settings) for seed in range(200)]
    promoted = sum(verdict_of(decide(found, settings)) is PASS for found in repetitions)
    higher = sum(found.champion is not None and found.champion.ap50_95.estimate > 0 for found in repetitions)
    superior = sum(gate(found, SUPERIORITY, settings).verdict is PASS for found in repetitions)
    assert promoted <= 0.05 * len(repetitions)
    assert superior <= 0.10 * len(repetitions)
    assert 0.35 * len(repetitions) <= higher <= 0.65 * len(repetitions)


def test_a_better_model_is_promoted() -> None:
    settings = GateSettings(bootstrap_resamples=300)
    repetitions = [evidence_of(simulate(seed, candidate_bonus=0.8), settings) for seed in range(10)]
    assert sum(verdict_of(decide(found, settings)) is PASS for found in repetitions) >= 9
