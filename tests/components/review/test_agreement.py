"""How well people agree, against published figures and by properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belisha.components.review.agreement import agreement_of, compare_boxes, krippendorff_alpha, leave_one_out_f1
from belisha.components.review.simulation import PEOPLE, scenes
from belisha.components.shared.manifest import Box
from belisha.components.shared.review_queue import Vote

HERE, NEAR, FAR = Box(10, 10, 40, 100), Box(12, 12, 40, 100), Box(200, 10, 40, 100)
CROWD = Box(190, 0, 80, 120, ignore=True)


def panel(*pictures: dict[str, tuple[Box, ...]]) -> dict[str, dict[str, Vote]]:
    return {
        str(number): {name: Vote(str(number), name, boxes) for name, boxes in drawn.items()}
        for number, drawn in enumerate(pictures)
    }


def test_alpha_of_krippendorffs_own_example() -> None:
    """Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C: four observers, nominal alpha 0.743."""
    observers = [
        "1 2 3 3 2 1 4 1 2 . . .", "1 2 3 3 2 2 4 1 2 5 . 3", ". 3 3 3 2 3 4 2 2 5 1 .", "1 2 3 3 2 4 4 1 2 5 1 .",
    ]  # fmt: skip
    units = [[value for value in unit if value != "."] for unit in zip(*map(str.split, observers), strict=True)]
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=5e-4)


def test_alpha_of_two_observers_and_binary_data() -> None:
    """The same paper, section A: ten articles, alpha 0.095."""
    pairs = zip("0100000000", "1110010010", strict=True)
    assert krippendorff_alpha([list(pair) for pair in pairs]) == pytest.approx(0.095, abs=5e-4)


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=4), max_size=20))
@settings(deadline=None)
def test_alpha_is_at_most_one_and_one_means_agreement(units: list[list[str]]) -> None:
    alpha = krippendorff_alpha(units)
    compared = [unit for unit in units if len(unit) > 1]
    assert alpha is None or alpha <= 1
    if alpha == 1:
        assert all(len(set(unit)) == 1 for unit in compared)


def test_nothing_to_agree_on_is_no_agreement() -> None:
    assert krippendorff_alpha([]) is None
    found = agreement_of(panel({"ada": (HERE,)}))
    assert (found.pictures, found.mean_f1, found.alpha) == (0, None, None)
    assert "no agreement to report" in found.sentence


def test_pairwise_agreement_by_hand() -> None:
    found = agreement_of(panel({"ada": (HERE, FAR), "bob": (NEAR,)}, {"ada": (), "bob": ()}))
    [pair] = found.pairs
    assert (pair.one, pair.other, pair.pictures) == ("ada", "bob", 2)
    assert pair.f1 == pytest.approx(2 / 3)
    assert pair.mean_iou == pytest.approx(38 * 98 / (2 * 4000 - 38 * 98))
    assert found.leave_one_out_f1 == {}


def test_people_who_agree_have_one_everywhere() -> None:
    drawn = dict.fromkeys(("ada", "bob", "cyd"), (HERE, FAR))
    found = agreement_of(panel(drawn, drawn))
    assert (found.mean_f1, found.mean_iou, found.alpha) == (1, 1, 1)
    assert found.leave_one_out_f1 == dict.fromkeys(("ada", "bob", "cyd"), 1.0)
    assert "which is good" in found.sentence


def test_alpha_of_boxes_by_hand() -> None:
    """Three places on two pictures: both see the first, ada alone the second; on the other picture both see one.

    Values: a a | b nothing | c c, so n = 6, disagreements 2, and 36 - (4 + 1 + 1 + 4) = 26 chance pairs: 1 - 5 * 2 / 26.
    """
    found = agreement_of(panel({"ada": (HERE, FAR), "bob": (NEAR,)}, {"ada": (HERE,), "bob": (HERE,)}))
    assert found.alpha == pytest.approx(1 - 5 * 2 / 26)


def test_what_lies_in_an_ignore_region_counts_for_nobody() -> None:
    counts = compare_boxes((HERE, FAR), (HERE, CROWD))
    assert (counts.pairs, counts.only_one, counts.only_other) == (1, 0, 0)


@given(
    *[st.lists(st.builds(Box, *[st.floats(0, 200)] * 2, *[st.floats(2, 90)] * 2, ignore=st.booleans()), max_size=6)] * 2
)
@settings(deadline=None)
def test_comparing_is_symmetric(one: list[Box], other: list[Box]) -> None:
    forth, back = compare_boxes(one, other), compare_boxes(other, one)
    assert (forth.pairs, forth.only_one, forth.only_other) == (back.pairs, back.only_other, back.only_one)
    assert forth.f1 is None or 0 <= forth.f1 <= 1


def test_adjudicators_do_not_count_for_agreement() -> None:
    votes = panel({"ada": (HERE,), "bob": (HERE,)})
    votes["0"]["judge"] = Vote("0", "judge", (FAR,), adjudicator=True)
    assert agreement_of(votes).alpha == agreement_of(panel({"ada": (HERE,), "bob": (HERE,)})).alpha
    assert agreement_of(votes).annotators == ("ada", "bob")


def test_better_people_agree_better_and_leave_one_out_ranks_them() -> None:
    found = scenes(60, seed=2)
    drawn = [scene.votes for scene in found]
    scores = [leave_one_out_f1(drawn, f"person {place}") for place in range(len(PEOPLE))]
    assert None not in scores
    assert scores == sorted(scores, reverse=True)
    careful = agreement_of(panel(*[{name: one[name] for name in ("person 0", "person 1")} for one in drawn]))
    careless = agreement_of(panel(*[{name: one[name] for name in ("person 3", "person 4")} for one in drawn]))
    assert careful.alpha > careless.alpha
    assert careful.mean_f1 > careless.mean_f1
    assert np.isfinite(careful.alpha)
