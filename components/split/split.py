"""Split a dataset: group, assign, check, write."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from belisha.components.shared.files import directory_aside
from belisha.components.shared.manifest import read_info
from belisha.components.shared.progress import ProgressEvent, ProgressSink, silent
from belisha.components.shared.splits import ASSIGNMENT_ARROW_SCHEMA, Part, write_assignment
from belisha.components.shared.storage import ObjectStore, open_store
from belisha.components.split import checks, notes
from belisha.components.split.assign import PARTS, VAL
from belisha.components.split.by_time import assign_by_time
from belisha.components.split.columns import IntArray, Rows, keys_of, read_rows
from belisha.components.split.folds import NO_FOLD, FoldArray, make_folds
from belisha.components.split.frozen import Additions, Frozen, no_additions, settle
from belisha.components.split.grouping import Groups, group_rows
from belisha.components.split.looks import Looks
from belisha.components.split.options import SplitOptions
from belisha.components.split.report import write_split_report
from belisha.components.split.resolve import Assignment, additions, resolve

REPORT_FILE = "report.html"


@dataclass(frozen=True, slots=True)
class SplitSummary:
    """What a split did.

    Attributes:
        digest: SHA-256 over (image_id, part).
        dataset_digest: of the data that were split.
        pictures: pictures in each part.
        pedestrians: pedestrians in each part.
        groups: groups in each part.
        folds: number of cross-validation folds, 0 for none.
        notes: sentences for people.
    """

    digest: str
    dataset_digest: str
    pictures: dict[str, int]
    pedestrians: dict[str, int]
    groups: dict[str, int]
    folds: int
    notes: list[str]


def split_dataset(
    dataset_dir: Path,
    split_dir: Path,
    options: SplitOptions,
    frozen_uri: str | None,
    progress: ProgressSink = silent,
) -> SplitSummary:
    """Assign each picture of a dataset to train, val or test and write the split folder whole or not at all.

    Args:
        dataset_dir: a dataset folder.
        split_dir: replaced as a whole when it exists.
        options: how to split.
        frozen_uri: where assignments are remembered, `<storage>/splits/<salt>`; None to forget them.
        progress: told while pictures are looked at.

    Raises:
        ContractError: the dataset or a frozen record is damaged.
        NoDataError: the dataset is empty.
        InputError: there are too few groups for the parts asked for.
        StorageError: pictures or records cannot be reached.
    """
    info, rows = read_info(dataset_dir), read_rows(dataset_dir)
    progress(ProgressEvent("split", 0, len(rows), "pictures"))
    store = open_store(frozen_uri) if frozen_uri and not options.by_time else None
    groups, assignment = _settle(rows, store, options, Looks(dataset_dir, len(rows), progress, options.workers))
    folds = make_folds(assignment, rows.conditions.codes, options.folds, options.salt) if options.folds else None
    parts = assignment.parts if folds is None else np.where(folds == 0, np.int8(VAL), assignment.parts)
    table = _table(rows, assignment, parts, folds)
    facts = _facts(rows, groups, assignment, parts, table, options, frozen=store is not None)
    content = _content(facts, info.name, info.digest)
    with directory_aside(split_dir) as aside:
        digest = write_assignment(aside, table, content)
        write_split_report(aside / REPORT_FILE, content, assignment, parts, dataset_dir)
    progress(ProgressEvent("split", len(rows), len(rows), "pictures"))
    counts = (content["pictures"], content["pedestrians"], content["groups"])
    return SplitSummary(digest, info.digest, *counts, options.folds, content["notes"])


def summary_json(summary: SplitSummary) -> dict[str, Any]:
    """The summary as JSON values."""
    return asdict(summary)


def _settle(rows: Rows, store: ObjectStore | None, options: SplitOptions, looks: Looks) -> tuple[Groups, Assignment]:
    keys = keys_of(rows.image_ids)

    def decide(frozen: Frozen) -> tuple[tuple[Groups, Assignment], Additions]:
        known = frozen.find(keys)
        looks.remember(frozen, known)
        groups = group_rows(rows, frozen, looks, options.gap_seconds)
        if options.by_time:
            return (groups, assign_by_time(rows, groups, options)), no_additions()
        assignment = resolve(rows, groups, frozen, known, options)
        return (groups, assignment), additions(keys, groups, known, assignment)

    return settle(store, str(options.ratios).replace("/", "-"), decide)


def _table(rows: Rows, assignment: Assignment, parts: IntArray, folds: FoldArray | None) -> pa.Table:
    part_names = pa.DictionaryArray.from_arrays(pa.array(parts, pa.int8()), pa.array([part.value for part in PARTS]))
    group_names = pa.array(assignment.names, pa.string()).take(pa.array(assignment.codes, pa.int32()))
    none = np.full(len(rows), NO_FOLD, dtype=np.int16)
    numbers = none if folds is None else folds
    fold_column = pa.array(numbers, pa.int16(), mask=numbers == NO_FOLD)
    columns = [rows.image_ids, group_names, part_names.cast(pa.string()), fold_column]
    return pa.Table.from_arrays(columns, schema=ASSIGNMENT_ARROW_SCHEMA)


def _facts(
    rows: Rows,
    groups: Groups,
    assignment: Assignment,
    parts: IntArray,
    table: pa.Table,
    options: SplitOptions,
    *,
    frozen: bool,
) -> notes.Facts:
    return notes.Facts(
        options=options,
        assignment=assignment,
        groups=groups,
        pictures=checks.count_by_part(parts),
        pedestrians=checks.count_by_part(parts, rows.pedestrians),
        conditions=checks.count_by_condition(rows, parts),
        balance=checks.balance(rows, assignment),
        leaks=checks.find_leaks(table, groups, parts),
        frozen=frozen,
    )


def _content(facts: notes.Facts, name: str, dataset_digest: str) -> dict[str, Any]:
    """What `split.json` says besides schema and digest."""
    options = facts.options
    ratios = {
        Part.TRAIN.value: options.ratios.train,
        Part.VAL.value: options.ratios.val,
        Part.TEST.value: options.ratios.test,
    }
    return {
        "name": name,
        "dataset_digest": dataset_digest,
        "ratios": ratios,
        "salt": options.salt,
        "folds": options.folds,
        "by_time": options.by_time,
        "gap_seconds": options.gap_seconds,
        "frozen": facts.frozen,
        "pictures": facts.pictures,
        "pedestrians": facts.pedestrians,
        "groups": checks.count_groups(facts.assignment),
        "conditions": facts.conditions,
        "grouped_by": facts.groups.pictures_by_kind,
        "methods": dict(sorted(Counter(facts.assignment.method_of_group).items())),
        "balance": asdict(facts.balance) if facts.balance else None,
        "leaks": asdict(facts.leaks),
        "notes": notes.sentences(facts),
    }
