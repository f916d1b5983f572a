"""helm's wishes and people's decisions in one ledger: who asked last for something new is heard, and nothing is undone."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belisha.components.release.release import promote, rollback
from belisha.components.release.values_wish import Wish, apply_values, last_wish
from belisha.components.route.traffic import split_traffic
from belisha.components.shared.errors import InputError
from belisha.components.shared.ledger import LedgerState
from belisha.components.shared.registry import open_registry
from tests.release_folders import release_one

HELM = "helm/ml/belisha"


@pytest.fixture
def storage(tmp_path: Path) -> str:
    """A champion v1 and its challenger v2."""
    uri = f"file://{tmp_path / 'storage'}"
    release_one(tmp_path, uri)
    release_one(tmp_path, uri, champion="v1", gain=2.0)
    assert state(uri) == LedgerState("v1", "v2", 0.0)
    return uri


def state(uri: str) -> LedgerState:
    return open_registry(uri).ledger.state()


def length(uri: str) -> int:
    return len(open_registry(uri).ledger.records())


def upgrade(uri: str, revision: int = 2, **values: object) -> str:
    return apply_values(uri, Wish(HELM, **values), revision=revision).sentence  # type: ignore[arg-type]


def test_a_wish_becomes_a_record_with_its_source(storage: str) -> None:
    upgrade(storage, 4, challenger_percent=25)
    assert state(storage) == LedgerState("v1", "v2", 0.25)
    record = open_registry(storage).ledger.records()[-1]
    assert record.draft.details["revision"] == 4
    assert last_wish([record], HELM) == Wish(HELM, challenger_percent=25).to_json()
    assert "helm/ml/belisha, revision 4" in record.draft.reason


def test_an_upgrade_with_old_values_leaves_what_people_decided(storage: str) -> None:
    upgrade(storage, 2, challenger_percent=25)
    split_traffic(storage, 0.6, reason="by kubectl")
    before = length(storage)
    assert "asked for this before" in upgrade(storage, 3, challenger_percent=25)
    assert state(storage).challenger_traffic_ratio == 0.6
    assert length(storage) == before


def test_an_upgrade_with_new_values_is_heard(storage: str) -> None:
    split_traffic(storage, 0.6, reason="by kubectl")
    upgrade(storage, 3, challenger_percent=30)
    assert state(storage).challenger_traffic_ratio == 0.3


def test_a_wish_that_is_met_already_is_noted_so_that_repeating_it_later_undoes_nothing(storage: str) -> None:
    split_traffic(storage, 0.25, reason="by kubectl")
    assert "already" in upgrade(storage, 2, challenger_percent=25)
    split_traffic(storage, 0.6, reason="by kubectl")
    upgrade(storage, 3, challenger_percent=25)
    assert state(storage).challenger_traffic_ratio == 0.6


def test_a_rollback_of_helm_brings_its_earlier_wish_back(storage: str) -> None:
    for revision, percent in enumerate((10, 25, 10), start=2):
        upgrade(storage, revision, challenger_percent=percent)
    assert state(storage).challenger_traffic_ratio == 0.1


def test_a_job_that_runs_twice_records_once(storage: str) -> None:
    upgrade(storage, 2, challenger_percent=25)
    before = length(storage)
    upgrade(storage, 2, challenger_percent=25)
    assert length(storage) == before


def test_old_values_give_the_next_challenger_nothing(storage: str, tmp_path: Path) -> None:
    upgrade(storage, 2, challenger_percent=50)
    promote(storage, None, reason="by kubectl")
    release_one(tmp_path, storage, champion="v2", gain=3.0)
    upgrade(storage, 3, challenger_percent=50)
    assert state(storage) == LedgerState("v2", "v3", 0.0)
    upgrade(storage, 4, challenger="v3", challenger_percent=50)
    assert state(storage) == LedgerState("v2", "v3", 0.5)


def test_two_installations_do_not_hear_each_others_wishes(storage: str) -> None:
    upgrade(storage, 2, challenger_percent=25)
    apply_values(storage, Wish("helm/other/belisha", challenger_percent=40), revision=1)
    upgrade(storage, 3, challenger_percent=25)
    assert state(storage).challenger_traffic_ratio == 0.4


def test_a_promotion_by_values(storage: str) -> None:
    upgrade(storage, 2, champion="v2")
    assert state(storage) == LedgerState("v2")
    rollback(storage, reason="by kubectl")
    upgrade(storage, 3, champion="v2")
    assert state(storage) == LedgerState("v1"), "the rollback stays until the values ask for something new"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"challenger": "v9", "challenger_percent": 5}, "v2 is challenger now"),
        ({"champion": "v9"}, "no model version 'v9'"),
        ({"champion": "v2", "challenger_percent": 5}, "one after the other"),
    ],
    ids=["no such challenger", "no such version", "both at once"],
)
def test_what_cannot_be_met_is_refused_and_not_recorded(storage: str, values: dict[str, object], words: str) -> None:
    before = length(storage)
    with pytest.raises(InputError, match=words):
        upgrade(storage, 2, **values)
    assert length(storage) == before


def test_gates_hold_for_values_too(storage: str, tmp_path: Path) -> None:
    release_one(tmp_path, storage, verdict="FAIL", champion="v1", gain=4.0)
    with pytest.raises(InputError, match="did not pass its gates"):
        upgrade(storage, 2, champion="v3")


def test_share_of_nobody(tmp_path: Path) -> None:
    uri = f"file://{tmp_path / 'empty'}"
    with pytest.raises(InputError, match="there is none"):
        upgrade(uri, 1, challenger_percent=5)
    assert "no traffic" in upgrade(uri, 1, challenger_percent=0)


@settings(max_examples=25)
@given(steps=st.lists(st.tuples(st.sampled_from(["kubectl", "helm"]), st.integers(0, 4)), max_size=8))
def test_the_last_to_ask_for_something_new_is_heard(
    steps: list[tuple[str, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("wishes")
    uri = f"file://{folder / 'storage'}"
    _start(uri)
    share, wished = 0, None
    for revision, (who, tens) in enumerate(steps, start=1):
        if who == "kubectl":
            split_traffic(uri, tens / 10, reason="")
            share = tens
        else:
            upgrade(uri, revision, challenger_percent=10 * tens)
            share = tens if tens != wished else share
            wished = tens
        assert round(10 * state(uri).challenger_traffic_ratio) == share


def _start(uri: str) -> None:
    from belisha.components.shared.ledger import Action, Draft

    start = Draft(Action.CHALLENGE, "v2", "begin", LedgerState("v1", "v2", 0.0))
    open_registry(uri).ledger.append(lambda _records, _state: start)
