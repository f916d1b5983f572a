from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from belisha.components.shared.errors import ContractError
from belisha.components.shared.evaluation import DetectionSet, EvaluationSet, match_outcomes
from belisha.components.shared.progress import ProgressEvent
from belisha.components.validate.calibration import calibration_of
from belisha.components.validate.counts import counts_at
from belisha.components.validate.latency import measure_latency
from belisha.components.validate.overfitting import Overfitting, judge_gap
from belisha.components.validate.parts import TRAIN_SAMPLE_IMAGES, load_pictures, train_sample
from tests.bright_world import Scene, build_world
from tests.onnx_models import write_tiny_model


@given(st.sets(st.text("0123456789abcdef", min_size=6, max_size=6), max_size=400))
def test_the_train_sample_is_bounded_and_does_not_depend_on_order(ids: set[str]) -> None:
    sample = train_sample(list(ids))
    assert len(sample) == min(len(ids), TRAIN_SAMPLE_IMAGES)
    assert set(sample) <= ids
    assert sample == train_sample(sorted(ids, reverse=True))


def test_only_the_wanted_pictures_are_read(tmp_path: Path) -> None:
    world = build_world(tmp_path, [Scene("train"), Scene("val"), Scene("test")])
    wanted = [world.pictures[2].image_id, world.pictures[0].image_id]
    assert [picture.image_id for picture in load_pictures(world.dataset_dir, wanted)] == sorted(wanted)
    assert load_pictures(world.dataset_dir, []) == []
    with pytest.raises(ContractError, match="1 pictures of the split are not in the data set"):
        load_pictures(world.dataset_dir, [*wanted, "f" * 64])


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        pytest.param(-0.05, 0.05, Overfitting.NO_SIGN, id="small gap, surely"),
        pytest.param(-0.05, 0.30, Overfitting.UNCLEAR, id="wide interval"),
        pytest.param(0.15, 0.40, Overfitting.OVERFITS, id="large gap, surely"),
        pytest.param(0.10, 0.10, Overfitting.NO_SIGN, id="just tolerated"),
    ],
)
def test_the_gap_is_judged_by_its_interval(low: float, high: float, expected: Overfitting) -> None:
    assert judge_gap(low, high) is expected


def one_picture_each(scores: list[float], right: list[bool]) -> tuple[EvaluationSet, DetectionSet]:
    """One picture, one box and one detection a score; a wrong detection lies beside the box."""
    count = len(scores)
    boxes = np.tile([0.0, 0.0, 10.0, 20.0], (count, 1))
    truth = EvaluationSet(
        image_ids=tuple(map(str, range(count))),
        group_index=np.arange(count),
        image_height_px=np.full(count, 100.0),
        box_image=np.arange(count),
        boxes_xywh_px=boxes,
        ignore=np.zeros(count, np.bool_),
        visible_ratio=np.ones(count),
    )
    shift = np.where(right, 0.0, 50.0)
    found = boxes + np.stack([shift, *[np.zeros(count)] * 3], axis=1)
    return truth, DetectionSet(np.arange(count), found, np.array(scores, np.float64))


def test_a_calibrated_detector_has_no_error_and_an_overconfident_one_has() -> None:
    honest = one_picture_each([0.75] * 200, [True] * 150 + [False] * 50)
    found = calibration_of(*honest, 0.5)
    assert (found.ece, found.bias, found.boxes) == pytest.approx((0, 0, 200))
    assert "can be read as frequencies" in found.sentence
    boastful = one_picture_each([0.95] * 200, [True] * 100 + [False] * 100)
    found = calibration_of(*boastful, 0.5)
    assert (found.ece, found.bias) == pytest.approx((0.45, 0.45))
    assert "0.45 higher than the share of right boxes" in found.sentence


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        pytest.param([], "no detection counts", id="nothing found"),
        pytest.param([0.1, 0.2], "no detection counts", id="all below the threshold"),
        pytest.param([2.5, -1.0], "no probabilities", id="scores of another kind"),
        pytest.param([0.9, 0.8], "too few to judge", id="few boxes"),
    ],
)
def test_calibration_says_when_it_cannot_tell(scores: list[float], words: str) -> None:
    found = calibration_of(*one_picture_each(scores, [True] * len(scores)), 0.5)
    assert words in found.sentence


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=30), st.floats(0, 1))
def test_counts_add_up_at_any_threshold(answers: list[tuple[float, bool]], threshold: float) -> None:
    truth, detections = one_picture_each([score for score, _ in answers], [right for _, right in answers])
    counts = counts_at(truth, detections, match_outcomes(truth, detections), threshold)
    served = [right for score, right in answers if score >= threshold]
    assert (counts.true_positives, counts.false_positives) == (sum(served), len(served) - sum(served))
    assert counts.true_positives + counts.false_negatives == len(answers)
    assert (counts.precision is None) == (not served)
    assert (counts.recall is None) == (not answers)


def test_latency_stops_at_its_budget_and_leaves_the_warm_up_out(tmp_path: Path) -> None:
    write_tiny_model(tmp_path)
    ticks = itertools.chain.from_iterable((second, second + 1.0) for second in itertools.count(0.0, 10.0))
    events: list[ProgressEvent] = []
    image = np.zeros((96, 96, 3), np.uint8)
    one, two = measure_latency(tmp_path, [image], events.append, clock=lambda: next(ticks))
    # A call of one second each: the budget of 15 seconds is spent, but 20 calls are made for the median's sake.
    assert (one.threads, one.n, one.p50_seconds, one.p95_seconds) == (1, 20, 1.0, 1.0)
    assert (two.threads, two.n, two.warm_up) == (2, 20, 3)
    assert {event.step for event in events} == {"latency, 1 thread", "latency, 2 threads"}
