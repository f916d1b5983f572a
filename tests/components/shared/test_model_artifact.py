"""A model folder is read whole, as it was described, or refused with a sentence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from belisha.components.shared.errors import ContractError, DigestError
from belisha.components.shared.model_artifact import ModelInfo, read_model_info, write_model_info
from tests.onnx_models import write_tiny_model


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.fixture
def info(tmp_path: Path) -> ModelInfo:
    return write_tiny_model(tmp_path / "m")


def test_reads_what_was_written(info: ModelInfo, tmp_path: Path) -> None:
    found = read_model_info(tmp_path / "m")
    assert found == info and found.digest == info.digest
    assert set(found.files) == {"model.onnx"}


def test_the_digest_tells_models_apart(info: ModelInfo, tmp_path: Path) -> None:
    assert write_tiny_model(tmp_path / "same").digest == info.digest
    assert write_tiny_model(tmp_path / "other", gain=0.5).digest != info.digest
    assert replace(info, training={"epochs": 3}).digest != info.digest


def test_files_in_folders_are_bound_and_hidden_rests_are_not(info: ModelInfo, tmp_path: Path) -> None:
    folder = tmp_path / "m"
    (folder / "golden").mkdir()
    (folder / "golden/expected.json").write_text("{}")
    (folder / ".model.onnx.1234").write_bytes(b"left by a kill")
    assert set(write_model_info(folder, info).files) == {"model.onnx", "golden/expected.json"}
    (folder / "golden/expected.json").write_text("[]")
    with pytest.raises(DigestError, match=r"expected\.json has digest"):
        read_model_info(folder)


@pytest.mark.parametrize("damage", ["changed", "cut", "missing"])
def test_a_damaged_onnx_file_is_refused(damage: str, info: ModelInfo, tmp_path: Path) -> None:
    path = tmp_path / "m/model.onnx"
    data = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(data[:-1] if damage == "cut" else data[:-1] + b"\x00")
    with pytest.raises(ContractError, match="fetch or release the model again"):
        read_model_info(tmp_path / "m")


@pytest.mark.parametrize(
    ("case", "changes", "message"),
    [
        ("newer schema", {"schema": "belisha.model/9"}, "has schema"),
        ("other layout", {"output_layout": "detr"}, "use a newer belisha"),
        ("no onnx", {"files": {}}, "does not name model.onnx"),
        ("files is a list", {"files": ["model.onnx"]}, "is not understood"),
        ("path escape", {"files": {"model.onnx": "0", "../../etc/passwd": "0"}}, "outside the folder"),
        ("absolute path", {"files": {"model.onnx": "0", "/etc/passwd": "0"}}, "outside the folder"),
        ("unknown field", {"surprise": 1}, "is not understood"),
        ("thresholds is a number", {"thresholds": 3}, "is not understood"),
        ("preprocessing unknown", {"preprocessing": {"size": 3}}, "is not understood"),
        ("classes is a number", {"classes": 1}, "is not understood"),
    ],
)
def test_odd_descriptions_are_refused(
    case: str, changes: dict[str, Any], message: str, info: ModelInfo, tmp_path: Path
) -> None:
    edit(tmp_path / "m", **changes)
    with pytest.raises(ContractError, match=message):
        read_model_info(tmp_path / "m")


def test_a_model_without_onnx_is_not_described(info: ModelInfo, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ContractError, match=r"has no model\.onnx"):
        write_model_info(tmp_path / "empty", info)


def test_metrics_that_are_no_numbers_are_refused(info: ModelInfo, tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="not all finite"):
        write_model_info(tmp_path / "m", replace(info, metrics={"loss": float("nan")}))
