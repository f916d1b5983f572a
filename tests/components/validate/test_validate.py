from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from belisha.components.shared.detections import Detections, no_detections, read_detections, write_detections
from belisha.components.shared.errors import BelishaError, ContractError, DigestError, InputError, NoDataError
from belisha.components.shared.evaluation_artifact import read_metrics, read_per_image
from belisha.components.shared.ledger import Action, Ledger, Record
from belisha.components.shared.progress import silent
from belisha.components.shared.storage import join_uri, local_path, open_store
from belisha.components.validate import latency
from belisha.components.validate.evaluation import Evaluation
from belisha.components.validate.validate import validate
from tests.bright_world import Bright, Scene, World, build_world, cells
from tests.onnx_models import write_tiny_model

# Scores 1.00 right, 1.00 right, 0.78 wrong, 0.16 right but below the serving threshold 0.25; one pedestrian never seen.
TEST_SCENES = (
    Scene("test", [Bright(0, 0), Bright(2, 3)], "a", "day"),
    Scene("test", [Bright(1, 1, 0)], "b", "night"),
    Scene("test", [Bright(1, 4, 200, labelled=False)], "c", "night"),
    Scene("test", [Bright(0, 2, 40)], "d", "day"),
)
OPEN_SCENES = (
    Scene("train", [Bright(0, 1)], "e"),
    Scene("train", [Bright(0, 2)], "f"),
    Scene("val", [Bright(0, 3)], "g"),
    Scene("val", [Bright(1, 3, 0)], "h"),
)


@pytest.fixture(autouse=True)
def _few_latency_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "REPETITIONS", 5)


def build(root: Path, scenes: Sequence[Scene] = (*OPEN_SCENES, *TEST_SCENES)) -> World:
    world = build_world(root, scenes)
    write_tiny_model(root / "model", dataset_digest=world.dataset_digest, split_digest=world.split_digest)
    return world


def run(world: World, *, baseline: bool = False, run_id: str = "run-1", reason: str = "") -> Evaluation:
    baseline_dir = world.root / "baseline" if baseline else None
    return validate(
        world.dataset_dir,
        world.split_dir,
        world.root / "model",
        baseline_dir,
        world.root / "out",
        world.storage_uri,
        run_id,
        silent,
        reason=reason,
    )


def looks(world: World) -> list[Record]:
    records = Ledger(open_store(join_uri(world.storage_uri, "registry"))).records()
    return [record for record in records if record.draft.action is Action.TEST_LOOK]


def strict_json(path: Path) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} in {path}")

    return dict(json.loads(path.read_bytes(), parse_constant=refuse))


def write_baseline(world: World, name: str, found: Detections) -> None:
    test_ids = [image_id for image_id, part in world.part_of.items() if part == "test"]
    path = world.root / "baseline" / name / "detections_test.parquet"
    write_detections(path, dict.fromkeys(test_ids, found))


def test_figures_are_those_worked_out_by_hand(tmp_path: Path) -> None:
    world = build(tmp_path)
    evaluation = run(world)
    counts = evaluation.test.at_threshold
    assert (counts.true_positives, counts.false_positives, counts.false_negatives) == (2, 1, 2)
    assert counts.precision == pytest.approx(2 / 3)
    assert counts.recall == pytest.approx(1 / 2)
    assert counts.f1 == pytest.approx(4 / 7)
    # Recall points 0..0.50 have precision 1, those to 0.75 have 3/4, the rest 0; boxes fit exactly at every overlap.
    expected_ap = (51 + 25 * 0.75) / 101
    assert evaluation.test.summary is not None
    assert evaluation.test.summary.ap50 == pytest.approx(expected_ap, abs=1e-9)
    assert evaluation.test.summary.ap50_95 == pytest.approx(expected_ap, abs=1e-9)
    assert evaluation.parts["train"].ap50 == pytest.approx(1)
    assert evaluation.parts["val"].ap50 == pytest.approx(51 / 101)
    assert evaluation.gap.difference == pytest.approx(1 - expected_ap)
    assert evaluation.calibration.ece == pytest.approx(200 / 255 / 3, abs=1e-3)
    assert evaluation.calibration.boxes == 3
    assert evaluation.best_val_threshold is not None
    assert evaluation.best_val_threshold.score_threshold == pytest.approx(1, abs=1e-3)
    assert "On val F1 is best at score 1.00 (0.667)" in evaluation.threshold_sentence
    assert "finds 2 of 4 pedestrians in 4 test pictures with 1 false alarms" in evaluation.sentence
    assert "too few pictures (4 of 100)" in evaluation.sentence


