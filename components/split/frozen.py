"""Assignments that were made once and never change: numbered, create-only records of which picture went where.

Two runs that race for a number are told apart by the store: one create wins, the other reads again and decides anew, so
all of them end with the same answer.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from belisha.components.shared.errors import AlreadyExistsError, ContractError, StorageError
from belisha.components.shared.storage import ObjectStore
from belisha.components.split.columns import KEY_BYTES, Coded, IntArray, coded

_SCHEMA = pa.schema(
    [
        ("key", pa.binary(KEY_BYTES)),
        ("group_id", pa.string()),
        ("part", pa.string()),
        ("method", pa.string()),
        ("phash", pa.uint64()),
    ],
    metadata={"schema": "belisha.frozen-split/1"},
)
_MAX_LOST_RACES = 100

Result = TypeVar("Result")


def _no_keys() -> pa.Array:
    return pa.array([], pa.binary(KEY_BYTES))


@dataclass(frozen=True, slots=True)
class Frozen:
    """What earlier splits have decided, one row a picture.

    Attributes:
        keys: first 16 bytes of each picture's digest.
        groups: group of each picture.
        part_of_group: part of each of `groups.names`.
        method_of_group: how that part was found, likewise.
        hashes: `(n,)` uint64 perceptual hashes; meaningless where `hashed` is false.
        hashed: `(n,)` whether the hash is known.
        records: number of records read.
    """

    keys: pa.Array = field(default_factory=_no_keys)
    groups: Coded = field(default_factory=lambda: Coded(np.zeros(0, dtype=np.int32), []))
    part_of_group: list[str] = field(default_factory=list)
    method_of_group: list[str] = field(default_factory=list)
    hashes: npt.NDArray[np.uint64] = field(default_factory=lambda: np.zeros(0, dtype=np.uint64))
    hashed: npt.NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, dtype=bool))
    records: int = 0

    def find(self, keys: pa.Array) -> IntArray:
        """Row of each key here, -1 where it is not known."""
        import pyarrow.compute as pc

        if not len(self.keys):
            return np.full(len(keys), -1, dtype=np.int32)
        return np.asarray(pc.fill_null(pc.index_in(keys, value_set=self.keys), -1).to_numpy())


@dataclass(frozen=True, slots=True)
class Additions:
    """Rows for the next record: pictures that were not known, with columns as the schema has them."""

    keys: pa.Array
    group_ids: pa.Array
    parts: pa.Array
    methods: pa.Array
    hashes: pa.Array

    def __len__(self) -> int:
        return len(self.keys)


def no_additions() -> Additions:
    """Nothing to remember."""
    return Additions(*(pa.array([], column.type) for column in _SCHEMA))


Decide = Callable[[Frozen], tuple[Result, Additions]]


def settle(store: ObjectStore | None, prefix: str, decide: Decide[Result]) -> Result:
    """Decide on the present records and append what is new; after a lost race read again and decide anew.

    Args:
        store: where the records lie; None to decide without memory.
        prefix: folder of the records.
        decide: without side effects; gives the result and the rows to add.

    Raises:
        ContractError: a record is damaged or missing.
        StorageError: the store failed, or an absurd number of races was lost.
    """
    if store is None:
        return decide(Frozen())[0]
    for _ in range(_MAX_LOST_RACES):
        frozen = read_frozen(store, prefix)
        result, additions = decide(frozen)
        if not len(additions):
            return result
        try:
            store.create(_key_of(prefix, frozen.records + 1), _to_bytes(additions))
        except AlreadyExistsError:
            continue
        return result
    raise StorageError(f"{store.uri}/{prefix} was written by others {_MAX_LOST_RACES} times in a row: try again later")


def read_frozen(store: ObjectStore, prefix: str) -> Frozen:
    """Read every record; raises ContractError when one is damaged or missing, StorageError."""
    keys = [key for key in store.list(prefix) if key.endswith(".parquet")]
    tables = []
    for number, key in enumerate(keys, start=1):
        if key != _key_of(prefix, number):
            raise ContractError(
                f"the frozen split at {store.uri}/{prefix} lacks record {number} (found {key}): restore it from a backup"
            )
        tables.append(_from_bytes(store.read(key), f"{store.uri}/{key}"))
    return _frozen_of(pa.concat_tables(tables), len(tables)) if tables else Frozen()


def _frozen_of(table: pa.Table, records: int) -> Frozen:
    groups = coded(table.column("group_id"))
    first_rows = np.unique(groups.codes, return_index=True)[1]
    hashes = table.column("phash").combine_chunks()
    return Frozen(
        keys=table.column("key").combine_chunks(),
        groups=groups,
        part_of_group=table.column("part").take(first_rows).to_pylist(),
        method_of_group=table.column("method").take(first_rows).to_pylist(),
        hashes=hashes.fill_null(0).to_numpy(zero_copy_only=False),
        hashed=hashes.is_valid().to_numpy(zero_copy_only=False),
        records=records,
    )


def _key_of(prefix: str, number: int) -> str:
    return f"{prefix}/{number:08d}.parquet"


def _to_bytes(additions: Additions) -> bytes:
    columns = [additions.keys, additions.group_ids, additions.parts, additions.methods, additions.hashes]
    table = pa.Table.from_arrays(
        [column.cast(kind.type) for column, kind in zip(columns, _SCHEMA, strict=True)], schema=_SCHEMA
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd", use_dictionary=["group_id", "part", "method"])
    return buffer.getvalue()


def _from_bytes(data: bytes, where: str) -> pa.Table:
    try:
        table = pq.read_table(pa.BufferReader(data))
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise ContractError(f"{where} is not a readable record ({reason}): restore it from a backup") from None
    if (table.schema.metadata or {}).get(b"schema") != _SCHEMA.metadata[b"schema"]:
        raise ContractError(f"{where} is of a version this code does not know: use a newer belisha")
    return table
