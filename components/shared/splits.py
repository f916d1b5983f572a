"""The split contract: which picture belongs to train, val or test; and the one door to the sealed test part."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from belisha.components.shared.errors import ContractError, InputError
from belisha.components.shared.files import read_json
from belisha.components.shared.ledger import Action, Draft, Ledger, LedgerState, Record
from belisha.components.shared.manifest import Picture

SPLIT_SCHEMA = "belisha.split/1"
ASSIGNMENT_FILE = "assignment.parquet"
SPLIT_FILE = "split.json"
ASSIGNMENT_ARROW_SCHEMA = pa.schema([("image_id", pa.string()), ("group_id", pa.string()), ("part", pa.string())])


class Part(enum.StrEnum):
    """Where a picture belongs; `quarantine` holds those that would link groups of two parts."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True)
class Split:
    """A split as read from its folder; the test part's ids come out of `open_test` alone.

    Attributes:
        digest: SHA-256 over (image_id, part) of every row.
        info: the rest of `split.json` (ratios, salt, counts, notes).
        part_of: image_id to part, with group ids beside.
        group_of: image_id to group_id.
    """

    digest: str
    info: dict[str, Any]
    part_of: dict[str, Part]
    group_of: dict[str, str]

    def ids(self, part: Part) -> list[str]:
        """Picture ids of an open part, ascending; the test part is refused here."""
        if part is Part.TEST:
            raise InputError("the test part is sealed: read it through open_test, which records the look")
        return self._ids(part)

    def _ids(self, part: Part) -> list[str]:
        return sorted(image_id for image_id, found in self.part_of.items() if found is part)


@dataclass(frozen=True, slots=True)
class TestLook:
    """The unsealed test part: its picture ids, and how many runs have looked at it so far, this one included."""

    __test__ = False  # the name begins like a pytest class

    image_ids: list[str]
    looks: int

    @property
    def warning(self) -> str | None:
        """What to tell people from the second look on."""
        if self.looks < 2:
            return None
        return (
            f"this is look {self.looks} at the same sealed test part: every look lets choices adapt to it; "
            "refresh the test part after about 20 candidates"
        )


def read_split(folder: Path) -> Split:
    """Read a split folder; raises ContractError."""
    info = read_json(folder / SPLIT_FILE, schema=SPLIT_SCHEMA)
    path = folder / ASSIGNMENT_FILE
    try:
        table = pq.read_table(path, schema=ASSIGNMENT_ARROW_SCHEMA)
    except (OSError, pa.ArrowException) as error:
        raise ContractError(
            f"{path} is not a readable assignment ({str(error).splitlines()[0]}): split again"
        ) from None
    image_ids, group_ids, parts = (table.column(name).to_pylist() for name in ASSIGNMENT_ARROW_SCHEMA.names)
    part_of = {image_id: Part(part) for image_id, part in zip(image_ids, parts, strict=True)}
    return Split(info["digest"], info, part_of, dict(zip(image_ids, group_ids, strict=True)))


def open_test(split: Split, ledger: Ledger, *, reason: str, run_id: str) -> TestLook:
    """The one door to the test part: records who, when and why in the ledger, then gives the ids.

    The same `run_id` counts once, so a retried step or the second model of one comparison adds no look.
    """
    ledger.append(lambda records, state: _look_draft(records, state, split.digest, reason, run_id))
    looks = {record.draft.run_id for record in looks_at(ledger.records(), split.digest)}
    return TestLook(split._ids(Part.TEST), len(looks))


def looks_at(records: Iterable[Record], split_digest: str) -> list[Record]:
    """The recorded looks at the test part of one split."""
    return [
        record for record in records if record.draft.action is Action.TEST_LOOK and record.draft.subject == split_digest
    ]


def _look_draft(records: list[Record], state: LedgerState, digest: str, reason: str, run_id: str) -> Draft | None:
    if any(record.draft.run_id == run_id for record in looks_at(records, digest)):
        return None
    return Draft(Action.TEST_LOOK, digest, reason, state, run_id=run_id)


def pictures_of(pictures: Iterable[Picture], image_ids: Iterable[str]) -> list[Picture]:
    """The pictures with these ids, in the order of the ids; raises ContractError when the manifest lacks one."""
    by_id = {picture.image_id: picture for picture in pictures}
    try:
        return [by_id[image_id] for image_id in image_ids]
    except KeyError as missing:
        raise ContractError(
            f"picture {missing} is in the split but not in the data set: split this data set again"
        ) from None
