"""The split contract: which picture belongs to train, val or test; and the one door to the sealed test part."""

from __future__ import annotations

import enum
import functools
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from belisha.components.shared.errors import ContractError, DigestError, InputError
from belisha.components.shared.files import read_json, write_json
from belisha.components.shared.ledger import Action, Draft, Ledger, LedgerState, Record
from belisha.components.shared.manifest import Picture

SPLIT_SCHEMA = "belisha.split/1"
ASSIGNMENT_FILE = "assignment.parquet"
SPLIT_FILE = "split.json"
ASSIGNMENT_ARROW_SCHEMA = pa.schema(
    [("image_id", pa.string()), ("group_id", pa.string()), ("part", pa.string()), ("fold", pa.int16())]
)
_DIGEST_ROWS = 100_000
# Picture ids are digests, so the smallest ones are a fair sample of a part: enough to tell how much of it was seen before.
_SKETCH_IDS = 64
_SKETCH_DIGITS = 16
_SEEN_RATIO = 0.5


class Part(enum.StrEnum):
    """Where a picture belongs; `quarantine` holds those that would link groups of two parts."""

    TRAIN = "train"
    VAL = "val"
    TEST = "test"
    QUARANTINE = "quarantine"


@dataclass(frozen=True)
class Split:
    """A split as read from its folder; the test part's ids come out of `open_test` alone.

    Attributes:
        digest: SHA-256 over (image_id, part) of every row.
        info: all of `split.json` (ratios, salt, counts, notes).
        table: the rows, columns as ASSIGNMENT_ARROW_SCHEMA, ascending by image_id. Use the methods instead.
    """

    digest: str
    info: dict[str, Any]
    table: pa.Table

    def ids(self, part: Part) -> list[str]:
        """Picture ids of an open part, ascending; the test part is refused here with an InputError."""
        if part is Part.TEST:
            raise InputError("the test part is sealed: read it through open_test, which records the look")
        return self._ids(part)

    @functools.cached_property
    def group_of(self) -> dict[str, str]:
        """image_id to group_id of every picture."""
        image_ids, group_ids = (self.table.column(name).to_pylist() for name in ("image_id", "group_id"))
        return dict(zip(image_ids, group_ids, strict=True))

    @property
    def folds(self) -> int:
        """Number of cross-validation folds; 0 when there are none."""
        return int(pc.max(self.table.column("fold")).as_py() + 1) if self.info.get("folds") else 0

    def with_fold(self, fold: int) -> Split:
        """The same split with another fold as its val part and the rest in train; test part and digest stay.

        Raises:
            InputError: the split has no such fold.
        """
        if not 0 <= fold < self.folds:
            raise InputError(f"the split has {self.folds} folds, so there is no fold {fold}: split with --folds")
        column = self.table.column("fold")
        of_fold = pc.if_else(pc.equal(column, fold), Part.VAL.value, Part.TRAIN.value)
        parts = pc.if_else(pc.is_valid(column), of_fold, self.table.column("part"))
        index = ASSIGNMENT_ARROW_SCHEMA.get_field_index("part")
        return replace(self, table=self.table.set_column(index, "part", parts))

    def _ids(self, part: Part) -> list[str]:
        rows = self.table.filter(pc.equal(self.table.column("part"), part.value))
        return list(rows.column("image_id").to_pylist())


@dataclass(frozen=True, slots=True)
class TestLook:
    """The unsealed test part.

    Attributes:
        image_ids: its picture ids, ascending.
        looks: how many runs have looked at these pictures so far, this one included.
    """

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


def assignment_digest(table: pa.Table) -> str:
    """SHA-256 over the lines `image_id part` of the rows in their order."""
    digest = hashlib.sha256()
    for begin in range(0, table.num_rows, _DIGEST_ROWS):
        rows = table.slice(begin, _DIGEST_ROWS)
        part = rows.column("part").cast(pa.string())
        lines = pc.binary_join_element_wise(rows.column("image_id"), " ", part, "\n", "").combine_chunks()
        digest.update(pa.concat_arrays(lines.chunks if isinstance(lines, pa.ChunkedArray) else [lines]).buffers()[2])
    return digest.hexdigest()


