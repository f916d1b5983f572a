"""Choosing: quotas, spread, and a uniform draw whose probability is what it says."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belisha.components.review.candidates import Candidate
from belisha.components.review.choose import ChoiceSettings, Look, choose, quota_of
from belisha.components.review.spread import features_of, k_centre_order
from belisha.components.shared.drift_alert import ANY, DriftedStratum
from belisha.components.shared.errors import InputError
from belisha.components.shared.hashing import unit_interval
from belisha.components.shared.review_queue import ModelAnswer, Pick
from tests.components.review.queue_world import NOON
from tests.factories import fake_id


def candidate(number: int, **changes: object) -> Candidate:
    values: dict[str, object] = {
        "picture_id": fake_id(number), "picture_uri": f"file:///x/{number}", "captured_at": NOON + timedelta(minutes=number),
        "camera": "north", "statistics": tuple(np.random.default_rng(number).normal(size=10)), "uncertainty": 0.5,
    }  # fmt: skip
    return Candidate(**{**values, **changes})  # type: ignore[arg-type]


def unlike(candidates: Sequence[Candidate]) -> list[Look | None]:
    """Pictures that do not resemble each other."""
    return [Look(640, 480, int(unit_interval("look", one.picture_id) * 2**63)) for one in candidates]


def chosen(candidates: Sequence[Candidate], pictures: int = 20, **options: object):
    known = {"handed_out": frozenset(), "strata": (), "salt": "s", "look": unlike, **options}
    return choose(candidates, settings=ChoiceSettings(pictures), **known)  # type: ignore[arg-type]


@given(pictures=st.integers(1, 500), weights=st.lists(st.integers(0, 20), min_size=4, max_size=4).filter(any))
@settings(deadline=None)
def test_quotas_are_whole_and_sum_to_what_was_asked(pictures: int, weights: list[int]) -> None:
    shares = {pick: weight / sum(weights) for pick, weight in zip(Pick, weights, strict=True)}
    quota = quota_of(pictures, shares)
    assert sum(quota.values()) == pictures
    assert all(abs(quota[pick] - pictures * shares[pick]) < 1 + 1e-6 for pick in Pick)


def test_default_quotas() -> None:
    quota = quota_of(60, ChoiceSettings().shares)
    assert quota == {Pick.UNCERTAIN: 30, Pick.DISAGREEMENT: 12, Pick.DRIFTED: 9, Pick.UNIFORM: 9}


def test_every_reason_gets_its_quota_where_there_is_enough_of_it() -> None:
    found = [candidate(number) for number in range(100)]
    found += [candidate(number, disagreement=0.5) for number in range(100, 200)]
    found += [candidate(number, camera="night") for number in range(200, 300)]
    found += [candidate(number, uniform_probability=0.01, uncertainty=0.0) for number in range(300, 400)]
    stratum = DriftedStratum("night", "night", NOON, NOON + timedelta(days=1), 100)
    picks = Counter(item.pick for item in chosen(found, 60, strata=(stratum,)).items)
    assert picks == quota_of(60, ChoiceSettings().shares)


def test_what_a_reason_cannot_use_goes_to_the_others() -> None:
    picks = Counter(item.pick for item in chosen([candidate(number) for number in range(100)]).items)
    assert picks == {Pick.UNCERTAIN: 20}
    sure = [candidate(number, uncertainty=0.0, uniform_probability=0.1) for number in range(100)]
    assert Counter(item.pick for item in chosen(sure).items) == {Pick.UNIFORM: 20}


def test_one_camera_gives_at_most_one_picture_in_half_a_minute() -> None:
    found = [candidate(number, captured_at=NOON + timedelta(seconds=5 * number)) for number in range(60)]
    choice = chosen(found, 60)
    times = sorted(item.captured_at for item in choice.items)
    assert all((after - before).total_seconds() >= 30 for before, after in itertools.pairwise(times))
    assert len(times) >= 5
    assert choice.left_out == {"camera_rate": 60 - len(times)}


def test_near_duplicates_and_lost_pictures_are_passed_over_and_counted() -> None:
    def look(candidates: Sequence[Candidate]) -> list[Look | None]:
        return [None if one.camera == "gone" else Look(640, 480, 7) for one in candidates]

    found = [candidate(number) for number in range(5)] + [candidate(9, camera="gone")]
    choice = chosen(found, look=look)
    assert len(choice.items) == 1
    assert choice.left_out == {"near_duplicate": 4, "unreadable": 1}


def test_a_fixed_cameras_pictures_are_duplicates_only_where_the_same_people_stand() -> None:
    """To a perceptual hash a fixed camera shows one picture all day."""

    def seen(number: int, *boxes: tuple[float, float, float, float]) -> Candidate:
        answer = ModelAnswer("v1", "champion", "r", shadow=False, boxes_xywh_px=boxes, scores=(0.5,) * len(boxes))
        return candidate(number, answers=(answer,))

    here, nearly, there = (10.0, 10.0, 40.0, 100.0), (12.0, 11.0, 40.0, 100.0), (200.0, 10.0, 40.0, 100.0)
    found = [seen(0, here), seen(1, nearly), seen(2, there), seen(3, here, there), seen(4), seen(5)]
    choice = chosen(found, look=lambda candidates: [Look(640, 480, 7)] * len(candidates))
    taken = {item.picture_id for item in choice.items}
    assert len(taken & {fake_id(0), fake_id(1)}) == 1
    assert {fake_id(2), fake_id(3)} <= taken
    assert len(taken & {fake_id(4), fake_id(5)}) == 1
    assert choice.left_out == {"near_duplicate": 2}


def test_what_was_handed_out_is_not_handed_out_again() -> None:
    found = [candidate(number, uniform_probability=0.1) for number in range(30)]
    before = frozenset(one.picture_id for one in found[:20])
    choice = chosen(found, 30, handed_out=before)
    assert {item.picture_id for item in choice.items} == {one.picture_id for one in found[20:]}


def test_the_uniform_draw_is_as_likely_as_it_says() -> None:
    """Over many salts every candidate is drawn as often as the recorded probability, given serving's own draw, says."""
    found = [
        candidate(number, uniform_probability=0.1, uncertainty=1.0 if number < 15 else 0.0) for number in range(30)
    ]
    handed_out = frozenset(one.picture_id for one in found[:10])
    counts: Counter[str] = Counter()
    draws = 400
    for salt in range(draws):
        choice = chosen(found, 20, salt=f"draw {salt}", handed_out=handed_out)
        drawn = {item.picture_id: item.inclusion_probability for item in choice.items if item.pick is Pick.UNIFORM}
        drawn |= choice.drawn_before
        assert list(drawn.values()) == pytest.approx([0.1 * len(drawn) / 30] * len(drawn))
        assert not choice.drawn_before.keys() - handed_out
        counts.update(drawn.keys())
    share = len(drawn) / 30
    expected, spread = draws * share, 4.5 * (draws * share * (1 - share)) ** 0.5
    assert all(abs(counts[one.picture_id] - expected) < spread for one in found)


