"""The pipeline step on real folders: what it writes, what it reports, and what the artifact contains."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from belisha.components.shared.drift_reference import decode_reference
from belisha.components.shared.golden import check_golden
from belisha.components.shared.model_artifact import read_model_info
from belisha.components.shared.progress import silent
from belisha.components.train import TrainSettings
from belisha.components.train.component import train_detector
from belisha.components.train.train import train


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
    reference = decode_reference((folder / "reference/reference.parquet").read_bytes(), "")
    assert (len(reference.rows), reference.rows.embeddings.shape[1]) == (4, 32), "the pictures of the validation part"
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


@pytest.mark.training
def test_no_epoch_exports_the_weights_as_they_are(
    data: tuple[Path, Path, str], tiny_model: str, tmp_path: Path
) -> None:
    dataset, split, storage = data
    small = TrainSettings(architecture=tiny_model, image_size_px=96, batch=4, workers=0, overfit_steps=0)
    first = train(dataset, split, tmp_path / "first", replace(small, epochs=1), storage, silent)
    untouched = replace(small, epochs=0, weights_uri=first.weights_uri)
    second = train(dataset, split, tmp_path / "second", untouched, storage, silent)

    assert (second.epochs, second.best_epoch) == (0, 0)
    assert second.weights_digest == first.weights_digest
    assert "weights as they were given" in (tmp_path / "second/report.html").read_text()
    assert train(dataset, split, tmp_path / "again", untouched, storage, silent).reused
