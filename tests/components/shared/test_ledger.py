"""Many writers, none of whom loses a record; damage that is told, never guessed over."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path

import pytest

from belisha.components.shared.errors import AlreadyExistsError, ContractError, InputError, StorageError
from belisha.components.shared.ledger import Action, Draft, Ledger, LedgerState, Record
from belisha.components.shared.storage import ObjectStore, open_store

WRITERS, RECORDS_EACH = 8, 10
SCRIPT = Path(__file__).with_name("ledger_writer.py")


def draft(subject: str, state: LedgerState | None = None) -> Draft:
    return Draft(Action.REGISTER, subject, "because", state or LedgerState())


def append(ledger: Ledger, subject: str) -> Record | None:
    return ledger.append(lambda _, state: draft(subject, state))


def test_empty_ledger_has_no_champion(tmp_path: Path) -> None:
    ledger = Ledger(open_store(str(tmp_path)))
    assert ledger.records() == []
    assert ledger.state() == LedgerState()


def test_records_come_back_as_written(tmp_path: Path) -> None:
    when = datetime(2026, 3, 1, 12, 30, 0, 5, UTC)
    written = Draft(
        Action.PROMOTE,
        "v1",
        "größer – 好",
        LedgerState("v1", "v2", 0.25),
        "e" * 64,
        "run 1",
        {"asked": "why", "n": [1, 2.5]},
    )
    record = Ledger(open_store(str(tmp_path)), clock=lambda: when, actor="ann").append(lambda *_: written)
    assert record == Record(1, when, "ann", written)
    assert Ledger(open_store(str(tmp_path))).records() == [record]


def test_declining_writes_nothing(tmp_path: Path) -> None:
    ledger = Ledger(open_store(str(tmp_path)))
    assert ledger.append(lambda *_: None) is None
    assert ledger.records() == []


def test_one_opening_reads_what_another_wrote(tmp_path: Path) -> None:
    first, second = Ledger(open_store(str(tmp_path))), Ledger(open_store(str(tmp_path)))
    for number in range(25):
        append(first if number % 2 else second, f"v{number}")
    assert [record.draft.subject for record in first.records()] == [f"v{number}" for number in range(25)]
    assert first.records() == second.records()


class CountingStore:
    """A store that counts reads."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self.reads = 0

    def read(self, key: str) -> bytes:
        self.reads += 1
        return self._store.read(key)

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


def test_a_process_reads_each_record_once() -> None:
    uri = f"memory://{uuid.uuid4().hex}"
    store = CountingStore(open_store(uri))
    other, ledger = Ledger(open_store(uri)), Ledger(store)  # type: ignore[arg-type]
    for number in range(100):
        append(other, f"v{number}")
    for _ in range(5):
        ledger.records()
    append(other, "new")
    assert len(ledger.records()) == 101
    assert store.reads == 101


def test_threads_in_memory_lose_no_record() -> None:
    uri = f"memory://{uuid.uuid4().hex}"

    def work(name: str) -> None:
        ledger = Ledger(open_store(uri), actor=name)
        for number in range(RECORDS_EACH):
            append(ledger, f"{name}-{number}")

    threads = [threading.Thread(target=work, args=(f"w{index}",)) for index in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert_complete(uri)


@pytest.mark.parametrize("backend", ["file", "s3"])
def test_processes_lose_no_record(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    uri = str(tmp_path / "store") if backend == "file" else f"{request.getfixturevalue('s3_uri')}/registry"
    race(uri)
    assert_complete(uri)


def race(uri: str) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, SCRIPT, uri, f"w{index}", str(RECORDS_EACH)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for index in range(WRITERS)
    ]
    for writer in writers:
        assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=100)
        assert writer.returncode == 0


def assert_complete(uri: str) -> None:
    records = Ledger(open_store(uri)).records()
    assert [record.number for record in records] == list(range(1, WRITERS * RECORDS_EACH + 1))
    for index in range(WRITERS):
        mine = [record.draft.subject for record in records if record.actor == f"w{index}"]
        assert mine == [f"w{index}-{number}" for number in range(RECORDS_EACH)]