def test_only_the_uniform_draw_has_a_probability() -> None:
    found = [candidate(number, uniform_probability=0.1 if number % 2 else None) for number in range(60)]
    for item in chosen(found).items:
        assert (item.inclusion_probability is not None) == (item.pick is Pick.UNIFORM)


def test_a_stratum_of_all_cameras_is_known_by_its_time() -> None:
    stratum = DriftedStratum(ANY, ANY, NOON + timedelta(minutes=50), NOON + timedelta(minutes=60), 10)
    found = [candidate(number, uncertainty=0.0) for number in range(100)]
    items = chosen(found, 40, strata=(stratum,)).items
    assert {item.pick for item in items} == {Pick.DRIFTED}
    assert all(50 <= (item.captured_at - NOON).total_seconds() / 60 <= 60 for item in items)


@pytest.mark.parametrize("shares", [{Pick.UNIFORM: 0.5}, {Pick.UNIFORM: 1.5, Pick.UNCERTAIN: -0.5}])
def test_shares_that_are_none_are_refused(shares: dict[Pick, float]) -> None:
    with pytest.raises(InputError, match="sum to 1"):
        ChoiceSettings(10, shares)


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=1, max_size=40), st.integers(1, 10))
@settings(deadline=None)
def test_k_centre_covers_within_twice_the_spacing_of_its_centres(points: list, centres: int) -> None:
    """Gonzalez: all points lie within the distance at which the next centre would come, which bounds the optimum by two."""
    features = np.array(points, dtype=np.float64)
    order = k_centre_order(features)
    assert sorted(order) == list(range(len(points)))
    head = features[order[:centres]]
    radius = np.linalg.norm(features[:, None] - head[None], axis=2).min(axis=1).max()
    if len(order) > centres:
        added = np.linalg.norm(features[order[centres]] - head, axis=1).min()
        assert radius == pytest.approx(added)
        between = np.linalg.norm(head[:, None] - head[None], axis=2)
        assert between[np.triu_indices(len(head), 1)].min(initial=np.inf) >= radius - 1e-9


def test_embeddings_go_before_statistics_and_lengths_do_not_mix() -> None:
    with_embedding = [candidate(number, embedding=(1.0, float(number))) for number in range(3)]
    assert features_of(with_embedding).shape == (3, 2)
    assert np.linalg.norm(features_of(with_embedding), axis=1) == pytest.approx(np.ones(3))
    mixed = [*with_embedding, candidate(9, embedding=(1.0, 2.0, 3.0)), candidate(10, statistics=())]
    assert features_of(mixed).shape == (5, 10)
    assert np.isfinite(features_of(mixed)).all()
    assert features_of([]).shape == (0, 0)
