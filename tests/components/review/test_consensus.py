"""One truth of several people's boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belisha.components.review.consensus import DISPUTED, clusters_of, truth_of
from belisha.components.review.simulation import disputed_ratio, outcomes, scenes
from belisha.components.shared.manifest import Box
from belisha.components.shared.review_queue import Method, Vote

BOXES = st.lists(st.builds(Box, *[st.floats(0, 200)] * 2, *[st.floats(2, 120)] * 2, ignore=st.booleans()), max_size=7)
PANELS = st.dictionaries(st.sampled_from(["ada", "bob", "cyd", "dan", "eve"]), BOXES, min_size=1, max_size=5)
HERE, NEAR, FAR = Box(10, 10, 40, 100), Box(12, 12, 40, 100), Box(200, 10, 40, 100)


def votes(*boxes: tuple[Box, ...], adjudicator: tuple[int, ...] = ()) -> list[Vote]:
    return [Vote("p", f"person {place}", one, place in adjudicator) for place, one in enumerate(boxes)]


@given(panel=PANELS)
@settings(deadline=None)
def test_every_box_is_in_one_cluster_in_which_its_person_is_once(panel: dict[str, list[Box]]) -> None:
    clusters = clusters_of(panel)
    found = sorted((name, id(box)) for cluster in clusters for name, box in cluster.boxes.items())
    assert found == sorted((name, id(box)) for name, boxes in panel.items() for box in boxes)
    assert all(cluster.boxes for cluster in clusters)


@given(panel=PANELS)
@settings(deadline=None)
def test_nothing_that_anybody_drew_is_dropped(panel: dict[str, list[Box]]) -> None:
    """Every box of every person overlaps something in the truth, be it an ignore region."""
    truth = truth_of("p", [Vote("p", name, tuple(boxes)) for name, boxes in panel.items()])
    for boxes in panel.values():
        for box in boxes:
            assert any(_overlap(box, other) > 0 for other in truth.boxes)
    assert truth.disputed == sum(box.occlusion == DISPUTED for box in truth.boxes)
    assert all(box.ignore for box in truth.boxes if box.occlusion == DISPUTED)


def _overlap(one: Box, other: Box) -> float:
    across = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    return max(0.0, across) * max(0.0, down)


@given(panel=PANELS)
@settings(deadline=None)
def test_the_order_of_people_does_not_matter(panel: dict[str, list[Box]]) -> None:
    forth = [Vote("p", name, tuple(boxes)) for name, boxes in panel.items()]
    assert truth_of("p", forth) == truth_of("p", forth[::-1])


@given(boxes=BOXES, people=st.integers(3, 5))
@settings(deadline=None)
def test_people_who_draw_the_same_have_their_boxes_as_truth(boxes: list[Box], people: int) -> None:
    truth = truth_of("p", votes(*[tuple(boxes)] * people))
    if len({(box.x, box.y, box.width, box.height) for box in boxes}) == len(boxes) and not _crowded(boxes):
        assert truth.disputed == 0
        assert sorted(_rounded(box) for box in truth.boxes) == sorted(_rounded(box) for box in boxes)


def _crowded(boxes: list[Box]) -> bool:
    return any(_overlap(one, other) for place, one in enumerate(boxes) for other in boxes[:place])


def _rounded(box: Box) -> tuple[object, ...]:
    return tuple(round(value, 6) for value in (box.x, box.y, box.width, box.height)), box.ignore


def test_one_person_is_taken_as_is() -> None:
    truth = truth_of("p", votes((HERE, FAR)))
    assert (truth.method, truth.disputed, len(truth.boxes)) == (Method.ONE_ANNOTATOR, 0, 2)
    assert {box.annotator for box in truth.boxes} == {"person 0"}


def test_two_votes_of_three_make_the_median_box() -> None:
    truth = truth_of("p", votes((HERE,), (NEAR,), ()))
    [box] = truth.boxes
    assert (box.x, box.y, box.ignore, box.annotator) == (11, 11, False, "consensus of person 0, person 1")


def test_what_one_of_three_drew_alone_waits_for_an_adjudicator_as_an_ignore_region() -> None:
    truth = truth_of("p", votes((HERE, FAR), (NEAR,), (HERE,)))
    assert [(box.x, box.ignore, box.occlusion) for box in truth.boxes] == [(10, False, ""), (200, True, DISPUTED)]
    assert truth.disputed == 1


def test_votes_that_lie_badly_on_each_other_are_disputed() -> None:
    truth = truth_of("p", votes((Box(10, 10, 40, 100),), (Box(10, 40, 40, 100),), ()))
    assert [(box.ignore, box.occlusion) for box in truth.boxes] == [(True, DISPUTED)]


def test_the_adjudicator_decides() -> None:
    truth = truth_of("p", votes((HERE, FAR), (NEAR,), (HERE,), (FAR,), adjudicator=(3,)))
    assert (truth.method, truth.disputed) == (Method.ADJUDICATED, 0)
    assert [box.x for box in truth.boxes] == [200]
    assert truth.annotators == ("person 0", "person 1", "person 2", "person 3")


@pytest.mark.parametrize(("ignoring", "expected"), [(1, False), (2, True), (3, True)])
def test_half_of_the_votes_make_an_ignore_region(ignoring: int, expected: bool) -> None:
    drawn = [(Box(10, 10, 40, 100, ignore=place < ignoring),) for place in range(4)]
    [box] = truth_of("p", votes(*drawn)).boxes
    assert (box.ignore, box.occlusion) == (expected, "")


def test_a_lone_ignore_region_is_one_and_no_dispute() -> None:
    truth = truth_of("p", votes((Box(10, 10, 90, 90, ignore=True),), (), ()))
    assert truth.disputed == 0
    assert truth.boxes[0].ignore


def test_the_consensus_rule_beats_every_other_in_simulation() -> None:
    """The smaller run of `python -m bench review`: 60 pictures instead of 300."""
    found = scenes(60, seed=1)
    by_name = {one.method: one for one in outcomes(found)}
    best = by_name["median, 2 votes of 5"]
    assert best.f1 == max(one.f1 for one in by_name.values())
    assert best.f1 > by_name["best single annotator"].f1 + 0.01
    assert best.precision > 0.99
    assert by_name["median, 3 votes of 5"].recall < best.recall - 0.02
    assert by_name["median, 4 votes of 5"].f1 < by_name["median, 3 votes of 5"].f1
    assert best.mean_iou > by_name["two annotators: union"].mean_iou
    assert 0.02 < disputed_ratio(found) < 0.3


def test_the_simulation_is_seeded() -> None:
    assert scenes(3, seed=5) == scenes(3, seed=5)
    assert scenes(3, seed=5) != scenes(3, seed=6)
    assert np.isfinite([box.x for scene in scenes(3, seed=5) for box in scene.truth]).all()