def test_a_killed_writer_leaves_no_half_record(tmp_path: Path) -> None:
    """SIGKILL at a different moment each round; readers never see damage and the next writer goes on."""
    written = 0
    for round_number in range(5):
        writer = subprocess.Popen(
            [sys.executable, SCRIPT, str(tmp_path), f"killed{round_number}", "100000"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert writer.stdout is not None and writer.stdin is not None
        writer.stdout.readline()
        writer.stdin.write("go\n")
        writer.stdin.flush()
        ledger = Ledger(open_store(str(tmp_path)))
        while len(ledger.records()) < written + 5:
            time.sleep(0.002 * (round_number + 1))
        writer.kill()
        writer.communicate()
        written = len(Ledger(open_store(str(tmp_path))).records())
    record = append(Ledger(open_store(str(tmp_path))), "after")
    assert record is not None and record.number == written + 1


class LosingAnswers:
    """A store whose create goes through but whose answer is lost, so that its retry meets the object: what S3 does."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def create(self, key: str, data: bytes) -> None:
        self._store.create(key, data)
        raise AlreadyExistsError("lost the answer")

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


def test_a_lost_answer_adds_no_second_record(tmp_path: Path) -> None:
    ledger = Ledger(LosingAnswers(open_store(str(tmp_path))))  # type: ignore[arg-type]
    record = append(ledger, "v1")
    assert record is not None and record.number == 1
    assert len(ledger.records()) == 1


class AlwaysTaken:
    """A store in which somebody else is always first."""

    uri = "memory://taken"

    def list(self, prefix: str, *, after: str = "") -> list[str]:
        return []

    def read(self, key: str) -> bytes:
        return b"somebody else's"

    def create(self, key: str, data: bytes) -> None:
        raise AlreadyExistsError("taken")


def test_losing_every_race_ends_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with pytest.raises(StorageError, match="times in a row: try again later"):
        append(Ledger(AlwaysTaken()), "v1")  # type: ignore[arg-type]


@pytest.mark.parametrize("expected", [0, 2, 99])
def test_an_unexpected_last_record_is_refused(expected: int, tmp_path: Path) -> None:
    ledger = Ledger(open_store(str(tmp_path)))
    append(ledger, "v1")
    with pytest.raises(InputError, match=f"is 1, expected {expected}"):
        ledger.append(lambda *_: draft("v2"), expect_number=expected)
    assert ledger.append(lambda *_: draft("v2"), expect_number=1) is not None


@pytest.mark.parametrize(
    ("case", "damage"),
    [
        ("empty", b""),
        ("half", b'{"schema": "belisha.ledger/1", "num'),
        ("not an object", b"[1, 2]"),
        ("no state", b'{"schema": "belisha.ledger/1", "number": 1, "at": "2026-01-01T00:00:00+00:00", "actor": "a"}'),
        ("binary", bytes(range(256))),
        ("unknown field", b'{"schema": "belisha.ledger/1", "x": 1}'),
    ],
)
def test_damage_is_told_with_the_records_name(case: str, damage: bytes, tmp_path: Path) -> None:
    append(Ledger(open_store(str(tmp_path))), "v1")
    (tmp_path / "ledger/00000001.json").write_bytes(damage)
    with pytest.raises(ContractError, match=r"00000001\.json is not a readable ledger record"):
        Ledger(open_store(str(tmp_path))).records()


def test_a_newer_ledger_is_not_called_damaged(tmp_path: Path) -> None:
    append(Ledger(open_store(str(tmp_path))), "v1")
    path = tmp_path / "ledger/00000001.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": "belisha.ledger/2"}))
    with pytest.raises(ContractError, match="use a newer belisha"):
        Ledger(open_store(str(tmp_path))).records()


def test_a_missing_record_is_told(tmp_path: Path) -> None:
    ledger = Ledger(open_store(str(tmp_path)))
    for number in range(4):
        append(ledger, f"v{number}")
    (tmp_path / "ledger/00000002.json").unlink()
    with pytest.raises(ContractError, match="lacks record 2"):
        Ledger(open_store(str(tmp_path))).records()
