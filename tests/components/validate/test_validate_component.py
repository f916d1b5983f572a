from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from kfp import dsl
from typer.testing import CliRunner

from belisha.cli.verbs import validate as verb
from belisha.components.shared.detections import no_detections
from belisha.components.validate import latency
from belisha.components.validate.component import validate_model
from tests.bright_world import World
from tests.components.validate.test_validate import build, looks, strict_json, write_baseline


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(latency, "REPETITIONS", 5)
    world = build(tmp_path)
    write_baseline(world, "blind", no_detections())
    return world


def test_the_step_fills_every_output(world: World) -> None:
    out = world.root / "step"
    evaluation = dsl.Artifact(name="evaluation", uri=str(out / "evaluation"))
    report = dsl.HTML(name="report", uri=str(out / "report"))
    metrics = dsl.Metrics(name="metrics", uri=str(out / "metrics"))
    confusion = dsl.ClassificationMetrics(name="confusion", uri=str(out / "confusion"))
    validate_model.python_func(
        dataset=dsl.Dataset(uri=str(world.dataset_dir)),
        split=dsl.Artifact(uri=str(world.split_dir)),
        model=dsl.Model(uri=str(world.root / "model")),
        baseline=dsl.Artifact(uri=str(world.root / "baseline")),
        storage_uri=world.storage_uri,
        run_id="",
        job_id="job-5",
        evaluation=evaluation,
        report=report,
        metrics=metrics,
        confusion=confusion,
    )
    headline = strict_json(out / "evaluation" / "metrics.json")["headline"]
    assert metrics.metadata == strict_json(out / "metrics") == headline
    assert headline["test_recall"] == 0.5
    assert headline["margin_blind_ap50"] == headline["test_ap50"]
    assert strict_json(out / "confusion")["matrix"] == [[2, 2], [1, 0]]
    assert [row["row"] for row in confusion.metadata["confusionMatrix"]["rows"]] == [[2, 2], [1, 0]]
    assert (out / "report").read_bytes() == (out / "evaluation" / "report.html").read_bytes()
    assert [record.draft.run_id for record in looks(world)] == ["job-5"]


def test_the_verb_prints_json_for_programs_and_sentences_for_people(world: World) -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    verb.register(app)
    folders = [str(world.dataset_dir), str(world.split_dir), str(world.root / "model")]
    where = ["--out", str(world.root / "out"), "--storage", world.storage_uri, "--run-id", "me"]
    done = CliRunner().invoke(app, ["validate", *folders, *where, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == strict_json(world.root / "out" / "metrics.json")
    assert "detect test: 4/4 pictures (100 %)" in done.stderr
    blind = ["--baseline", str(world.root / "baseline"), "--reason", "a look by hand"]
    done = CliRunner().invoke(app, ["validate", *folders, *where, *blind])
    assert done.exit_code == 0, done.output
    assert done.stdout == ""
    assert "finds 2 of 4 pedestrians" in done.stderr
    assert "Not distinguishable from blind: +" in done.stderr
    assert len(looks(world)) == 1


def test_the_verb_says_in_a_sentence_what_is_wrong(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("belisha")
    missing = str(tmp_path / "nowhere")
    arguments = [missing, missing, missing, "--out", missing, "--storage", missing]
    done = subprocess.run([program, "validate", *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.startswith(f"belisha: {missing}/split.json does not exist")
    assert done.stderr.count("\n") == 1
    assert not Path(missing).exists()
