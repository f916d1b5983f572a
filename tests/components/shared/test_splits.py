"""The split contract and the sealed door."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from belisha.components.shared.errors import ContractError, DigestError, InputError
from belisha.components.shared.ledger import Action, Ledger
from belisha.components.shared.splits import (
    ASSIGNMENT_ARROW_SCHEMA,
    Part,
    Split,
    open_test,
    pictures_of,
    read_split,
    write_assignment,
)
from belisha.components.shared.storage import open_store
from tests.factories import fake_id, row

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def table_of(parts: dict[int, str], folds: dict[int, int] | None = None) -> pa.Table:
    rows = sorted((fake_id(number), f"g{number}", part, (folds or {}).get(number)) for number, part in parts.items())
    columns = [
        pa.array(list(column), field.type)
        for column, field in zip(zip(*rows, strict=True), ASSIGNMENT_ARROW_SCHEMA, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=ASSIGNMENT_ARROW_SCHEMA)


def written(folder: Path, parts: dict[int, str], **info: object) -> Split:
    folder.mkdir(parents=True)
    write_assignment(folder, table_of(parts), dict(info))
    return read_split(folder)


def ledger(tmp_path: Path, actor: str = "ann") -> Ledger:
    return Ledger(open_store(str(tmp_path / "registry")), clock=lambda: NOW, actor=actor)


PARTS = {1: "train", 2: "train", 3: "val", 4: "test", 5: "test", 6: "quarantine"}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    split = written(tmp_path / "split", PARTS, salt="s")
    assert split.ids(Part.TRAIN) == sorted([fake_id(1), fake_id(2)])
    assert split.ids(Part.VAL) == [fake_id(3)]
    assert split.ids(Part.QUARANTINE) == [fake_id(6)]
    assert split.group_of[fake_id(4)] == "g4"
    assert len(split.group_of) == 6
    assert split.info["salt"] == "s"
    assert split.folds == 0


def test_digest_is_that_of_the_documented_lines(tmp_path: Path) -> None:
    import hashlib

    split = written(tmp_path / "split", PARTS)
    lines = sorted(f"{fake_id(number)} {part}\n" for number, part in PARTS.items())
    assert split.digest == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_one_moved_picture_changes_the_digest(tmp_path: Path) -> None:
    moved = {**PARTS, 3: "train"}
    assert written(tmp_path / "a", PARTS).digest != written(tmp_path / "b", moved).digest


def test_test_part_is_refused_but_through_the_door(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="sealed"):
        written(tmp_path / "split", PARTS).ids(Part.TEST)


def _not_parquet(folder: Path) -> None:
    (folder / "assignment.parquet").write_bytes(b"PAR1 not really")


def _gone(folder: Path) -> None:
    (folder / "assignment.parquet").unlink()


def _other_part(folder: Path) -> None:
    pq.write_table(table_of({**PARTS, 1: "holdout"}), folder / "assignment.parquet")


def _other_version(folder: Path) -> None:
    value = json.loads((folder / "split.json").read_text())
    (folder / "split.json").write_text(json.dumps({**value, "schema": "belisha.split/9"}))


@pytest.mark.parametrize("damage", [_not_parquet, _gone, _other_part, _other_version])
def test_damaged_split_is_refused_with_a_sentence(tmp_path: Path, damage: object) -> None:
    written(tmp_path / "split", PARTS)
    damage(tmp_path / "split")
    with pytest.raises(ContractError, match=r"split"):
        read_split(tmp_path / "split")


def test_assignment_that_was_swapped_is_found_by_its_digest(tmp_path: Path) -> None:
    written(tmp_path / "split", PARTS)
    pq.write_table(table_of({**PARTS, 4: "train"}), tmp_path / "split" / "assignment.parquet")
    with pytest.raises(DigestError, match="digest"):
        read_split(tmp_path / "split")


def test_door_records_who_when_and_why(tmp_path: Path) -> None:
    split, registry = written(tmp_path / "split", PARTS), ledger(tmp_path)
    look = open_test(split, registry, reason="validate candidate 1", run_id="run-1")
    assert look.image_ids == sorted([fake_id(4), fake_id(5)])
    assert (look.looks, look.warning) == (1, None)
    (record,) = ledger(tmp_path).records()
    assert (record.draft.action, record.draft.subject) == (Action.TEST_LOOK, split.digest)
    assert (record.actor, record.at, record.draft.reason, record.draft.run_id) == (
        "ann",
        NOW,
        "validate candidate 1",
        "run-1",
    )


def test_look_leaves_who_serves_as_it_is(tmp_path: Path) -> None:
    split, registry = written(tmp_path / "split", PARTS), ledger(tmp_path)
    before = registry.state()
    open_test(split, registry, reason="r", run_id="run-1")
    assert registry.state() == before


def test_door_counts_a_run_once_and_warns_from_the_second(tmp_path: Path) -> None:
    split = written(tmp_path / "split", PARTS)
    for _ in range(3):
        assert open_test(split, ledger(tmp_path), reason="baseline", run_id="run-1").looks == 1
    second = open_test(split, ledger(tmp_path, "bob"), reason="validate", run_id="run-2")
    assert second.looks == 2
    assert "look 2" in str(second.warning)
    assert [record.draft.run_id for record in ledger(tmp_path).records()] == ["run-1", "run-2"]


def test_door_stays_shut_without_a_run_id(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run id"):
        open_test(written(tmp_path / "split", PARTS), ledger(tmp_path), reason="r", run_id="")
    assert ledger(tmp_path).records() == []


@pytest.mark.parametrize(
    ("first", "then", "looks"),
    [
        pytest.param(range(40), range(50), 2, id="grown a little: the old looks count"),
        pytest.param(range(200), range(300), 2, id="grown a little, sketches full"),
        pytest.param(range(40), range(40, 80), 1, id="nothing in common"),
        pytest.param(range(10), range(100), 1, id="mostly new pictures"),
        pytest.param(range(200), range(150, 1000), 1, id="mostly new pictures, sketches full"),
        pytest.param(range(1), range(1), 2, id="a single picture"),
    ],
)
def test_growing_the_data_does_not_unsee_pictures(tmp_path: Path, first: range, then: range, looks: int) -> None:
    old = written(tmp_path / "old", dict.fromkeys(first, "test") | {5000: "train"})
    new = written(tmp_path / "new", dict.fromkeys(then, "test") | {6000: "train"})
    open_test(old, ledger(tmp_path), reason="r", run_id="run-1")
    assert open_test(new, ledger(tmp_path), reason="r", run_id="run-2").looks == looks


def test_empty_test_part_has_looks_too(tmp_path: Path) -> None:
    split = written(tmp_path / "split", {1: "train"})
    assert open_test(split, ledger(tmp_path), reason="r", run_id="a").image_ids == []
    assert open_test(split, ledger(tmp_path), reason="r", run_id="b").looks == 2


def test_fold_view_moves_val_and_keeps_the_test_part(tmp_path: Path) -> None:
    parts = {1: "val", 2: "train", 3: "train", 4: "test"}
    folder = tmp_path / "split"
    folder.mkdir()
    write_assignment(folder, table_of(parts, {1: 0, 2: 1, 3: 2}), {"folds": 3})
    split = read_split(folder)
    assert split.folds == 3
    seen = [split.with_fold(fold).ids(Part.VAL) for fold in range(3)]
    assert seen == [[fake_id(1)], [fake_id(2)], [fake_id(3)]]
    view = split.with_fold(2)
    assert view.digest == split.digest
    assert view.ids(Part.TRAIN) == sorted([fake_id(1), fake_id(2)])
    assert open_test(view, ledger(tmp_path), reason="r", run_id="a").image_ids == [fake_id(4)]
    for absent in (-1, 3):
        with pytest.raises(InputError, match="folds"):
            split.with_fold(absent)


def test_pictures_of_keeps_the_order_of_the_ids_and_misses_none() -> None:
    pictures = [row(number) for number in range(4)]
    wanted = [fake_id(3), fake_id(1)]
    assert [picture.image_id for picture in pictures_of(pictures, wanted)] == wanted
    with pytest.raises(ContractError, match="split this data set again"):
        pictures_of(pictures, [fake_id(9)])
