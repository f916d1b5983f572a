"""The pipeline step: parameters in, figures and a sentence out."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from belisha.components.review.step import run_step
from tests.components.review.queue_world import NOON, World


class Metrics:
    def __init__(self, path: Path) -> None:
        self.path, self.metadata, self.logged = str(path), {}, dict[str, Any]()

    def log_metric(self, metric: str, value: float) -> None:
        self.logged[metric] = value


def test_the_step_hands_out_and_says_so(tmp_path: Path) -> None:
    world = World(tmp_path / "storage")
    minutes_ago = (datetime.now(UTC) - timedelta(minutes=30) - NOON).total_seconds() / 60
    for seed in range(3):
        world.keep(seed, minutes=minutes_ago + seed)
    world.log()
    metrics = Metrics(tmp_path / "metrics.json")
    sentence = run_step(world.uri, 2, "drift", "drift-1", "belisha", metrics)
    assert "batch 1 hands out 2 of 3" in sentence
    assert metrics.logged == {"pictures_handed_out": 2.0, "pictures_waiting": 2.0}
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics.logged
    assert "answered this request already" in run_step(world.uri, 2, "drift", "drift-1", "belisha", metrics)
    assert metrics.logged == {"pictures_handed_out": 0.0, "pictures_waiting": 2.0}


def test_the_component_is_a_contract_that_compiles(tmp_path: Path) -> None:
    from kfp import compiler

    from belisha.components.review.component import select_for_review

    compiler.Compiler().compile(select_for_review, str(tmp_path / "review.yaml"))
    assert "review_key" in (tmp_path / "review.yaml").read_text()
