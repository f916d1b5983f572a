"""Both baselines over a sealed test part: the folder, the look, what is kept for the next candidate, and the two doors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from belisha.cli import main as cli
from belisha.components.baseline import baseline as module
from belisha.components.baseline.baseline import evaluate_baselines
from belisha.components.baseline.heat_map import fit_heat_map
from belisha.components.baseline.hog import HogDetector
from belisha.components.shared.detections import read_detections
from belisha.components.shared.errors import ContractError, DigestError, NoDataError
from belisha.components.shared.evaluation import detection_set, evaluate, evaluation_set
from belisha.components.shared.ledger import Action, Ledger
from belisha.components.shared.manifest import Box, Picture
from belisha.components.shared.progress import ProgressEvent
from belisha.components.shared.splits import Part, read_split, write_assignment
from belisha.components.shared.storage import join_uri, open_store
from tests.components.shared.test_splits import table_of
from tests.factories import dataset, stored, stored_streets, street


@pytest.fixture
def world(tmp_path: Path) -> SimpleNamespace:
    """Ten stored pictures: six train, one val, three test."""
    storage = str(tmp_path / "storage")
    pictures = stored_streets(storage, range(10))
    return make_world(tmp_path, storage, pictures)


def make_world(tmp_path: Path, storage: str, pictures: list[Picture]) -> SimpleNamespace:
    dataset(tmp_path / "data", pictures)
    parts = ["train"] * 6 + ["val"] + ["test"] * 3
    write_split(tmp_path / "split", pictures, parts)
    test = sorted(
        (picture for picture, part in zip(pictures, parts, strict=True) if part == "test"), key=lambda p: p.image_id
    )
    return SimpleNamespace(
        data=tmp_path / "data",
        split=tmp_path / "split",
        out=tmp_path / "out",
        storage=storage,
        test=test,
        train=pictures[:6],
    )


def write_split(folder: Path, pictures: list[Picture], parts: list[str]) -> None:
    folder.mkdir(parents=True)
    table = table_of(dict(enumerate(parts)))
    rows = sorted(zip((picture.image_id for picture in pictures), parts, strict=True))
    table = table.set_column(0, "image_id", [[image_id for image_id, _ in rows]])
    table = table.set_column(2, "part", [[part for _, part in rows]])
    write_assignment(folder, table, {})


def looks(storage: str) -> list[str]:
    records = Ledger(open_store(join_uri(storage, "registry"))).records()
    return [record.draft.run_id for record in records if record.draft.action is Action.TEST_LOOK]


def test_folder_holds_both_baselines_measured_on_the_test_part_alone(world: SimpleNamespace) -> None:
    summary = evaluate_baselines(world.data, world.split, world.out, world.storage, "run-1")
    assert sorted(path.relative_to(world.out).as_posix() for path in world.out.rglob("*") if path.is_file()) == [
        "baseline.json",
        "heatmap/detections_test.parquet",
        "hog/detections_test.parquet",
        "report.html",
    ]
    truth = evaluation_set(world.test, read_split(world.split).group_of)
    for name in ("hog", "heatmap"):
        found = read_detections(world.out / name / "detections_test.parquet")
        assert list(found) == [picture.image_id for picture in world.test]
        assert summary.summaries[name] == evaluate(truth, detection_set(truth, found))
    content = json.loads((world.out / "baseline.json").read_text())
    assert content["split_digest"] == read_split(world.split).digest == summary.split_digest
    assert content["baselines"]["hog"]["images"] == 3
    assert content["heatmap_training_pictures"] == 6


def test_constant_boxes_are_learned_from_training_alone(world: SimpleNamespace) -> None:
    evaluate_baselines(world.data, world.split, world.out, world.storage, "run-1")
    heat_map = fit_heat_map(world.train)
    for found in read_detections(world.out / "heatmap/detections_test.parquet").values():
        np.testing.assert_array_equal(found.boxes_xywh_px, heat_map.on(320, 240).boxes_xywh_px)


def test_look_is_recorded_per_run_and_warned_about(world: SimpleNamespace) -> None:
    for run_id in ("run-1", "run-1", "run-2"):
        summary = evaluate_baselines(world.data, world.split, world.out, world.storage, run_id)
    assert looks(world.storage) == ["run-1", "run-2"]
    assert summary.looks == 2
    assert "look 2" in summary.notes[-1]


class Counting(HogDetector):
    calls = 0

    def detect(self, *arguments: object, **options: object) -> object:
        type(self).calls += 1
        return super().detect(*arguments, **options)


def test_second_candidate_pays_nothing_and_sees_the_same(
    world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HogDetector", Counting)
    Counting.calls = 0
    evaluate_baselines(world.data, world.split, world.out, world.storage, "run-1")
    first = (world.out / "hog/detections_test.parquet").read_bytes()
    assert Counting.calls == 3
    evaluate_baselines(world.data, world.split, world.out, world.storage, "run-2")
    assert Counting.calls == 3
    assert (world.out / "hog/detections_test.parquet").read_bytes() == first
    (kept,) = Path(world.storage, "baselines").rglob("*.parquet")
    kept.write_bytes(b"PAR1 damaged")
    evaluate_baselines(world.data, world.split, world.out, world.storage, "run-3")
    assert Counting.calls == 6
    assert (world.out / "hog/detections_test.parquet").read_bytes() == first


def test_changed_code_starts_afresh(world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate_baselines(world.data, world.split, world.out, world.storage, "run-1")
    monkeypatch.setattr("belisha.components.baseline.cache.code_version", lambda: "another")
    monkeypatch.setattr(module, "HogDetector", Counting)
    Counting.calls = 0
    evaluate_baselines(world.data, world.split, world.out, world.storage, "run-2")
    assert Counting.calls == 3


def test_killed_run_goes_on_where_it_was(world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("belisha.components.baseline.cache._PICTURES_PER_PIECE", 1)

    class Dies(Counting):
        calls = 0

        def detect(self, *arguments: object, **options: object) -> object:
            if Dies.calls == 2:
                raise KeyboardInterrupt
            return super().detect(*arguments, **options)

    monkeypatch.setattr(module, "HogDetector", Dies)
    with pytest.raises(KeyboardInterrupt):
        evaluate_baselines(world.data, world.split, world.out, world.storage, "run-1")
    assert not world.out.exists()
    monkeypatch.setattr(module, "HogDetector", Counting)
    Counting.calls = 0
    evaluate_baselines(world.data, world.split, world.out, world.storage, "run-1")
    assert Counting.calls == 1
    assert looks(world.storage) == ["run-1"]


def test_progress_counts_every_picture_once(world: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("belisha.components.baseline.cache._PICTURES_PER_PIECE", 2)
    events: list[ProgressEvent] = []
    evaluate_baselines(world.data, world.split, world.out, world.storage, "run-1", events.append)
    done = [event.done for event in events]
    assert done == sorted(done)
    assert (events[-1].done, events[-1].total) == (3, 3)
    assert sum(event.finished for event in events) == 1


def test_report_shows_test_pictures_and_escapes_what_labels_say(tmp_path: Path) -> None:
    storage = str(tmp_path / "storage")
    pictures = [
        stored(*[street(seed)[0], storage, street(seed)[1]], condition="<b>night</b>", group_id="g")
        for seed in range(10)
    ]
    world = make_world(tmp_path, storage, pictures)
    evaluate_baselines(world.data, world.split, world.out, world.storage, "run-1")
    html = (world.out / "report.html").read_text()
    assert html.count("data:image/jpeg") == 4
    assert "<b>night</b>" not in html


def test_test_part_without_people_is_no_data(tmp_path: Path) -> None:
    storage = str(tmp_path / "storage")
    pictures = stored_streets(storage, range(10))
    pictures[7:] = [replace(picture, boxes=(Box(1, 1, 9, 9, ignore=True),)) for picture in pictures[7:]]
    world = make_world(tmp_path, storage, pictures)
    with pytest.raises(NoDataError, match="no pedestrian"):
        evaluate_baselines(world.data, world.split, world.out, world.storage, "run-1")
    assert not world.out.exists()


def test_training_part_without_people_leaves_hog(tmp_path: Path) -> None:
    storage = str(tmp_path / "storage")
    pictures = stored_streets(storage, range(10))
    pictures[:6] = [replace(picture, boxes=()) for picture in pictures[:6]]
    world = make_world(tmp_path, storage, pictures)
    summary = evaluate_baselines(world.data, world.split, world.out, world.storage, "run-1")
    assert summary.summaries["heatmap"].ap50 == 0
    assert any("no constant boxes" in note for note in summary.notes)


def test_split_of_other_data_is_refused_before_anybody_looks(world: SimpleNamespace, tmp_path: Path) -> None:
    dataset(tmp_path / "other", world.test)
    with pytest.raises(ContractError, match="split this data set again"):
        evaluate_baselines(tmp_path / "other", world.split, world.out, world.storage, "run-1")
    assert looks(world.storage) == []


def test_damaged_picture_stops_with_its_address(world: SimpleNamespace) -> None:
    victim = world.test[0]
    Path(victim.uri.removeprefix("file://")).write_bytes(b"something else")
    with pytest.raises(DigestError, match=victim.image_id):
        evaluate_baselines(world.data, world.split, world.out, world.storage, "run-1")
    assert not world.out.exists()


def test_verb_prints_json_on_stdout_and_notes_on_stderr(world: SimpleNamespace) -> None:
    cli._register_verbs()
    arguments = [
        "baseline",
        str(world.data),
        str(world.split),
        "--out",
        str(world.out),
        "--storage",
        world.storage,
        "--json",
    ]
    result = CliRunner().invoke(cli.app, arguments)
    assert result.exit_code == 0, result.output
    assert set(json.loads(result.stdout)["baselines"]) == {"hog", "heatmap"}
    assert "note:" in result.stderr
    assert looks(world.storage) == ["by-hand"]


def test_step_fills_the_artifacts(world: SimpleNamespace, tmp_path: Path) -> None:
    from belisha.components.baseline.component import evaluate_baselines as component

    logged: dict[str, float] = {}
    (tmp_path / "task").mkdir()
    artifacts = {
        name: SimpleNamespace(path=str(tmp_path / "task" / name)) for name in ("baseline", "report", "metrics")
    }
    artifacts["metrics"].log_metric = logged.__setitem__
    inputs = {"dataset": SimpleNamespace(path=str(world.data)), "split": SimpleNamespace(path=str(world.split))}
    strings = {
        "storage_uri": world.storage,
        "run_id": "",
        "job_id": "job-7",
        "split_digest": read_split(world.split).digest,
    }
    component.python_func(**inputs, **strings, **artifacts)
    assert looks(world.storage) == ["job-7"]
    assert {"hog_ap50", "hog_ap50_95", "heatmap_ap50", "heatmap_ap50_95"} <= set(logged)
    assert (tmp_path / "task/baseline/hog/detections_test.parquet").exists()
    assert (tmp_path / "task/report").read_text().startswith("<!")
    assert (tmp_path / "task/metrics").exists()
    with pytest.raises(ContractError, match="announced"):
        component.python_func(**inputs, **{**strings, "split_digest": "0" * 64}, **artifacts)


def test_parts_of_the_world_are_what_the_tests_say(world: SimpleNamespace) -> None:
    split = read_split(world.split)
    assert split.ids(Part.TRAIN) == sorted(picture.image_id for picture in world.train)