def test_the_folder_holds_what_the_contract_says(tmp_path: Path) -> None:
    world = build(tmp_path)
    evaluation = run(world)
    out = tmp_path / "out"
    names = {"detections_test.parquet", "detections_val.parquet", "metrics.json", "per_image.parquet", "report.html"}
    assert {path.name for path in out.iterdir()} == names
    assert strict_json(out / "metrics.json") == read_metrics(out) == json.loads(json.dumps(evaluation.to_json()))
    metrics = read_metrics(out)
    assert metrics["split_digest"] == world.split_digest
    assert metrics["dataset_digest"] == world.dataset_digest
    assert metrics["model_size_bytes"] == (tmp_path / "model" / "model.onnx").stat().st_size
    for part in ("val", "test"):
        found = read_detections(out / f"detections_{part}.parquet")
        assert set(found) == {image_id for image_id, name in world.part_of.items() if name == part}
    assert [row["threads"] for row in metrics["latency"]] == [1, 2]
    assert all(row["n"] == 5 and row["warm_up"] == 3 and row["p50_seconds"] > 0 for row in metrics["latency"])


def test_each_picture_has_its_row(tmp_path: Path) -> None:
    world = build(tmp_path)
    run(world)
    rows = {row["group_id"]: row for row in read_per_image(tmp_path / "out").to_pylist()}
    flags = {
        group: (row["true_positives"], row["false_positives"], row["false_negatives"]) for group, row in rows.items()
    }
    assert flags == {
        "a": (2, 0, 0), "b": (0, 0, 1), "c": (0, 1, 0), "d": (0, 0, 1), "g": (1, 0, 0), "h": (0, 0, 1),
    }  # fmt: skip
    assert {group for group, row in rows.items() if row["part"] == "val"} == {"g", "h"}
    assert rows["a"]["condition"] == "day"
    assert rows["b"]["best_score"] is None
    assert rows["d"]["best_score"] == pytest.approx(40 / 255, abs=1e-3)
    assert rows["c"]["worst_false_alarm_score"] == pytest.approx(200 / 255, abs=1e-3)


def test_the_same_run_twice_gives_the_same_figures_and_one_look(tmp_path: Path) -> None:
    world = build(tmp_path)
    first, second = run(world).to_json(), run(world).to_json()
    timed = {"latency", "headline"}
    assert {key: value for key, value in first.items() if key not in timed} == {
        key: value for key, value in second.items() if key not in timed
    }
    assert len(looks(world)) == 1


def test_a_look_is_recorded_with_its_reason_and_the_second_warns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = build(tmp_path)
    assert run(world, reason="release 7").warnings == ()
    assert looks(world)[0].draft.reason == "release 7"
    again = run(world, run_id="run-2")
    assert again.test_looks == 2
    assert "look 2 at the same sealed test part" in again.warnings[0]
    assert "warning: this is look 2" in capsys.readouterr().err
    assert "look 2 at the same sealed test part" in (tmp_path / "out" / "report.html").read_text()


def test_a_model_of_another_split_is_warned_about(tmp_path: Path) -> None:
    world = build(tmp_path)
    write_tiny_model(tmp_path / "model", split_digest="9" * 64)
    assert "trained under split 999999999999" in run(world).warnings[0]


