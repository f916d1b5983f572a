"""The queue's contract: what is written is read back, the latest word counts, and damage is one sentence."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belisha.components.shared.errors import ContractError
from belisha.components.shared.manifest import Box
from belisha.components.shared.review_queue import (
    Batch,
    Import,
    Method,
    ModelAnswer,
    Pick,
    QueueItem,
    Truth,
    Vote,
    batch_json,
    import_json,
    join_reviewed,
    latest_votes,
    parse_batch,
    parse_import,
    waiting_items,
)
from tests.factories import fake_id

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
NUMBERS = st.floats(0, 1e4)
WORDS = st.text(max_size=8)
MOMENTS = st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))
BOXES = st.lists(
    st.builds(Box, *[NUMBERS] * 4, st.booleans(), st.none() | st.floats(0, 1), WORDS, WORDS), max_size=3
).map(tuple)
ANSWERS = st.builds(
    ModelAnswer, WORDS, WORDS, WORDS, st.booleans(), st.lists(st.tuples(*[NUMBERS] * 4), max_size=3).map(tuple),
    st.lists(st.floats(0, 1), max_size=3).map(tuple),
)  # fmt: skip
ITEMS = st.builds(
    QueueItem, WORDS, WORDS, st.integers(1, 9000), st.integers(1, 9000), MOMENTS, WORDS, WORDS, st.sampled_from(Pick),
    st.floats(0, 1), st.none() | st.floats(0, 1), st.lists(ANSWERS, max_size=2).map(tuple),
)  # fmt: skip
BATCHES = st.builds(
    Batch, st.integers(1, 9), WORDS, WORDS, MOMENTS, MOMENTS, MOMENTS, st.lists(ITEMS, max_size=3).map(tuple),
    st.dictionaries(WORDS, st.floats(0, 1), max_size=2), st.dictionaries(WORDS, st.integers(0, 9), max_size=2),
)  # fmt: skip
VOTES = st.builds(Vote, WORDS, WORDS, BOXES, st.booleans(), st.none() | NUMBERS)
TRUTHS = st.builds(
    Truth, WORDS, BOXES, st.sampled_from(Method), st.lists(WORDS, max_size=3).map(tuple), st.integers(0, 9)
)
IMPORTS = st.builds(
    Import, st.integers(1, 9), MOMENTS, WORDS, WORDS, st.lists(VOTES, max_size=2).map(tuple),
    st.lists(TRUTHS, max_size=2).map(tuple),
)  # fmt: skip


def through_json(value: dict[str, Any], number: int) -> dict[str, Any]:
    return {**json.loads(json.dumps(value, allow_nan=False)), "number": number}


@given(batch=BATCHES)
@settings(deadline=None)
def test_batches_come_back(batch: Batch) -> None:
    assert parse_batch(through_json(batch_json(batch), batch.number)) == batch


@given(one=IMPORTS)
@settings(deadline=None)
def test_imports_come_back(one: Import) -> None:
    assert parse_import(through_json(import_json(one), one.number)) == one


@pytest.mark.parametrize(
    "damage", [{"items": 3}, {"items": [{}]}, {"items": None}, {"created_at": "noon"}, {"begin": None}]
)  # fmt: skip
def test_a_damaged_batch_is_one_sentence(damage: dict[str, Any]) -> None:
    whole = batch_json(Batch(1, "k", "c", NOON, NOON, NOON, ()))
    with pytest.raises(ContractError, match="review batch 1 is damaged"):
        parse_batch({**whole, "number": 1, **damage})
    with pytest.raises(ContractError, match="review import None is damaged"):
        parse_import({})


def item(number: int) -> QueueItem:
    return QueueItem(fake_id(number), "file:///p", 640, 480, NOON, "north", "day", Pick.UNIFORM, 0.5)


def taken(number: int, *truths: Truth, votes: tuple[Vote, ...] = ()) -> Import:
    return Import(number, NOON, "d", "f", votes, truths)


def truth(number: int, *people: str, method: Method = Method.CONSENSUS) -> Truth:
    return Truth(fake_id(number), (), method, people)


BATCH = Batch(1, "k", "c", NOON, NOON, NOON, (item(0), item(1), item(2)))


def test_the_latest_truth_of_a_picture_counts() -> None:
    imports = [taken(1, truth(0, "ada"), truth(1, "ada")), taken(2, truth(0, "ada", "bob"))]
    found = join_reviewed([BATCH], imports)
    assert [(one.item.picture_id, one.truth.annotators) for one in found] == [
        (fake_id(0), ("ada", "bob")), (fake_id(1), ("ada",)),
    ]  # fmt: skip


@pytest.mark.parametrize(("people", "waiting"), [(1, [2]), (2, [1, 2]), (3, [0, 1, 2])])
def test_a_picture_waits_for_so_many_people(people: int, waiting: list[int]) -> None:
    imports = [taken(1, truth(0, "ada", "bob"), truth(1, "ada"))]
    assert [one.picture_id for _, one in waiting_items([BATCH], imports, people)] == [fake_id(n) for n in waiting]


def test_what_an_adjudicator_decided_waits_for_nobody() -> None:
    imports = [taken(1, truth(0, "judge", method=Method.ADJUDICATED))]
    assert fake_id(0) not in [one.picture_id for _, one in waiting_items([BATCH], imports, people=5)]


def test_an_adjudicators_word_does_not_replace_their_own_first_one() -> None:
    votes = (Vote("p", "ada"), Vote("p", "ada", adjudicator=True), Vote("p", "ada", (Box(1, 1, 2, 2),)))
    found = latest_votes([taken(1, votes=votes)])["p"]
    assert {voice: len(vote.boxes) for voice, vote in found.items()} == {"ada": 1, "ada (adjudicator)": 0}
