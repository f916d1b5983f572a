"""Pictures over gRPC: as bytes, larger than gRPC's own bound, and refused ones."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tests.components.serve.conftest import bright_cell, png
from tests.components.serve.serving import SERVE_PYTHON, Predictor


def ask(running: Predictor, *files: Path | str) -> list[Any]:
    script = Path(__file__).with_name("grpc_client.py")
    command = [str(SERVE_PYTHON), str(script), str(running.grpc_port), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def grpc_predictor(tiny_predictor: Predictor, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """Its gRPC worker loads the model by itself, so it is asked until it is ready."""
    path = tmp_path_factory.mktemp("grpc") / "a.png"
    path.write_bytes(png(bright_cell()))
    for _ in range(30):
        if "jsonData" in ask(tiny_predictor, path)[0]:
            return tiny_predictor
        time.sleep(1)
    raise AssertionError(tiny_predictor.log.read_text())


def test_pictures_and_refusals_over_grpc(grpc_predictor: Predictor, tmp_path: Path) -> None:
    good, garbage, oversized = tmp_path / "good.png", tmp_path / "garbage", tmp_path / "oversized"
    good.write_bytes(png(bright_cell()))
    garbage.write_bytes(b"garbage")
    # Above gRPC's default of 4 MiB for a message, so the sentence can only come from the predictor.
    oversized.write_bytes(bytes(6_000_000))
    answer, bad, empty, large = ask(grpc_predictor, good, garbage, "empty", oversized)
    assert answer["meta"]["puid"] == "over-grpc"
    assert answer["jsonData"]["boxes"] == [{"x": 32, "y": 32, "width": 16, "height": 32, "score": 1}]
    assert (answer["jsonData"]["role"], answer["jsonData"]["model_version"]) == ("challenger", "tiny-1")
    for refused, code in ((bad, 400), (empty, 400), (large, 413)):
        assert refused["status"]["status"] == "FAILURE"
        assert refused["status"]["code"] == code
        assert len(refused["status"]["info"]) > 10
        assert "jsonData" not in refused


def test_a_large_picture_gets_its_boxes(grpc_predictor: Predictor, tmp_path: Path) -> None:
    image = cv2.resize(bright_cell(), (960, 960), interpolation=cv2.INTER_NEAREST)
    image[:, 700:] = np.random.default_rng(0).integers(0, 60, (960, 260, 3), dtype=np.uint8)
    (tmp_path / "large.png").write_bytes(png(image))
    (answer,) = ask(grpc_predictor, tmp_path / "large.png")
    (box,) = answer["jsonData"]["boxes"]
    assert [box[name] for name in ("x", "y", "width", "height")] == pytest.approx([320, 320, 160, 320], abs=1e-3)


def test_feedback_over_grpc(grpc_predictor: Predictor) -> None:
    before = grpc_predictor.counted()
    counted, zero, none = ask(grpc_predictor, "reward=2", "reward=0", "reward=nan")
    after = grpc_predictor.counted()
    assert (counted, zero) == ({}, {})
    assert (none["status"]["status"], none["status"]["code"]) == ("FAILURE", 400)
    changed = {name: after[name] - before[name] for name in after if "feedback" in name or "reward" in name}
    assert {name: change for name, change in changed.items() if change} == {
        "belisha_feedback_total/positive": 1, "belisha_feedback_total/zero": 1, "belisha_reward_gained_total/": 2,
    }  # fmt: skip