@pytest.mark.parametrize("part", ["train", "val"])
def test_damage_in_an_open_part_costs_no_look_and_leaves_nothing(tmp_path: Path, part: str) -> None:
    world = build(tmp_path)
    damage(world, part)
    with pytest.raises(DigestError, match="the store is damaged"):
        run(world)
    assert looks(world) == []
    assert not (tmp_path / "out").exists()


def test_damage_in_the_test_part_leaves_the_old_evaluation_whole(tmp_path: Path) -> None:
    world = build(tmp_path)
    run(world)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    damage(world, "test")
    with pytest.raises(DigestError):
        run(world)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def damage(world: World, part: str) -> None:
    picture = next(picture for picture in world.pictures if world.part_of[picture.image_id] == part)
    local_path(picture.uri).write_bytes(b"damaged")


def _remove_model(world: World) -> None:
    (world.root / "model" / "model.json").unlink()


def _alter_model(world: World) -> None:
    with (world.root / "model" / "model.onnx").open("ab") as stream:
        stream.write(b"x")


def _remove_split(world: World) -> None:
    (world.split_dir / "split.json").unlink()


def _other_dataset(world: World) -> None:
    other = build_world(world.root / "other", [Scene("test", [Bright(2, 2)])])
    (world.dataset_dir / "manifest.parquet").write_bytes((other.dataset_dir / "manifest.parquet").read_bytes())


def _empty_baseline(world: World) -> None:
    (world.root / "baseline").mkdir()


