"""Groups to parts: shares, stability, and no empty part."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belisha.components.shared.errors import InputError
from belisha.components.split.assign import (
    BY_FEW,
    BY_HASH,
    BY_ORDER,
    TEST,
    TRAIN,
    VAL,
    Candidates,
    by_hash,
    first_assignment,
    unit_hash,
)
from belisha.components.split.options import Ratios

RATIOS = Ratios(0.8, 0.1, 0.1)


def candidates(
    pictures: list[int], strata: list[int] | None = None, pedestrians: list[int] | None = None
) -> Candidates:
    return Candidates(
        [f"group-{number}" for number in range(len(pictures))],
        np.array(pictures),
        np.array(pedestrians if pedestrians is not None else pictures),
        np.array(strata if strata is not None else [0] * len(pictures)),
    )


def test_hash_is_the_documented_one() -> None:
    digest = hashlib.blake2b("salt:grüppe".encode(), digest_size=8).digest()
    assert unit_hash("salt", ["grüppe"])[0] == int.from_bytes(digest, "big") / 2**64


def test_hash_meets_its_shares_on_many_groups_and_depends_on_the_salt() -> None:
    names = [f"g{number}" for number in range(20_000)]
    parts = by_hash(unit_hash("a", names), RATIOS)
    assert np.bincount(parts) / len(names) == pytest.approx([0.8, 0.1, 0.1], abs=0.01)
    assert (parts != by_hash(unit_hash("b", names), RATIOS)).mean() > 0.2


def test_hash_of_a_group_does_not_depend_on_the_others() -> None:
    names = [f"g{number}" for number in range(1000)]
    assert (unit_hash("s", names)[::7] == unit_hash("s", names[::7])).all()


@pytest.mark.parametrize(
    ("sizes", "method"),
    [
        pytest.param([5] * 3, BY_FEW, id="as many groups as parts"),
        pytest.param([8, 7, 6, 4], BY_FEW, id="four sequences"),
        pytest.param([1] * 9, BY_FEW, id="nine"),
        pytest.param([1] * 10, BY_ORDER, id="ten"),
        pytest.param([1] * 499, BY_ORDER, id="below the border"),
        pytest.param([1] * 500, BY_HASH, id="at the border"),
    ],
)
def test_method_by_number_of_groups_leaves_no_part_empty(sizes: list[int], method: str) -> None:
    for salt in ("a", "b", "c", "d"):
        parts, found = first_assignment(candidates(sizes), RATIOS, salt)
        assert found == method
        assert set(parts.tolist()) == {TRAIN, VAL, TEST}


def test_few_groups_keep_the_largest_for_training_and_test_on_people() -> None:
    for salt in map(str, range(20)):
        few = candidates([4, 90, 6, 7], pedestrians=[0, 50, 3, 3])
        parts, _ = first_assignment(few, RATIOS, salt)
        assert parts[1] == TRAIN
        assert sorted([parts[2], parts[3]]) == [VAL, TEST]


def test_another_salt_is_another_draw_of_few_groups() -> None:
    draws = {tuple(first_assignment(candidates([8, 7, 6, 4]), RATIOS, str(salt))[0].tolist()) for salt in range(30)}
    assert len(draws) == 6


@pytest.mark.parametrize("groups", [0, 1, 2])
def test_fewer_groups_than_parts_are_refused_with_a_way_out(groups: int) -> None:
    with pytest.raises(InputError, match=r"80/10/10:time"):
        first_assignment(candidates([5] * groups), RATIOS, "s", timed=True)
    with pytest.raises(InputError, match="capture times, which are missing"):
        first_assignment(candidates([5] * groups), RATIOS, "s", timed=False)


def test_order_holds_shares_inside_each_condition() -> None:
    strata = [number % 4 for number in range(200)]
    parts, method = first_assignment(candidates([10] * 200, strata), RATIOS, "s")
    assert method == BY_ORDER
    for stratum in range(4):
        counts = np.bincount(parts[np.array(strata) == stratum], minlength=3)
        assert counts.tolist() == [40, 5, 5]


def test_order_carries_what_small_conditions_cannot_give() -> None:
    strata = list(range(60))
    parts, _ = first_assignment(candidates([10] * 60, strata), RATIOS, "s")
    assert np.bincount(parts).tolist() == [48, 6, 6]


def test_order_follows_the_hash() -> None:
    equal = candidates([1] * 100)
    parts, _ = first_assignment(equal, RATIOS, "s")
    units = unit_hash("s", equal.names)
    assert (
        units[parts == TRAIN].max()
        < units[parts == VAL].min()
        <= units[parts == VAL].max()
        < units[parts == TEST].min()
    )


def test_one_huge_group_trains_and_the_others_are_shared() -> None:
    parts, _ = first_assignment(candidates([5000] + [10] * 99), RATIOS, "s")
    assert parts[0] == TRAIN
    assert {VAL, TEST} <= set(parts.tolist())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 400), st.integers(0, 5), st.integers(0, 3)), min_size=3, max_size=120),
    st.sampled_from([RATIOS, Ratios(0.6, 0.2, 0.2), Ratios(0.8, 0.0, 0.2)]),
    st.text("abc", min_size=1, max_size=3),
)
def test_any_groups_fill_the_parts_that_were_asked_for(
    groups: list[tuple[int, int, int]], ratios: Ratios, salt: str
) -> None:
    sizes, strata, people = (list(column) for column in zip(*groups, strict=True))
    found = candidates(sizes, strata, people)
    parts, _ = first_assignment(found, ratios, salt)
    assert set(parts.tolist()) == ({TRAIN, VAL, TEST} if ratios.val else {TRAIN, TEST})
    assert (parts == first_assignment(found, ratios, salt)[0]).all()
