"""Numbered records below a prefix of a store, each written by a create-only put: an append-only list without a server.

Two writers that race for a number are told apart by the store: one create wins, the other reads again and decides anew.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from belisha.components.shared.errors import AlreadyExistsError, ContractError, StorageError
from belisha.components.shared.files import canonical_json
from belisha.components.shared.storage import ObjectStore

_MAX_LOST_RACES = 1000
_LONGEST_PAUSE_SECONDS = 0.2
_READERS = 8
_DIGITS = 6

Value = dict[str, Any]
Decide = Callable[[Sequence[Value]], Value | None]


class NumberedRecords:
    """JSON objects `PREFIX/000001.json`, `PREFIX/000002.json`, … without gaps.

    Args:
        store: where they lie.
        prefix: folder-like, without a slash at its end.
        schema: the value of their key `schema`.
    """

    def __init__(self, store: ObjectStore, prefix: str, schema: str) -> None:
        self._store, self._prefix, self._schema = store, prefix, schema
        self._known: list[Value] = []

    def read_all(self) -> list[Value]:
        """Every record, oldest first, each with its `number`; raises ContractError on a damaged or missing one."""
        after = self.key_of(len(self._known)) if self._known else ""
        keys = [key for key in self._store.list(self._prefix, after=after) if key.endswith(".json")]
        for expected, key in enumerate(keys, start=len(self._known) + 1):
            if key != self.key_of(expected):
                raise ContractError(
                    f"{self._store.uri}/{self._prefix} lacks record {expected} (found {key}): restore it from a backup"
                )
        with ThreadPoolExecutor(_READERS) as readers:
            self._known = [*self._known, *readers.map(self._read, keys)]
        return list(self._known)

    def append(self, decide: Decide) -> Value | None:
        """Write the record that `decide` makes of all present ones.

        Args:
            decide: called again on fresh records after a lost race, so it must have no side effect; None writes nothing.

        Returns:
            The written record with its `number`, or None when `decide` declined.

        Raises:
            StorageError: the store failed, or an absurd number of races was lost.
        """
        for lost in range(_MAX_LOST_RACES):
            records = self.read_all()
            value = decide(records)
            if value is None:
                return None
            numbered = {**value, "schema": self._schema, "number": len(records) + 1}
            if self._won(numbered):
                return numbered
            time.sleep(random.uniform(0, min(0.005 * lost, _LONGEST_PAUSE_SECONDS)))
        raise StorageError(
            f"{self._store.uri}/{self._prefix} was written by others {_MAX_LOST_RACES} times in a row: try again later"
        )

    def key_of(self, number: int) -> str:
        """Where a record lies."""
        return f"{self._prefix}/{number:0{_DIGITS}d}.json"

    def _won(self, value: Value) -> bool:
        """Whether this record got its number; a nonce tells ours from another's where the answer to the put was lost."""
        data = canonical_json({**value, "nonce": uuid.uuid4().hex}) + b"\n"
        key = self.key_of(value["number"])
        try:
            self._store.create(key, data)
        except AlreadyExistsError:
            return self._store.read(key) == data
        return True

    def _read(self, key: str) -> Value:
        where = f"{self._store.uri}/{key}"
        try:
            value = json.loads(self._store.read(key))
            schema = value.pop("schema")
            value.pop("nonce", None)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ContractError(f"{where} is not a readable record ({error}): restore it from a backup") from None
        if schema != self._schema:
            raise ContractError(
                f"{where} has schema {schema!r}, expected {self._schema!r}: use the belisha that wrote it"
            )
        return dict(value)
