"""The pipeline step on real folders: what it writes, what it reports, and what the artifact contains."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from belisha.components.shared.golden import check_golden
from belisha.components.shared.model_artifact import read_model_info
from belisha.components.train.component import train_detector


class Metrics(SimpleNamespace):
    def log_metric(self, name: str, value: float) -> None:
        self.metadata[name] = value


@pytest.mark.training
def test_step_writes_a_whole_model(data: tuple[Path, Path, str], tiny_model: str, tmp_path: Path) -> None:
    dataset, split, storage = data
    artifacts: dict[str, Any] = {
        name: SimpleNamespace(path=str(tmp_path / "out" / name), metadata={}) for name in ("model", "report")
    }
    metrics = Metrics(path=str(tmp_path / "out" / "metrics"), metadata={})
    train_detector.python_func(
        dataset=SimpleNamespace(path=str(dataset)),
        split=SimpleNamespace(path=str(split)),
        split_digest="",
        storage_uri=storage,
        train_weights_uri="",
        train_architecture=tiny_model,
        train_epochs=2,
        train_image_size=96,
        train_batch=4,
        train_learning_rate=0.01,
        train_patience=0,
        train_seed=0,
        train_workers=0,
        metrics=metrics,
        **artifacts,
    )
    folder = Path(artifacts["model"].path)
    info = read_model_info(folder)
    assert {"model.onnx", "card.md", "golden/golden.json", "golden/0.png"} <= set(info.files)
    assert info.weights_origin.startswith("from scratch")
    assert info.training["overfit"]["passed"] is True
    assert info.training["settings"]["architecture"] == "tiny.yaml", "no folder of this machine in the contract"
    assert check_golden(folder).passed
    card = (folder / "card.md").read_text()
    assert card.startswith("---\n")
    assert "claims the same for weights" in card
    assert info.dataset_digest in card
    report = Path(artifacts["report"].path).read_text()
    assert "Can it learn at all?" in report
    assert report.count("data:image/svg") == 3
    assert json.loads(Path(metrics.path).read_text()) == metrics.metadata
    assert artifacts["model"].metadata["weights_digest"] == info.training["weights_digest"]
