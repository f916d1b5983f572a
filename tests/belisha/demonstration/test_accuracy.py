"""Accuracy by condition: a model that finds bright things is measured under every sky."""

from __future__ import annotations

from pathlib import Path

import pytest

from belisha.components.shared.progress import silent
from belisha.components.shared.registry import open_registry
from belisha.demonstration import accuracy
from belisha.demonstration.accuracy import CONDITIONS, accuracy_by_condition
from tests.serving_world import make_world

SOURCE = "synthetic://streets?pictures=4&seed=7&width=160&height=96&conditions=day&pedestrians=2-4"


def test_every_model_is_measured_under_every_sky(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accuracy, "_PICTURES", 4)
    world = make_world(tmp_path, models=2)
    registry = open_registry(str(world.storage))
    folders = {version: registry.fetch(version, tmp_path / "cache") for version in ("v1", "v2")}

    found = accuracy_by_condition(SOURCE, folders, silent)
    assert [(one.version, one.condition) for one in found] == [(v, sky) for v in ("v1", "v2") for sky in CONDITIONS]
    assert all(0 <= one.ap50 <= 1 and one.pictures == 4 and one.pedestrians > 0 for one in found)
