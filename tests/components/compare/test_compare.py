"""Comparison end to end on real files and a real ONNX champion: verdicts, looks, errors as verdicts, re-execution."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from belisha.components.compare.compare import compare
from belisha.components.compare.component import compare_with_champion
from belisha.components.compare.disagreement import matched, worst_disagreements
from belisha.components.compare.latency import MIN_ROUNDS, ROUNDS, measure_in_turn
from belisha.components.compare.settings import GateSettings
from belisha.components.shared.detections import Detections, no_detections, read_detections, write_detections
from belisha.components.shared.errors import ContractError, InputError
from belisha.components.shared.files import write_json
from belisha.components.shared.ledger import Action
from belisha.components.shared.progress import silent
from belisha.components.shared.registry import open_registry
from belisha.components.shared.verdict import Verdict
from tests.bright_world import World
from tests.components.compare.comparing import RELAXED, Run, make_run, make_world

# At this gain the dimmer half of the pedestrians falls below the floor of the evaluation.
WEAK_GAIN = 0.0015
# The miss rate needs 100 pictures; most tests here do with fewer.
NO_MISS_RATE = dataclasses.replace(RELAXED, max_mr2_increase=1.0)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


@pytest.fixture
def rivals(world: World) -> tuple[Run, Run]:
    """A champion that is blind to dim pedestrians, released; and a better candidate."""
    weak = make_run(world, "weak", gain=WEAK_GAIN)
    weak.make_champion()
    return weak, make_run(world, "good")


def looks(world: World) -> int:
    records = open_registry(world.storage_uri).ledger.records()
    return sum(record.draft.action is Action.TEST_LOOK for record in records)


def decision_json(run: Run) -> dict[str, Any]:
    return dict(json.loads((run.folder("decision") / "decision.json").read_text()))


def test_the_first_model_is_held_against_the_baselines(world: World) -> None:
    run = make_run(world, "first")
    decision = run.compare()
    assert decision.verdict is Verdict.PASS and decision.champion is None
    assert {"baseline_hog", "baseline_heatmap"} <= {gate.name for gate in decision.gates}
    assert "<h1>Decision: PASS</h1>" in (run.folder("decision") / "report.html").read_text()


def test_a_model_that_finds_nothing_beats_no_baseline(world: World) -> None:
    assert make_run(world, "blind", blind_below=2.0).compare().verdict is Verdict.INCONCLUSIVE


def test_a_better_candidate_passes_and_becomes_challenger(rivals: tuple[Run, Run]) -> None:
    _, good = rivals
    decision = good.compare(NO_MISS_RATE)
    assert decision.verdict is Verdict.PASS, decision.sentence
    assert decision.champion is not None and decision.champion["version"] == "v1"
    assert decision.metrics["ap50_95"] > decision.champion_metrics["ap50_95"] > 0
    assert "became challenger of v1" in good.release()


def test_a_worse_candidate_fails(world: World) -> None:
    make_run(world, "good").make_champion()
    weak = make_run(world, "weak", gain=WEAK_GAIN)
    decision = weak.compare(NO_MISS_RATE)
    assert decision.verdict is Verdict.FAIL and "not better than the champion" in decision.sentence
    assert "was refused: FAIL" in weak.release()


def test_too_few_pictures_for_the_miss_rate_leave_it_open(rivals: tuple[Run, Run]) -> None:
    _, good = rivals
    decision = good.compare()
    assert decision.verdict is Verdict.INCONCLUSIVE and "test on 64 more" in decision.sentence


def test_the_same_run_counts_one_look_and_gives_the_same_decision(rivals: tuple[Run, Run], world: World) -> None:
    _, good = rivals
    before = looks(world)
    first = good.compare(NO_MISS_RATE)
    assert good.compare(NO_MISS_RATE) == first
    assert looks(world) == before + 1 and first.looks == before + 1
    good.compare(NO_MISS_RATE, run_id="another")
    assert looks(world) == before + 2


def test_a_step_run_again_after_its_release_meets_the_champion_of_then(world: World) -> None:
    run = make_run(world, "first")
    first = run.compare()
    run.release()
    assert run.compare() == first
    assert "became champion" in run.release()


def test_the_champion_itself_as_candidate_is_no_gain(world: World) -> None:
    run = make_run(world, "first")
    run.make_champion()
    decision = run.compare(NO_MISS_RATE, run_id="again")
    assert decision.verdict is Verdict.INCONCLUSIVE and "the very model that is champion" in decision.sentence


def test_decision_json_holds_what_it_stands_on(rivals: tuple[Run, Run], world: World) -> None:
    _, good = rivals
    decision = good.compare(NO_MISS_RATE)
    value = decision_json(good)
    assert value["schema"] == "belisha.decision/1" and value["verdict"] == decision.verdict.value
    assert value["model_digest"] == good.model_digest and value["split_digest"] == world.split_digest
    assert value["settings"]["bootstrap_resamples"] == RELAXED.bootstrap_resamples and value["champion"]["model_digest"]
    assert len(value["evaluation_digest"]) == 64 and value["looks"] == 1
    assert all(
        {"name", "verdict", "sentence", "value", "bound", "interval", "blocking"} == set(gate)
        for gate in value["gates"]
    )


def test_the_report_shows_both_models(rivals: tuple[Run, Run]) -> None:
    _, good = rivals
    good.compare(NO_MISS_RATE)
    html = (good.folder("decision") / "report.html").read_text()
    for words in (
        "Resampled differences",
        "Slices",
        "Where the models disagree most",
        "superiority_ap50_95",
        "What this stands on",
    ):
        assert words in html
    assert "data:image/svg+xml" in html


def break_detections(run: Run) -> None:
    (run.folder("evaluation") / "detections_test.parquet").write_bytes(b"PAR1 cut")


def drop_a_picture(run: Run) -> None:
    path = run.folder("evaluation") / "detections_test.parquet"
    write_detections(path, dict(list(read_detections(path).items())[1:]))


def other_model(run: Run) -> None:
    write_json(run.folder("evaluation") / "metrics.json", {"schema": "belisha.evaluation/1", "model_digest": "other"})


def break_split(run: Run) -> None:
    (run.world.split_dir / "assignment.parquet").write_bytes(b"")


def lose_a_picture(run: Run) -> None:
    picture = next(each for each in run.world.pictures if run.world.part_of[each.image_id] == "test")
    Path(picture.uri.removeprefix("file://")).unlink()


def damage_a_picture(run: Run) -> None:
    picture = next(each for each in run.world.pictures if run.world.part_of[each.image_id] == "test")
    Path(picture.uri.removeprefix("file://")).write_bytes(b"rot")


def damage_the_champion(run: Run) -> None:
    (Path(run.world.storage_uri) / "registry/models/v1/model/model.onnx").write_bytes(b"rot")


def baseline_of_other_pictures(run: Run) -> None:
    write_detections(run.folder("baseline") / "hog/detections_test.parquet", {"f" * 64: no_detections()})


def lose_the_baseline(run: Run) -> None:
    shutil.rmtree(run.folder("baseline"))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (break_detections, "is not a readable detections file"),
        (drop_a_picture, "the detections do not fit the pictures: 1 pictures have none"),
        (other_model, "expected"),
        (break_split, "is not a readable assignment"),
        (lose_a_picture, "does not exist"),
        (damage_a_picture, "has digest"),
        (damage_the_champion, "is not what was registered"),
        (baseline_of_other_pictures, "the detections do not fit the pictures"),
        (lose_the_baseline, "give the folder that `belisha baseline` has written"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_cannot_be_compared_is_an_error_verdict(damage: Any, words: str, rivals: tuple[Run, Run]) -> None:
    _, good = rivals
    damage(good)
    decision = good.compare(NO_MISS_RATE)
    assert decision.verdict is Verdict.ERROR and words in decision.sentence
    assert decision_json(good)["verdict"] == "ERROR"
    assert (good.folder("decision") / "report.html").exists()
    assert "was refused: ERROR" in good.release()


def test_no_labelled_pedestrian_is_inconclusive(tmp_path: Path) -> None:
    from tests.bright_world import Scene, build_world

    world = build_world(tmp_path / "world", [Scene("train"), *(Scene("test", group=f"g{n}") for n in range(12))])
    decision = make_run(world, "a").compare()
    assert decision.verdict is Verdict.INCONCLUSIVE and "counts" in decision.sentence


def test_one_group_can_beat_a_baseline_with_a_warning_but_no_champion(tmp_path: Path) -> None:
    world = make_world(tmp_path, images=20, groups=1)
    first = make_run(world, "first", gain=WEAK_GAIN)
    decision = first.compare()
    assert decision.verdict is Verdict.PASS and any("only 1 independent groups" in each for each in decision.warnings)
    first.release()
    second = make_run(world, "second").compare(NO_MISS_RATE)
    assert second.verdict is Verdict.INCONCLUSIVE and "add 9 groups" in second.sentence


def test_a_folder_that_is_no_model_leaves_nothing(world: World) -> None:
    run = make_run(world, "a")
    (run.folder("model") / "model.json").unlink()
    with pytest.raises(ContractError, match="does not exist"):
        run.compare()
    assert not run.folder("decision").exists() and looks(world) == 0


def test_a_comparison_needs_a_run_id(world: World) -> None:
    run = make_run(world, "a")
    folders = (world.dataset_dir, world.split_dir, run.folder("model"), run.folder("evaluation"), None)
    with pytest.raises(InputError, match="needs the id of its run"):
        compare(*folders, run.folder("decision"), world.storage_uri, "", GateSettings(), silent)
    assert not run.folder("decision").exists()


class SlowDetector:
    """Answers at once, but a clock that it shares says how long it took."""

    def __init__(self, clock: list[float], seconds: float) -> None:
        self._clock, self._seconds = clock, seconds

    def detect(self, image_rgb: Any, *, score_threshold: float | None = None) -> Detections:
        self._clock[0] += self._seconds
        return no_detections()


@pytest.mark.parametrize(("seconds", "rounds"), [(0.01, ROUNDS), (1.0, MIN_ROUNDS)])
def test_latency_is_taken_in_turn_and_bounded(seconds: float, rounds: int) -> None:
    clock = [0.0]
    image = np.zeros((4, 4, 3), np.uint8)
    models = SlowDetector(clock, seconds), SlowDetector(clock, 2 * seconds)
    found = measure_in_turn(*models, [image], silent, lambda: clock[0])
    assert found is not None and len(found.candidate) == len(found.champion) == rounds
    assert np.allclose(found.candidate, seconds) and np.allclose(found.champion, 2 * seconds)
    assert measure_in_turn(*models, [], silent) is None


def test_disagreement_counts_boxes_that_only_one_has(world: World) -> None:
    box = Detections(np.array([[0, 0, 10, 10], [50, 0, 10, 10]], np.float32), np.array([0.9, 0.8], np.float32))
    ids = [picture.image_id for picture in world.pictures[:3]]
    nothing = dict.fromkeys(ids, no_detections())
    first = {**nothing, ids[1]: box, ids[2]: box.above(0.85)}
    found = worst_disagreements(world.pictures[:3], first, nothing, (0.25, 0.25), 5)
    assert [(item.picture.image_id, item.count) for item in found] == [(ids[1], 2), (ids[2], 1)]
    assert worst_disagreements(world.pictures[:3], first, first, (0.25, 0.25), 5) == []


@pytest.mark.parametrize(
    ("first", "second", "count"), [([], [], 0), ([[0, 0, 9, 9]], [], 0), ([[0, 0, 9, 9]] * 2, [[0, 0, 9, 9]], 1)]
)
def test_matching_uses_each_box_once(first: list[list[float]], second: list[list[float]], count: int) -> None:
    arrays = (np.array(boxes, np.float64).reshape(-1, 4) for boxes in (first, second))
    assert matched(*arrays) == count


class Artifact:
    def __init__(self, path: Path) -> None:
        self.path, self.metadata, self.logged = str(path), {}, {}

    def log_metric(self, name: str, value: float) -> None:
        self.logged[name] = value


def test_the_component_fills_its_artifacts(rivals: tuple[Run, Run]) -> None:
    _, good = rivals
    outputs = {name: Artifact(good.root / "kfp" / name) for name in ("decision", "report", "metrics")}
    inputs = {name: Artifact(good.folder(name)) for name in ("model", "evaluation", "baseline")}
    inputs |= {"dataset": Artifact(good.world.dataset_dir), "split": Artifact(good.world.split_dir)}
    for _ in range(2):
        verdict = compare_with_champion.python_func(
            **inputs, **outputs, storage_uri=good.world.storage_uri, run_id="", job_id="job-1",
            gate_max_mr2_increase=1.0, gate_bootstrap_resamples=200.0,
        )  # fmt: skip
    assert verdict == outputs["decision"].metadata["verdict"]
    assert json.loads(Path(outputs["metrics"].path).read_text()) == outputs["metrics"].logged
    assert "Decision:" in Path(outputs["report"].path).read_text()


def test_the_components_defaults_are_those_of_the_settings() -> None:
    found = {
        name.removeprefix("gate_"): spec.default
        for name, spec in compare_with_champion.component_spec.inputs.items()
        if name.startswith("gate_")
    }
    assert found == dataclasses.asdict(GateSettings())