def write_assignment(folder: Path, table: pa.Table, info: dict[str, Any]) -> str:
    """Write `assignment.parquet` and `split.json` into a folder that is still aside.

    Args:
        folder: exists.
        table: columns as ASSIGNMENT_ARROW_SCHEMA, ascending by image_id.
        info: what else `split.json` says, JSON values only.

    Returns:
        The split's digest.
    """
    digest = assignment_digest(table)
    pq.write_table(table.cast(ASSIGNMENT_ARROW_SCHEMA), folder / ASSIGNMENT_FILE, compression="zstd")
    write_json(folder / SPLIT_FILE, {"schema": SPLIT_SCHEMA, **info, "digest": digest})
    return digest


def read_split(folder: Path) -> Split:
    """Read a split folder; raises ContractError, and DigestError when the assignment is not the one that was written."""
    info = read_json(folder / SPLIT_FILE, schema=SPLIT_SCHEMA)
    path = folder / ASSIGNMENT_FILE
    try:
        table = pq.read_table(path, schema=ASSIGNMENT_ARROW_SCHEMA)
    except (OSError, pa.ArrowException) as error:
        raise ContractError(
            f"{path} is not a readable assignment ({str(error).splitlines()[0]}): split again"
        ) from None
    unknown = set(pc.unique(table.column("part")).to_pylist()) - set(Part)
    if unknown:
        raise ContractError(f"{path} has the part {min(map(str, unknown))!r}, expected {', '.join(Part)}: split again")
    if assignment_digest(table) != info.get("digest"):
        raise DigestError(f"{path} does not have the digest that {SPLIT_FILE} records: split again")
    return Split(info["digest"], info, table)


def open_test(split: Split, ledger: Ledger, *, reason: str, run_id: str) -> TestLook:
    """The one door to the test part: records who, when and why in the ledger, then gives the ids.

    The same `run_id` counts once, so a retried step or the second model of one comparison adds no look. A look at an
    earlier test part counts when at least half of the present one was in it: growing the data does not unsee pictures.

    Args:
        split: whose test part is asked for.
        ledger: where the look is recorded before anything is given out.
        reason: why, one sentence for people.
        run_id: who looks.

    Raises:
        InputError: no run_id, so that the look could not be told from others.
        ContractError, StorageError: the ledger cannot be read or written; then nothing is given out.
    """
    if not run_id:
        raise InputError("a look at the sealed test part needs a run id: give the id of the run that looks")
    image_ids = split._ids(Part.TEST)
    sketch = _sketch(image_ids)
    ledger.append(lambda records, state: _look_draft(records, state, split.digest, reason, run_id, sketch))
    runs = {record.draft.run_id for record in ledger.records() if _saw_these(record, split.digest, sketch)}
    return TestLook(image_ids, len(runs))


def looks_at(records: Iterable[Record], split_digest: str) -> list[Record]:
    """The recorded looks at the test part of one split."""
    return [
        record for record in records if record.draft.action is Action.TEST_LOOK and record.draft.subject == split_digest
    ]


def _look_draft(
    records: list[Record], state: LedgerState, digest: str, reason: str, run_id: str, sketch: list[str]
) -> Draft | None:
    if any(record.draft.run_id == run_id for record in looks_at(records, digest)):
        return None
    return Draft(Action.TEST_LOOK, digest, reason, state, run_id=run_id, details={"test_sketch": sketch})


def _sketch(ascending_ids: Sequence[str]) -> list[str]:
    return [image_id[:_SKETCH_DIGITS] for image_id in ascending_ids[:_SKETCH_IDS]]


def _saw_these(record: Record, digest: str, sketch: Sequence[str]) -> bool:
    """Whether a record is a look at this test part, or at one that held at least half of it (bottom-k sketches)."""
    if record.draft.action is not Action.TEST_LOOK:
        return False
    if record.draft.subject == digest:
        return True
    seen = record.draft.details.get("test_sketch", [])
    full = len(seen) >= _SKETCH_IDS
    comparable = [name for name in sketch if not full or name <= seen[-1]]
    return bool(comparable) and len(set(comparable) & set(seen)) >= _SEEN_RATIO * len(comparable)


def pictures_of(pictures: Iterable[Picture], image_ids: Iterable[str]) -> list[Picture]:
    """The pictures with these ids, in the order of the ids; raises ContractError when the manifest lacks one."""
    by_id = {picture.image_id: picture for picture in pictures}
    try:
        return [by_id[image_id] for image_id in image_ids]
    except KeyError as missing:
        raise ContractError(
            f"picture {missing} is in the split but not in the data set: split this data set again"
        ) from None
