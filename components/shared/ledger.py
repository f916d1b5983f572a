"""The append-only ledger: numbered records written by create-only puts; the last record is the state of the world.

Two writers that race for a number are told apart by the store itself: one create wins, the other reads again and decides
anew. So there is no lock to lose, no server, and the audit trail and the state can never disagree.
"""

from __future__ import annotations

import enum
import getpass
import json
import os
import random
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from belisha.components.shared.errors import AlreadyExistsError, ContractError, InputError, StorageError
from belisha.components.shared.files import canonical_json
from belisha.components.shared.storage import ObjectStore

LEDGER_SCHEMA = "belisha.ledger/1"
LEDGER_PREFIX = "ledger"
# A writer that loses this many races in a row sees a ledger busier than any release process.
MAX_LOST_RACES = 1000
_LONGEST_PAUSE_SECONDS = 0.2
_READERS = 8

Clock = Callable[[], datetime]


class Action(enum.StrEnum):
    """What a record did."""

    REGISTER = "register"
    PROMOTE = "promote"
    CHALLENGE = "challenge"
    ROLLBACK = "rollback"
    TRAFFIC = "traffic"
    REFUSE = "refuse"
    TEST_LOOK = "test-look"
    DRIFT = "drift"
    REVIEW = "review"
    RETRAIN = "retrain"
    EXPERIMENT = "experiment"
    APPLY = "apply"


@dataclass(frozen=True, slots=True)
class LedgerState:
    """Who serves.

    Attributes:
        champion: model version that answers by default; None before the first release.
        challenger: model version on trial; None when there is none.
        challenger_traffic_ratio: share of requests that the challenger answers, 0..1.
    """

    champion: str | None = None
    challenger: str | None = None
    challenger_traffic_ratio: float = 0.0


@dataclass(frozen=True, slots=True)
class Draft:
    """A record before it has a number and a time.

    Attributes:
        action: what it does.
        subject: the model version or split digest it is about.
        reason: why, one sentence for people.
        state: the state after it.
        evidence_digest: SHA-256 of the decision or report behind it, empty when there is none.
        run_id: the run that caused it, empty for a person.
        details: JSON values worth keeping.
    """

    action: Action
    subject: str
    reason: str
    state: LedgerState
    evidence_digest: str = ""
    run_id: str = ""
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """A draft that was written: number from 1 upwards without gaps, UTC time, and who wrote it."""

    number: int
    at: datetime
    actor: str
    draft: Draft

    @property
    def state(self) -> LedgerState:
        """The state after this record."""
        return self.draft.state


Decide = Callable[[list[Record], LedgerState], Draft | None]


def system_clock() -> datetime:
    """The current time, UTC."""
    return datetime.now(UTC)


def default_actor() -> str:
    """Who acts: BELISHA_ACTOR, else the user's login name."""
    try:
        return os.environ.get("BELISHA_ACTOR") or getpass.getuser()
    except (KeyError, OSError):
        return f"uid-{os.getuid()}"


class Ledger:
    """Records below `ledger/` of a store."""

    def __init__(self, store: ObjectStore, *, clock: Clock = system_clock, actor: str | None = None) -> None:
        self._store = store
        self._clock = clock
        self._actor = actor or default_actor()
        self._known: list[Record] = []

    def records(self) -> list[Record]:
        """Every record, oldest first. Raises ContractError on a damaged or missing one, StorageError."""
        self._known = [*self._known, *self._read_after(len(self._known))]
        return list(self._known)

    def state(self) -> LedgerState:
        """The state after the last record."""
        return _state_after(self.records())

    def append(self, decide: Decide, *, expect_number: int | None = None) -> Record | None:
        """Write the record that `decide` makes of the present records and state.

        Args:
            decide: called again on fresh records after every lost race, so it must have no side effect; returning None
                means that nothing is to be written.
            expect_number: number of the last record that the caller has seen; None when any will do.

        Returns:
            The written record, or None when `decide` declined.

        Raises:
            InputError: the last record is not `expect_number`.
            StorageError: the store failed, or an absurd number of races was lost.
        """
        for lost in range(MAX_LOST_RACES):
            records = self.records()
            self._refuse_unexpected(len(records), expect_number)
            draft = decide(records, _state_after(records))
            if draft is None:
                return None
            record = Record(len(records) + 1, self._clock(), self._actor, draft)
            if self._won(record):
                return record
            time.sleep(random.uniform(0, min(0.005 * lost, _LONGEST_PAUSE_SECONDS)))
        raise StorageError(
            f"the ledger at {self._store.uri} was written by others {MAX_LOST_RACES} times in a row: try again later"
        )

    def _won(self, record: Record) -> bool:
        """Whether the record is the one that got its number.

        A network may lose the answer to a create that went through, and the store's own retry then meets our own record:
        the nonce tells it from another writer's.
        """
        key, data = _key_of(record.number), _to_bytes(record, nonce=uuid.uuid4().hex)
        try:
            self._store.create(key, data)
        except AlreadyExistsError:
            return self._store.read(key) == data
        return True

    def _refuse_unexpected(self, number: int, expected: int | None) -> None:
        if expected is not None and number != expected:
            raise InputError(
                f"the last record of the ledger at {self._store.uri} is {number}, expected {expected}: "
                "somebody was here since; look at `belisha history` and decide again"
            )

    def _read_after(self, number: int) -> list[Record]:
        after = _key_of(number) if number else ""
        keys = [key for key in self._store.list(LEDGER_PREFIX, after=after) if key.endswith(".json")]
        for expected, key in enumerate(keys, start=number + 1):
            if key != _key_of(expected):
                raise ContractError(
                    f"the ledger at {self._store.uri} lacks record {expected} (found {key}): restore it from a backup"
                )
        if len(keys) < _READERS:
            return [self._read(key) for key in keys]
        with ThreadPoolExecutor(_READERS) as readers:
            return list(readers.map(self._read, keys))

    def _read(self, key: str) -> Record:
        return _from_bytes(self._store.read(key), f"{self._store.uri}/{key}")


def _state_after(records: list[Record]) -> LedgerState:
    return records[-1].state if records else LedgerState()


def _key_of(number: int) -> str:
    return f"{LEDGER_PREFIX}/{number:08d}.json"


def _to_bytes(record: Record, *, nonce: str) -> bytes:
    value = {"schema": LEDGER_SCHEMA, "number": record.number, "at": record.at.isoformat(), "actor": record.actor}
    return canonical_json({**value, "nonce": nonce, **asdict(record.draft)}) + b"\n"


def _from_bytes(data: bytes, where: str) -> Record:
    try:
        value = json.loads(data)
        if value.pop("schema") != LEDGER_SCHEMA:
            raise ContractError(f"{where} is of a ledger version this code does not know: use a newer belisha")
        at = datetime.fromisoformat(value.pop("at"))
        number, actor = value.pop("number"), value.pop("actor")
        value.pop("nonce", None)
        action, state = Action(value.pop("action")), LedgerState(**value.pop("state"))
        return Record(number, at, actor, Draft(action=action, state=state, **value))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ContractError(f"{where} is not a readable ledger record ({error}): restore it from a backup") from None
