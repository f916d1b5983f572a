"""Splitting whole datasets: grouping, memory, growth, leaks, and the two doors (command line, pipeline step)."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from belisha.cli import main as cli
from belisha.components.shared.errors import ContractError, InputError, NoDataError
from belisha.components.shared.manifest import Picture
from belisha.components.shared.splits import Part, Split, read_split
from belisha.components.split.options import SplitOptions, parse_options
from belisha.components.split.split import SplitSummary, split_dataset
from tests.factories import at, dataset, row, rows_in_groups, stored, stored_streets, street


def split(
    tmp_path: Path, pictures: list[Picture], ratios: str = "80/10/10", *, frozen: bool = True, **options: object
) -> Split:
    dataset(tmp_path / "data", pictures)
    frozen_uri = str(tmp_path / "storage/splits") if frozen else None
    split_dataset(tmp_path / "data", tmp_path / "split", parse_options(ratios, **options), frozen_uri)
    return read_split(tmp_path / "split")


def parts_of(found: Split) -> dict[str, str]:
    """Part of every picture, sealed or not: tests may look."""
    ids, parts = (found.table.column(name).to_pylist() for name in ("image_id", "part"))
    return dict(zip(ids, parts, strict=True))


def groups_across_parts(found: Split) -> set[str]:
    parts: dict[str, set[str]] = {}
    for image_id, part in parts_of(found).items():
        parts.setdefault(found.group_of[image_id], set()).add(part)
    return {group for group, of_group in parts.items() if len(of_group) > 1}


def test_given_groups_stay_whole_and_the_summary_counts(tmp_path: Path) -> None:
    found = split(tmp_path, rows_in_groups(40, 5))
    assert groups_across_parts(found) == set()
    assert found.info["pictures"] == {"train": 160, "val": 20, "test": 20, "quarantine": 0}
    assert found.info["groups"] == {"train": 32, "val": 4, "test": 4, "quarantine": 0}
    assert found.info["pedestrians"]["test"] == 20
    assert found.info["conditions"]["day"]["train"] == 80
    assert (tmp_path / "split/report.html").stat().st_size > 2000


def test_same_data_same_files_with_and_without_memory(tmp_path: Path) -> None:
    pictures = rows_in_groups(12, 3)
    first = split(tmp_path, pictures)
    content = {path.name: path.read_bytes() for path in (tmp_path / "split").iterdir()}
    again = split(tmp_path, list(reversed(pictures)))
    assert {path.name: path.read_bytes() for path in (tmp_path / "split").iterdir()} == content
    assert split(tmp_path, pictures, frozen=False).digest == first.digest == again.digest


def test_memory_of_any_store_is_used(tmp_path: Path) -> None:
    dataset(tmp_path / "data", rows_in_groups(30, 1))
    dataset(tmp_path / "more", rows_in_groups(90, 1))
    found = []
    for name, uri in (("data", "memory://splits-of-a-test"), ("more", "memory://splits-of-a-test"), ("more", None)):
        split_dataset(tmp_path / name, tmp_path / "split", SplitOptions(), uri)
        found.append(parts_of(read_split(tmp_path / "split")))
    assert found[0].items() <= found[1].items()
    assert not found[0].items() <= found[2].items()


def test_another_salt_is_another_split(tmp_path: Path) -> None:
    pictures = rows_in_groups(40, 2)
    assert split(tmp_path, pictures, salt="a").digest != split(tmp_path, pictures, salt="b", frozen=False).digest


@pytest.mark.parametrize(
    ("first", "then"), [(4, 30), (30, 120), (30, 900), (600, 900)], ids=["few", "ordered", "to many", "many"]
)
def test_pictures_keep_their_part_as_the_data_grow(tmp_path: Path, first: int, then: int) -> None:
    old = parts_of(split(tmp_path, rows_in_groups(first, 2)))
    new = parts_of(split(tmp_path, rows_in_groups(then, 2)))
    assert {image_id: new[image_id] for image_id in old} == old
    assert len(new) == 2 * then


def test_new_pictures_of_a_known_group_join_it(tmp_path: Path) -> None:
    old = split(tmp_path, rows_in_groups(20, 2))
    late = [row(9000 + group, group_id=f"sequence-{group:04d}", condition="day") for group in range(20)]
    new = split(tmp_path, rows_in_groups(20, 2) + late)
    assert groups_across_parts(new) == set()
    assert parts_of(old).items() <= parts_of(new).items()


def test_data_without_anything_known_get_their_own_first_build(tmp_path: Path) -> None:
    split(tmp_path, rows_in_groups(40, 2))
    other = [replace(row(7000 + number), group_id=f"other-{number}") for number in range(4)]
    found = split(tmp_path, other)
    assert set(parts_of(found).values()) == {"train", "val", "test"}
    assert "only 4 groups" in " ".join(found.info["notes"])


def test_losing_groups_that_filled_a_part_is_said_and_nothing_is_written(tmp_path: Path) -> None:
    pictures = rows_in_groups(4, 3)
    found = split(tmp_path, pictures)
    training = set(found.ids(Part.TRAIN))
    before = (tmp_path / "split/split.json").read_bytes()
    with pytest.raises(InputError, match="no picture is left for val and test"):
        split(tmp_path, [picture for picture in pictures if picture.image_id in training])
    assert (tmp_path / "split/split.json").read_bytes() == before


def test_racing_runs_agree(tmp_path: Path) -> None:
    """Runs on growing data start at once on one memory: pictures they share end in one part."""
    sizes = [60, 90, 200, 60, 90, 200]
    for number, size in enumerate(sizes):
        dataset(tmp_path / f"data{number}", rows_in_groups(size, 2))

    def run(number: int) -> dict[str, str]:
        folder = tmp_path / f"split{number}"
        split_dataset(tmp_path / f"data{number}", folder, SplitOptions(), str(tmp_path / "frozen"))
        return parts_of(read_split(folder))

    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(run, range(len(sizes))))
    agreed: dict[str, str] = {}
    for result in results:
        assert all(agreed.setdefault(image_id, part) == part for image_id, part in result.items())
    assert len(list((tmp_path / "frozen/80-10-10").glob("*.parquet"))) >= 1


def test_damaged_memory_is_refused(tmp_path: Path) -> None:
    pictures = rows_in_groups(12, 1)
    split(tmp_path, pictures)
    record = tmp_path / "storage/splits/80-10-10/00000001.parquet"
    record.write_bytes(b"PAR1 nothing")
    with pytest.raises(ContractError, match="restore it from a backup"):
        split(tmp_path, pictures)
    record.rename(record.with_name("00000002.parquet"))
    with pytest.raises(ContractError, match="lacks record 1"):
        split(tmp_path, pictures)


def test_camera_and_time_make_groups(tmp_path: Path) -> None:
    pictures = [
        row(100 * camera + index, camera=f"cam{camera}", captured_at=at(index * 30 + (500 if index >= 3 else 0)))
        for camera in range(6)
        for index in range(6)
    ]
    found = split(tmp_path, pictures)
    assert len(set(found.group_of.values())) == 12
    assert found.group_of[pictures[0].image_id] == "camera:cam0@2026-01-01T00:00:00.000000Z"
    assert found.info["grouped_by"] == {"camera and time": 36}


def test_camera_that_tells_no_time_is_one_group(tmp_path: Path) -> None:
    pictures = [row(10 * camera + index, camera=f"cam{camera}") for camera in range(3) for index in range(4)]
    pictures[0] = replace(pictures[0], captured_at=at(0))
    assert set(split(tmp_path, pictures).group_of.values()) == {"camera:cam0", "camera:cam1", "camera:cam2"}


def test_gap_is_longer_than_a_minute(tmp_path: Path) -> None:
    times = [0, 60, 120, 181, 241.5, 400, 460]
    pictures = [row(number, camera="cam", captured_at=at(seconds)) for number, seconds in enumerate(times)]
    found = split(tmp_path, pictures)
    groups = [found.group_of[picture.image_id] for picture in pictures]
    assert groups == [groups[0]] * 3 + [groups[3]] + [groups[4]] + [groups[5]] * 2
    assert len(set(groups)) == 4


def test_near_duplicates_are_found_and_kept_together(tmp_path: Path) -> None:
    storage = str(tmp_path / "pictures")
    originals = stored_streets(storage, range(12))
    copies = [stored(street(seed)[0], storage, street(seed)[1], quality=60) for seed in range(4)]
    found = split(tmp_path, originals + copies)
    for original, copy in zip(originals, copies, strict=False):
        assert found.group_of[original.image_id] == found.group_of[copy.image_id]
    assert len(set(found.group_of.values())) == 12
    assert found.info["leaks"] == {"groups": 0, "pictures": 0, "looked_at": 16, "alike_pairs": 0}


def test_late_duplicate_joins_its_group_even_when_the_original_is_gone(tmp_path: Path) -> None:
    storage = str(tmp_path / "pictures")
    originals = stored_streets(storage, range(12))
    old = split(tmp_path, originals)
    copies = [stored(street(seed)[0], storage, quality=60) for seed in range(12)]
    new = split(tmp_path, copies)
    for original, copy in zip(originals, copies, strict=True):
        assert parts_of(new)[copy.image_id] == parts_of(old)[original.image_id]
        assert new.group_of[copy.image_id] == old.group_of[original.image_id]


def test_picture_that_links_two_parts_goes_to_quarantine(tmp_path: Path) -> None:
    pictures = rows_in_groups(12, 2)
    old = split(tmp_path, pictures)
    by_part = {part: image_id for image_id, part in parts_of(old).items()}
    # Two pictures that had groups of their own turn out to be of one sequence, and a new one of it comes in.
    regrouped = [
        replace(picture, group_id="one") if picture.image_id in (by_part["train"], by_part["test"]) else picture
        for picture in pictures
    ]
    late = row(500, group_id="one")
    new = split(tmp_path, [*regrouped, late])
    assert parts_of(old).items() <= parts_of(new).items()
    assert new.ids(Part.QUARANTINE) == [late.image_id]
    assert "quarantine" in " ".join(new.info["notes"])
    later = split(tmp_path, [*regrouped, late, row(501, group_id="one")])
    assert len(later.ids(Part.QUARANTINE)) == 2


def test_folds_are_whole_groups_even_in_conditions_and_leave_the_test_part(tmp_path: Path) -> None:
    pictures = rows_in_groups(60, 2)
    found = split(tmp_path, pictures, "80/20:4")
    assert found.folds == 4
    test_ids = {image_id for image_id, part in parts_of(found).items() if part == "test"}
    vals = [set(found.with_fold(fold).ids(Part.VAL)) for fold in range(4)]
    assert set.union(*vals) | test_ids == {picture.image_id for picture in pictures}
    assert sum(len(val) for val in vals) + len(test_ids) == len(pictures)
    for fold in range(4):
        assert groups_across_parts(found.with_fold(fold)) == set()
    night = {picture.image_id for picture in pictures if picture.condition == "night"}
    assert np.ptp([len(val & night) for val in vals]) <= 2
    assert found.ids(Part.VAL) == found.with_fold(0).ids(Part.VAL)


def test_more_folds_than_groups_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ask for fewer"):
        split(tmp_path, rows_in_groups(5, 2), "80/20:5")


def test_one_group_is_refused_and_may_be_cut_in_time_with_a_warning(tmp_path: Path) -> None:
    pictures = [row(number, group_id="one", captured_at=at(number * 10)) for number in range(200)]
    with pytest.raises(InputError, match="one group"):
        split(tmp_path, pictures)
    assert not (tmp_path / "split").exists()
    found = split(tmp_path, pictures, "80/10/10:time", gap_seconds=35)
    parts = parts_of(found)
    seconds = {
        part: [number * 10 for number in range(200) if parts[pictures[number].image_id] == part]
        for part in set(parts.values())
    }
    assert max(seconds["train"]) + 35 < min(seconds["val"])
    assert max(seconds["val"]) + 35 < min(seconds["test"])
    assert len(seconds["quarantine"]) == 6
    assert "optimistic" in found.info["notes"][0]
    assert list((tmp_path / "storage").rglob("*.parquet")) == []


@pytest.mark.parametrize(
    ("pictures", "says"),
    [
        pytest.param([row(number, group_id="one") for number in range(9)], "no capture time", id="no times"),
        pytest.param(
            [row(number, group_id="one", captured_at=at(number)) for number in range(30)], "span 29 s", id="too short"
        ),
    ],
)
def test_cut_in_time_that_cannot_be_is_refused(tmp_path: Path, pictures: list[Picture], says: str) -> None:
    with pytest.raises(InputError, match=says):
        split(tmp_path, pictures, "80/10/10:time")


def test_empty_dataset_is_no_split(tmp_path: Path) -> None:
    with pytest.raises(NoDataError, match="nothing to split"):
        split(tmp_path, [])


def test_ids_that_are_no_digests_are_refused(tmp_path: Path) -> None:
    for bad in ("short", "z" * 64):
        with pytest.raises(ContractError, match="image_id"):
            split(tmp_path, [replace(row(1), image_id=bad, group_id="g")])


def test_notes_say_what_a_part_lacks(tmp_path: Path) -> None:
    pictures = [replace(picture, boxes=()) for picture in rows_in_groups(20, 2)]
    notes = split(tmp_path, pictures).info["notes"]
    assert [part in notes[number] for number, part in enumerate(("train", "val", "test"))] == [True] * 3
    assert any("Fewer than 30 test pictures" in note for note in notes)


def test_uneven_conditions_are_reported_with_their_chi_square(tmp_path: Path) -> None:
    from scipy.stats import chi2_contingency

    found = split(tmp_path, rows_in_groups(900, 1, conditions=("day", "night", "rain")))
    table = np.array(
        [[counts[part] for part in ("train", "val", "test")] for counts in found.info["conditions"].values()]
    )
    expected = chi2_contingency(table, correction=False)
    balance = found.info["balance"]
    assert (balance["statistic"], balance["p_value"]) == pytest.approx((expected.statistic, expected.pvalue))


def test_killed_writer_leaves_the_old_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = split(tmp_path, rows_in_groups(20, 1))
    import belisha.components.split.split as module

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "write_split_report", dies)
    with pytest.raises(KeyboardInterrupt):
        split(tmp_path, rows_in_groups(30, 1))
    assert read_split(tmp_path / "split").digest == found.digest
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_report_never_shows_the_test_part(tmp_path: Path) -> None:
    pictures = [
        stored(street(seed)[0], str(tmp_path / "store"), street(seed)[1], group_id=f"group-{seed}")
        for seed in range(12)
    ]
    found = split(tmp_path, pictures)
    html = (tmp_path / "split/report.html").read_text()
    groups = {
        part: [found.group_of[image_id] for image_id in parts_of(found) if parts_of(found)[image_id] == part]
        for part in Part
    }
    assert all(f"test · {group}" not in html for group in groups[Part.TEST])
    assert any(f"train · {group}" in html for group in groups[Part.TRAIN])
    assert any(f"val · {group}" in html for group in groups[Part.VAL])


def test_two_shares_make_five_folds_and_the_first_is_val(tmp_path: Path) -> None:
    found = split(tmp_path, rows_in_groups(100, 1), "80/20")
    assert found.info["folds"] == found.folds == 5
    assert found.info["pictures"] == {"train": 64, "val": 16, "test": 20, "quarantine": 0}
    assert any("fold 0 stands in for val" in note for note in found.info["notes"])


def summary_of(tmp_path: Path) -> SplitSummary:
    return split_dataset(tmp_path / "data", tmp_path / "other", SplitOptions(), None)


def test_verb_prints_json_on_stdout_and_notes_on_stderr(tmp_path: Path) -> None:
    dataset(tmp_path / "data", rows_in_groups(20, 2))
    cli._register_verbs()
    storage = str(tmp_path / "storage")
    arguments = ["split-data", str(tmp_path / "data"), "--out", str(tmp_path / "split"), "--storage", storage, "--json"]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["digest"] == read_split(tmp_path / "split").digest == summary_of(tmp_path).digest
    assert "note:" in result.stderr
    assert (tmp_path / "storage/splits/belisha/80-10-10/00000001.parquet").exists()


def test_step_gives_digest_report_and_numbers(tmp_path: Path) -> None:
    from types import SimpleNamespace

    from belisha.components.split.component import split_dataset as component

    info = dataset(tmp_path / "data", rows_in_groups(20, 2))
    logged: dict[str, float] = {}
    artifacts = {name: SimpleNamespace(path=str(tmp_path / "out" / name)) for name in ("split", "report", "metrics")}
    (tmp_path / "out").mkdir()
    artifacts["metrics"].log_metric = logged.__setitem__
    arguments = {
        "dataset_digest": info.digest,
        "split_ratios": "60/20/20",
        "split_salt": "s",
        "storage_uri": str(tmp_path / "st"),
    }
    inputs = {"dataset": SimpleNamespace(path=str(tmp_path / "data"))}
    digest = component.python_func(**inputs, **arguments, **artifacts)
    assert digest == read_split(tmp_path / "out/split").digest
    assert (tmp_path / "out/report").read_text().startswith("<!")
    assert (tmp_path / "out/metrics").exists()
    assert logged["train_pictures"] == 24
    assert logged["test_pedestrians"] == 8
    with pytest.raises(ContractError, match="announced"):
        component.python_func(**inputs, **{**arguments, "dataset_digest": "0" * 64}, **artifacts)
