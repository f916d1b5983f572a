"""Killed trainings go on to the same weights, finished ones are recognised, and nothing touches the network."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.components.train.conftest import TINY_MODEL, small_data

# Stands in a process of its own: every connection attempt is an error, and the training tells of each epoch.
RUNNER = """
import json, socket, sys
def refuse(*args, **kwargs):
    raise AssertionError(f"network touched: {args}")
socket.socket.connect = refuse
socket.socket.connect_ex = refuse
socket.getaddrinfo = refuse
from dataclasses import asdict
from pathlib import Path
from belisha.components.shared.progress import ProgressEvent
from belisha.components.train import TrainSettings
from belisha.components.train.train import train
root, storage, out, extra = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), json.loads(sys.argv[4])
def tell(event: ProgressEvent) -> None:
    if event.step == "train" and "epoch" in event.note:
        print("EPOCH", event.note, flush=True)
settings = TrainSettings(architecture=str(root / "tiny.yaml"), image_size_px=96, batch=4, learning_rate=0.01, epochs=4,
                         mosaic=0.7, threads=1, checkpoint_time_ratio=1.0, **extra)
summary = train(root / "dataset", root / "split", out, settings, storage, tell)
print("SUMMARY", json.dumps(asdict(summary)), flush=True)
"""


def start(root: Path, storage: Path, out: Path, **extra: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RUNNER, str(root), str(storage), str(out), json.dumps(extra)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("YOLO_")}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment, "PYTHONHASHSEED": "random"},
    )


def finish(process: subprocess.Popen[str]) -> dict[str, object]:
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]
    line = next(line for line in output.splitlines() if line.startswith("SUMMARY "))
    return dict(json.loads(line.removeprefix("SUMMARY ")))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume") / "data"
    small_data(folder)
    (folder / "tiny.yaml").write_text(TINY_MODEL)
    return folder


@pytest.mark.training
def test_killed_training_ends_with_the_same_bytes(root: Path, tmp_path: Path) -> None:
    whole = finish(start(root, tmp_path / "whole", tmp_path / "model-whole"))

    killed = start(root, tmp_path / "killed", tmp_path / "model-killed")
    assert killed.stdout is not None
    for line in killed.stdout:
        if line.startswith("EPOCH epoch 2/"):
            break
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "model-killed").exists()

    began = time.monotonic()
    resumed = start(root, tmp_path / "killed", tmp_path / "model-killed")
    assert resumed.stdout is not None
    epochs = []
    summary = {}
    for line in resumed.stdout:
        if line.startswith("EPOCH"):
            epochs.append(line)
        if line.startswith("SUMMARY "):
            summary = json.loads(line.removeprefix("SUMMARY "))
    assert resumed.wait() == 0, resumed.stderr.read() if resumed.stderr else ""
    assert epochs, "the resumed training told of no epoch"
    assert "epoch 1/" not in epochs[0], f"it began anew: {epochs[0]} after {time.monotonic() - began:.0f} s"

    assert summary["weights_digest"] == whole["weights_digest"]
    assert summary["model_digest"] == whole["model_digest"]
    assert (tmp_path / "model-killed/model.onnx").read_bytes() == (tmp_path / "model-whole/model.onnx").read_bytes()

    again = finish(start(root, tmp_path / "killed", tmp_path / "model-again"))
    assert again["reused"] is True
    assert again["model_digest"] == whole["model_digest"]


@pytest.mark.training
def test_another_seed_gives_other_weights_and_their_checkpoint_starts_a_new_training(
    root: Path, tmp_path: Path
) -> None:
    one = finish(start(root, tmp_path / "store", tmp_path / "one", seed=1, overfit_steps=0))
    two = finish(start(root, tmp_path / "store", tmp_path / "two", seed=2, overfit_steps=0))
    assert one["weights_digest"] != two["weights_digest"]

    tuned = finish(start(root, tmp_path / "store", tmp_path / "tuned", weights_uri=one["weights_uri"], overfit_steps=0))
    assert "keeps its 'pedestrian'" in str(tuned["weights_origin"])
    metrics, before = tuned["metrics"], one["metrics"]
    assert isinstance(metrics, dict)
    assert isinstance(before, dict)
    assert metrics["val_ap50_95"] >= before["val_ap50_95"] - 1e-6, "fine-tuning must not lose to its own start"
