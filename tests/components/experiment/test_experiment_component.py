"""The step as a pipeline starts it."""

from __future__ import annotations

import json
from pathlib import Path

from kfp import dsl

from belisha.components.experiment.component import judge_experiment
from belisha.components.shared.ledger import Action, LedgerState, system_clock
from tests.components.experiment.experimenting import Clock, Lab


def run(lab: Lab, out: Path) -> tuple[str, dsl.Metrics]:
    metrics = dsl.Metrics(name="metrics", uri=str(out / "metrics"))
    verdict = judge_experiment.python_func(
        storage_uri=lab.uri,
        prometheus_url="http://127.0.0.1:9",
        deployment_name="belisha",
        namespace="ml",
        experiment=dsl.Artifact(name="experiment", uri=str(out / "experiment")),
        report=dsl.HTML(name="report", uri=str(out / "report")),
        metrics=metrics,
    )
    return verdict, metrics


def test_the_step_fills_every_output(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "storage", Clock(system_clock()))
    verdict, metrics = run(lab, tmp_path / "out")
    assert verdict == "CONTINUE" and lab.state.challenger_traffic_ratio == 0.05
    assert metrics.metadata["share_ratio"] == 0.05
    assert json.loads((tmp_path / "out/experiment/experiment.json").read_text())["event"] == "step"
    assert (tmp_path / "out/report").read_bytes() == (tmp_path / "out/experiment/report.html").read_bytes()


def test_without_a_challenger_the_step_is_done_all_the_same(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "storage")
    lab.write(Action.ROLLBACK, "v2", LedgerState("v1"))
    verdict, metrics = run(lab, tmp_path / "out")
    assert verdict == "" and metrics.metadata["share_ratio"] == 0.0
    assert "no challenger" in (tmp_path / "out/report").read_text()
