"""What is worth a look: doubt and disagreement."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belisha.components.review.scores import disagreement, matched_pairs, uncertainty
from belisha.components.shared.boxes import iou
from belisha.components.shared.review_queue import ModelAnswer

BOX = (10.0, 10.0, 20.0, 50.0)
FAR = (200.0, 10.0, 20.0, 50.0)
SCORES = st.lists(st.floats(0, 1), max_size=12)
BOXES = st.lists(st.tuples(*[st.floats(0, 100)] * 2, *[st.floats(1, 80)] * 2), max_size=8)


def answer(*found: tuple[tuple[float, float, float, float], float]) -> ModelAnswer:
    boxes, scores = tuple(box for box, _ in found), tuple(score for _, score in found)
    return ModelAnswer("v1", "champion", "r", shadow=False, boxes_xywh_px=boxes, scores=scores)


@given(scores=SCORES)
@settings(deadline=None)
def test_uncertainty_is_a_ratio_whatever_the_order(scores: list[float]) -> None:
    found = uncertainty(scores)
    assert 0 <= found <= 1
    assert found == pytest.approx(uncertainty(scores[::-1]))


@pytest.mark.parametrize(
    ("more", "less"),
    [
        pytest.param((0.5,), (0.2,), id="nearer to a half"),
        pytest.param((0.5, 0.5), (0.5,), id="two undecided boxes"),
        pytest.param((0.4,), (0.95, 0.99), id="sure boxes say nothing"),
        pytest.param((0.3,), (0.05,), id="below the band"),
    ],
)
def test_the_less_decided_answer_ranks_higher(more: tuple[float, ...], less: tuple[float, ...]) -> None:
    assert uncertainty(more) > uncertainty(less)


def test_no_box_and_sure_boxes_are_no_doubt() -> None:
    assert uncertainty(()) == uncertainty((0.99, 0.97)) == 0


def test_models_that_say_the_same_do_not_disagree() -> None:
    assert disagreement(answer((BOX, 0.9)), answer((BOX, 0.6))) == 0
    assert disagreement(answer(), answer()) == 0


def test_a_clear_box_that_only_one_model_has_is_disagreement() -> None:
    one, other = answer((BOX, 0.9), (FAR, 0.8)), answer((BOX, 0.9))
    assert disagreement(one, other) == pytest.approx(1 - 2 * 0.9 / (0.9 + 0.8 + 0.9))
    assert disagreement(one, other) == pytest.approx(disagreement(other, one))
    assert disagreement(answer((BOX, 0.9)), answer()) == 1


def test_a_weak_box_of_one_model_is_none() -> None:
    assert disagreement(answer((BOX, 0.9), (FAR, 0.2)), answer((BOX, 0.9))) == 0


@given(one=BOXES, other=BOXES)
@settings(deadline=None)
def test_pairs_use_each_box_once_and_leave_no_pair_behind(one: list, other: list) -> None:
    first, second = np.array(one).reshape(-1, 4), np.array(other).reshape(-1, 4)
    pairs, overlaps = matched_pairs(first, second), iou(first, second)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert all(overlaps[pair] >= 0.5 for pair in pairs)
    left = np.delete(np.delete(overlaps, [row for row, _ in pairs], 0), [column for _, column in pairs], 1)
    assert not (left >= 0.5).any()
