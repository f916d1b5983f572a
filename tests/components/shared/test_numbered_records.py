"""Numbered records: no gap, no lost race, no half record."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from belisha.components.shared.errors import ContractError
from belisha.components.shared.numbered_records import NumberedRecords, Value
from belisha.components.shared.storage import open_store


def records(folder: Path) -> NumberedRecords:
    return NumberedRecords(open_store(str(folder)), "review/things", "things/1")


def test_what_is_appended_is_read_back_in_order(tmp_path: Path) -> None:
    for word in ("one", "two"):
        assert records(tmp_path).append(lambda _, word=word: {"word": word})
    assert [(one["number"], one["word"]) for one in records(tmp_path).read_all()] == [(1, "one"), (2, "two")]


def test_declining_writes_nothing(tmp_path: Path) -> None:
    assert records(tmp_path).append(lambda _: None) is None
    assert records(tmp_path).read_all() == []


def test_racing_writers_each_get_a_number_of_their_own(tmp_path: Path) -> None:
    begin = threading.Barrier(8)

    def write(name: int) -> None:
        begin.wait()
        records(tmp_path).append(lambda known: {"writer": name, "seen": len(known)})

    threads = [threading.Thread(target=write, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = records(tmp_path).read_all()
    assert sorted(one["writer"] for one in found) == list(range(8))
    # Each decided on exactly the records before its own.
    assert [one["seen"] for one in found] == list(range(8))


def test_a_lost_answer_to_a_put_that_went_through_is_no_lost_race(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    create = store.create

    def forgetful(key: str, data: bytes) -> None:
        create(key, data)
        create(key, data)  # the store's own retry meets our own record

    store.create = forgetful  # type: ignore[method-assign]
    found = NumberedRecords(store, "things", "things/1").append(lambda _: {"word": "one"})
    assert found is not None
    assert found["number"] == 1


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        pytest.param({"000001.json": None}, "lacks record 1", id="missing"),
        pytest.param({"000001.json": b"{"}, "not a readable record", id="cut"),
        pytest.param({"000001.json": b"[]"}, "not a readable record", id="no object"),
        pytest.param({"000001.json": b'{"schema": "things/2"}'}, "expected 'things/1'", id="another version"),
    ],
)
def test_damage_is_one_sentence(tmp_path: Path, damage: dict[str, bytes | None], words: str) -> None:
    values: list[Value] = [{"word": "one"}, {"word": "two"}]
    for value in values:
        records(tmp_path).append(lambda _, value=value: value)
    for name, data in damage.items():
        path = tmp_path / "review" / "things" / name
        path.unlink()
        if data is not None:
            path.write_bytes(data)
    with pytest.raises(ContractError, match=words):
        records(tmp_path).read_all()