def _foreign_baseline(world: World) -> None:
    path = world.root / "baseline" / "hog" / "detections_test.parquet"
    write_detections(path, {"0" * 64: no_detections()})


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        pytest.param(_remove_model, ContractError, "model.json does not exist", id="no model"),
        pytest.param(_alter_model, DigestError, "model.onnx has digest", id="model altered"),
        pytest.param(_remove_split, ContractError, "split.json does not exist", id="no split"),
        pytest.param(_other_dataset, ContractError, "not in the data set", id="split of other data"),
        pytest.param(_empty_baseline, ContractError, "holds no baseline", id="baseline folder empty"),
        pytest.param(_foreign_baseline, ContractError, "do not fit the pictures", id="baseline saw other pictures"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_written(
    tmp_path: Path, spoil: Any, error: type[BelishaError], words: str
) -> None:
    world = build(tmp_path)
    spoil(world)
    with pytest.raises(error, match=words) as caught:
        run(world, baseline=(tmp_path / "baseline").exists())
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_look_needs_a_run_id(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run id"):
        run(build(tmp_path), run_id="")


def test_an_empty_test_part_is_no_pass(tmp_path: Path) -> None:
    world = build(tmp_path, OPEN_SCENES)
    with pytest.raises(NoDataError, match=r"test part .* is empty"):
        run(world)
    assert looks(world) == []


@pytest.mark.parametrize(
    "scenes",
    [
        pytest.param([Scene("test", [Bright(0, 0)])], id="one picture, no train, no val"),
        pytest.param([Scene("test"), Scene("val"), Scene("train")], id="no label anywhere"),
        pytest.param([Scene("test", [Bright(0, 0, ignore=True)])], id="ignored regions alone"),
        pytest.param([Scene("test", [Bright(0, 0, 0)]), Scene("val", [Bright(0, 0, 0)])], id="nothing found"),
        pytest.param([Scene("test", cells(9)), Scene("train", [Bright(0, 0)], "x")], id="crowd of one group"),
    ],
)
def test_odd_parts_still_give_a_whole_report(tmp_path: Path, scenes: list[Scene]) -> None:
    world = build(tmp_path, scenes)
    write_baseline(world, "empty", no_detections())
    evaluation = run(world, baseline=True)
    strict_json(tmp_path / "out" / "metrics.json")
    assert all(math.isfinite(value) for value in evaluation.headline().values())
    assert evaluation.gap.finding.value in ("unknown", "unclear")
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000


def test_margin_over_baselines_with_bounds(tmp_path: Path) -> None:
    scenes = [Scene("test", [Bright(index % 3, index % 5)], f"g{index}") for index in range(12)]
    world = build(tmp_path, [*OPEN_SCENES, *scenes])
    write_baseline(world, "blind", no_detections())
    centre = np.array([[16.0, 32.0, 16.0, 32.0]], np.float32)
    write_baseline(world, "constant", Detections(centre, np.array([0.5], np.float32)))
    margins = {(item.baseline, item.metric): item for item in run(world, baseline=True).margins}
    assert set(margins) == {(name, metric) for name in ("blind", "constant") for metric in ("ap50", "ap50_95")}
    blind, constant = margins["blind", "ap50"], margins["constant", "ap50"]
    assert (blind.model, blind.value, blind.difference, blind.low) == pytest.approx((1, 0, 1, 1))
    assert blind.sentence.startswith("Better than blind by +1.000 AP50")
    assert constant.low is not None
    assert constant.low < constant.difference < 1


def test_slices_have_numbers_only_with_enough_boxes(tmp_path: Path) -> None:
    bright = [Bright(0, column, visible_ratio=0.95) for column in range(6)]
    hidden = [Bright(2, column, 0, visible_ratio=0.3) for column in range(6)]
    scenes = [Scene("test", [*bright, *hidden], f"g{index}", "day") for index in range(5)]
    world = build(tmp_path, [*OPEN_SCENES, *scenes, Scene("test", [Bright(1, 1)], "n", "night")])
    found = {(item.kind, item.name): item for item in run(world).slices}
    day, night = found["condition", "day"], found["condition", "night"]
    assert (day.pedestrians, day.recall, day.precision) == (60, 0.5, 1.0)
    assert (night.pedestrians, night.ap50, night.recall) == (1, None, None)
    assert night.note == "too few boxes (1 of 30)"
    bare, heavy = found["occlusion", "bare, visible 0.9 and more"], found["occlusion", "heavy, visible 0.2 to 0.65"]
    assert (bare.pedestrians, bare.recall, bare.precision) == (30, 1.0, None)
    assert (heavy.pedestrians, heavy.recall) == (30, 0.0)
    assert found["occlusion", "not stated"].pedestrians == 1
    assert found["height", "30 to 50 px"].pedestrians == 61
    assert day.note == "few boxes (60 of 200)"


def test_miss_rate_comes_with_a_hundred_pictures(tmp_path: Path) -> None:
    """Half of the pedestrians found without a false alarm: the miss rate is a half at every reference point."""
    scenes = [Scene("test", [Bright(0, 0), Bright(2, 5, 0)], f"g{index}") for index in range(100)]
    evaluation = run(build(tmp_path, [*OPEN_SCENES, *scenes]))
    summary = evaluation.test.summary
    assert summary is not None
    assert summary.mr2["reasonable"] == pytest.approx(0.5)
    assert summary.mr2["all"] == pytest.approx(0.5)
    assert summary.mr2["heavy"] is None
    assert evaluation.headline()["test_mr2_reasonable"] == pytest.approx(0.5)
    assert "test_mr2_heavy" not in evaluation.headline()
    assert "MR⁻² reasonable 0.500" in evaluation.sentence


def test_an_overfitted_model_is_called_so(tmp_path: Path) -> None:
    seen = [Scene("train", [Bright(0, 0)], f"t{index}") for index in range(30)]
    unseen = [Scene("test", [Bright(0, 0, 255 if index % 2 else 0)], f"u{index}") for index in range(30)]
    gap = run(build(tmp_path, [*seen, *unseen])).gap
    assert gap.finding.value == "overfits"
    assert gap.low is not None
    assert gap.high is not None
    assert 0.1 < gap.low < 0.5 < gap.high < 1
    assert "AP50 is 1.000 on pictures it learned from and 0.505 on unseen ones" in gap.sentence
