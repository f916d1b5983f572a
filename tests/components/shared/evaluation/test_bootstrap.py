"""Paired resampling: equal to evaluating the duplicated pictures, fair to equal models, and honest without data."""

from __future__ import annotations

import dataclasses
import os

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from belisha.components.shared.errors import NoDataError
from belisha.components.shared.evaluation import (
    METRICS,
    DetectionSet,
    EvaluationSet,
    PairedBootstrap,
    PairedMetric,
    evaluate,
    paired_bootstrap,
)
from belisha.components.shared.evaluation.average_precision import coco_outcomes
from belisha.components.shared.evaluation.matching import find_candidates
from belisha.components.shared.evaluation.miss_rate import SUBSETS, subset_outcomes
from belisha.components.shared.evaluation.resampling import (
    RankedOutcomes,
    RecallPoints,
    weighted_average_precision,
    weighted_miss_rate,
)
from tests.components.shared.evaluation.scenes import found, random_scene, truth_of

BOX = (10.0, 10.0, 40.0, 100.0)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    images=st.integers(1, 6),
    boxes=st.integers(1, 25),
    counts=st.lists(st.lists(st.integers(0, 3), min_size=6, max_size=6), min_size=1, max_size=4),
)
def test_weighted_ap_is_that_of_the_duplicated_pictures(
    seed: int, images: int, boxes: int, counts: list[list[int]]
) -> None:
    truth, detections = random_scene(seed, images, boxes, distinct_scores=True)
    resamples = [duplicated(truth, detections, row[:images]) for row in counts]
    assume(all(copy.pedestrians for copy, _ in resamples))
    candidates = find_candidates(truth, detections)
    group = detections.image[candidates.order][candidates.by_score]
    ranked = RankedOutcomes(group, coco_outcomes(candidates, truth.ignore))
    points = RecallPoints(np.array([copy.pedestrians for copy, _ in resamples]))
    weighted = weighted_average_precision(ranked, np.array([row[:images] for row in counts], np.int32), points)
    expected = [evaluate(copy, repeated) for copy, repeated in resamples]
    assert weighted[:, 0] == pytest.approx([summary.ap50 for summary in expected], abs=1e-12)
    assert weighted.mean(axis=1) == pytest.approx([summary.ap50_95 for summary in expected], abs=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_weighted_miss_rate_is_that_of_the_duplicated_pictures(seed: int) -> None:
    truth, detections = random_scene(seed, images=120, boxes=500, distinct_scores=True, groups=30)
    counts = np.random.default_rng(seed).multinomial(60, np.full(30, 1 / 30), size=3).astype(np.int32)
    candidates = find_candidates(truth, detections)
    reasonable = subset_outcomes(truth, detections, candidates, SUBSETS["reasonable"])
    group = truth.group_index[detections.image[candidates.order][candidates.by_score]]
    group_of_box = truth.group_index[truth.box_image]
    weighted = weighted_miss_rate(
        RankedOutcomes(group, reasonable.outcomes[None, :]),
        counts,
        images=counts[:, truth.group_index].sum(axis=1),
        pedestrians=counts[:, group_of_box[reasonable.counted]].sum(axis=1),
    )
    resamples = [duplicated(truth, detections, row[truth.group_index]) for row in counts]
    expected = [evaluate(copy, repeated).mr2["reasonable"] for copy, repeated in resamples]
    assert weighted == pytest.approx(expected, rel=1e-12)


def test_point_values_are_those_of_the_plain_evaluation() -> None:
    truth, candidate = random_scene(1, images=150, boxes=400, groups=20)
    champion = thinned(candidate, 0.8)
    result = paired_bootstrap(truth, candidate, champion, resamples=50)
    first, second = evaluate(truth, candidate), evaluate(truth, champion)
    assert tuple(result.metrics) == METRICS
    for name, ours, theirs in (
        ("ap50", first.ap50, second.ap50),
        ("ap50_95", first.ap50_95, second.ap50_95),
        ("mr2_reasonable", first.mr2["reasonable"], second.mr2["reasonable"]),
    ):
        assert ours is not None
        assert theirs is not None
        metric = result.metrics[name]
        assert (metric.candidate, metric.champion) == pytest.approx((ours, theirs), abs=1e-12)
        assert metric.difference == pytest.approx(ours - theirs)
        assert len(metric.resampled_differences) == 50
        assert result.interval(name).low <= metric.difference <= result.interval(name).high


def test_a_model_compared_with_itself_differs_in_no_resample() -> None:
    truth, detections = random_scene(2, images=120, boxes=300)
    result = paired_bootstrap(truth, detections, detections, resamples=30)
    for name in METRICS:
        assert not result.metrics[name].resampled_differences.any()
        assert result.interval(name).low == 0 == result.interval(name).high
        assert result.pictures_needed(name) is None


def test_exchanging_the_models_turns_the_sign() -> None:
    truth, candidate = random_scene(3, images=120, boxes=300, groups=15)
    champion = thinned(candidate, 0.7)
    there = paired_bootstrap(truth, candidate, champion, resamples=150, seed=4)
    back = paired_bootstrap(truth, champion, candidate, resamples=150, seed=4)
    for name in METRICS:
        forth = there.metrics[name].resampled_differences
        assert forth == pytest.approx(-back.metrics[name].resampled_differences, abs=1e-12)


@pytest.mark.parametrize("processors", [1, 3])
def test_same_seed_same_result_on_any_number_of_processors(monkeypatch: pytest.MonkeyPatch, processors: int) -> None:
    truth, candidate = random_scene(4, images=120, boxes=300, groups=12)
    champion = thinned(candidate, 0.7)
    expected = paired_bootstrap(truth, candidate, champion, resamples=250, seed=7)
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    monkeypatch.setattr("belisha.components.shared.evaluation.bootstrap._MAX_WEIGHTS", 5_000 * processors)
    again = paired_bootstrap(truth, candidate, champion, resamples=250, seed=7)
    for name in METRICS:
        assert np.array_equal(again.metrics[name].resampled_differences, expected.metrics[name].resampled_differences)
    other = paired_bootstrap(truth, candidate, champion, resamples=250, seed=8)
    assert not np.array_equal(
        other.metrics["ap50"].resampled_differences, expected.metrics["ap50"].resampled_differences
    )


def test_groups_are_drawn_as_one() -> None:
    """Forty pictures that are copies of two differ between resamples only by how often each of two groups is drawn."""
    truth = truth_of([(index, BOX) for index in range(40)], 40, groups=[index // 20 for index in range(40)])
    candidate = found([(index, BOX, 0.9) for index in range(20)])
    result = paired_bootstrap(truth, candidate, found([]), resamples=400, metrics=["ap50"])
    values = np.unique(result.metrics["ap50"].resampled_differences.round(6))
    assert values == pytest.approx([0, 51 / 101, 1], abs=1e-6)


@pytest.mark.parametrize(
    ("groups", "percentile"),
    [
        pytest.param(2, 2e-19, id="two groups: the extremes"),
        pytest.param(4, 0.0033, id="four groups"),
        pytest.param(100, 0.0476, id="hundred groups"),
        pytest.param(100_000, 0.05, id="many groups: plain percentiles"),
    ],
)
def test_few_groups_widen_the_interval(groups: int, percentile: float) -> None:
    differences = np.random.default_rng(0).normal(size=5000)
    metric = PairedMetric(0.5, 0.5, 0.0, differences)
    bounds = PairedBootstrap({"ap50": metric}, 500, groups, 5000, 0, ()).interval("ap50", alpha=0.05)
    assert bounds.low == pytest.approx(np.quantile(differences, percentile), abs=0.02)
    assert bounds.high == pytest.approx(np.quantile(differences, 1 - percentile), abs=0.02)


@pytest.mark.parametrize(
    ("groups", "boxes", "expected"),
    [
        pytest.param([0, 0, 0], [(0, BOX)], "1 group", id="one group"),
        pytest.param([0, 1, 2], [], "no box counts", id="no box"),
        pytest.param([], [], "0 group", id="no picture"),
    ],
)
def test_no_data_is_never_a_pass(groups: list[int], boxes: list[tuple[int, tuple]], expected: str) -> None:
    truth = truth_of(boxes, len(groups), groups=groups)
    with pytest.raises(NoDataError, match=expected):
        paired_bootstrap(truth, found([]), found([]))


def test_too_few_pictures_leave_out_the_miss_rate_and_say_so() -> None:
    truth = truth_of([(index, BOX) for index in range(99)], 99)
    result = paired_bootstrap(truth, found([(0, BOX, 0.5)]), found([]), resamples=20)
    assert set(result.metrics) == {"ap50", "ap50_95"}
    with pytest.raises(NoDataError, match="too few pictures \\(99 of 100\\)"):
        result.interval("mr2_reasonable")


def test_resamples_without_a_box_are_left_out() -> None:
    truth = truth_of([(0, BOX)], 3)
    result = paired_bootstrap(truth, found([(0, BOX, 0.5)]), found([]), resamples=300, metrics=["ap50"])
    kept = result.metrics["ap50"].resampled_differences
    assert 0 < len(kept) < 300
    assert (kept == 1).all()


def test_pictures_needed_grows_with_the_square_of_the_interval() -> None:
    truth, candidate = random_scene(6, images=100, boxes=250, groups=25)
    result = paired_bootstrap(truth, candidate, thinned(candidate, 0.95), resamples=300)
    half_width = result.minimum_detectable_difference("ap50")
    difference = result.metrics["ap50"].difference
    assert result.pictures_needed("ap50", threshold=difference - half_width / 3) == pytest.approx(800, abs=1)
    assert result.pictures_needed("ap50", threshold=difference - half_width * 2) == 0


def test_an_equal_candidate_is_preferred_in_at_most_five_percent_of_repetitions() -> None:
    """500 pictures in 100 groups, each model with luck of its own in each group; 18 of 200 is the 99 % point of B(200, .05)."""
    results = [equal_models(seed) for seed in range(200)]
    assert sum(result.interval("ap50_95").low > 0 for result in results) <= 18
    assert sum(result.interval("ap50_95").high < 0 for result in results) <= 18
    assert sum(result.interval("mr2_reasonable").high < 0 for result in results) <= 18
    higher = sum(result.metrics["ap50_95"].difference > 0 for result in results)
    assert 70 <= higher <= 130, "by the higher value alone about half of the equal candidates would win"


def test_a_better_candidate_is_told_apart() -> None:
    results = [equal_models(seed, gain=0.12) for seed in range(20)]
    assert sum(result.interval("ap50_95").low > 0 for result in results) >= 15


def equal_models(seed: int, gain: float = 0.0) -> PairedBootstrap:
    rng = np.random.default_rng(seed)
    truth = truth_of([(index, BOX) for index in range(500)], 500, groups=[index // 5 for index in range(500)])
    candidate, champion = (noisy_detections(rng, truth, gain=better) for better in (gain, 0.0))
    return paired_bootstrap(truth, candidate, champion, resamples=300, seed=seed, metrics=["ap50_95", "mr2_reasonable"])


def noisy_detections(rng: np.random.Generator, truth: EvaluationSet, gain: float) -> DetectionSet:
    luck = rng.normal(0, 0.1, 100)[truth.group_index]
    hits = np.flatnonzero(rng.random(truth.n_images) < 0.7 + luck + gain)
    strays = rng.integers(0, truth.n_images, 150)
    boxes = np.tile(np.array(BOX), (len(hits) + len(strays), 1))
    boxes[: len(hits), 0] += rng.uniform(-12, 12, len(hits))
    boxes[len(hits) :, 0] += 500
    scores = np.concatenate([rng.beta(4, 2, len(hits)), rng.beta(2, 4, len(strays))])
    return DetectionSet(np.concatenate([hits, strays]), boxes, scores)


def thinned(detections: DetectionSet, keep: float) -> DetectionSet:
    kept = np.random.default_rng(0).random(len(detections)) < keep
    return DetectionSet(detections.image[kept], detections.boxes_xywh_px[kept], detections.scores[kept])


def duplicated(
    truth: EvaluationSet, detections: DetectionSet, counts: np.ndarray | list[int]
) -> tuple[EvaluationSet, DetectionSet]:
    """Each picture as often as `counts` says, copies beside each other."""
    source = np.repeat(np.arange(truth.n_images), counts)
    boxes = [(new, row) for new, old in enumerate(source) for row in np.flatnonzero(truth.box_image == old)]
    rows = [(new, row) for new, old in enumerate(source) for row in np.flatnonzero(detections.image == old)]
    box_rows = np.array([row for _, row in boxes], dtype=np.intp)
    detection_rows = np.array([row for _, row in rows], dtype=np.intp)
    copy = dataclasses.replace(
        truth,
        image_ids=tuple(f"copy-{index:04d}" for index in range(len(source))),
        group_index=np.arange(len(source)),
        image_height_px=truth.image_height_px[source],
        box_image=np.array([new for new, _ in boxes], dtype=np.intp),
        boxes_xywh_px=truth.boxes_xywh_px[box_rows],
        ignore=truth.ignore[box_rows],
        visible_ratio=truth.visible_ratio[box_rows],
    )
    image = np.array([new for new, _ in rows], dtype=np.intp)
    return copy, DetectionSet(image, detections.boxes_xywh_px[detection_rows], detections.scores[detection_rows])
