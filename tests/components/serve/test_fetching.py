"""A predictor's pod fetches its model: verified, whole, and as often as it is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from belisha.components.serve.fetching import fetch_into, main
from belisha.components.shared.errors import ContractError, DigestError, InputError
from belisha.components.shared.model_artifact import read_model_info
from tests.release_folders import release_one


@pytest.fixture
def storage(tmp_path: Path) -> str:
    uri = f"file://{tmp_path / 'storage'}"
    release_one(tmp_path, uri)
    return uri


def test_the_model_is_there_and_a_second_start_changes_nothing(storage: str, tmp_path: Path) -> None:
    into = tmp_path / "models" / "model"
    for _ in range(2):
        folder = fetch_into(storage, "v1", into)
        assert into.resolve() == folder.resolve()
    assert read_model_info(into).digest == folder.name
    assert sorted(path.name for path in into.parent.iterdir()) == sorted([folder.name, "model"])


def test_a_link_is_relative_so_that_the_volume_may_be_mounted_elsewhere(storage: str, tmp_path: Path) -> None:
    into = tmp_path / "models" / "model"
    fetch_into(storage, "v1", into)
    moved = into.parent.rename(tmp_path / "elsewhere")
    assert (moved / "model" / "model.onnx").is_file()


def test_what_is_there_already_is_not_replaced(storage: str, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(InputError, match="no link"):
        fetch_into(storage, "v1", tmp_path / "model")


def test_damaged_files_do_not_serve(storage: str, tmp_path: Path) -> None:
    [onnx] = (tmp_path / "storage").rglob("models/v1/model/model.onnx")
    onnx.write_bytes(b"something else")
    with pytest.raises((DigestError, ContractError)):
        fetch_into(storage, "v1", tmp_path / "models" / "model")
    assert not (tmp_path / "models" / "model").exists()


def test_exit_codes(storage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    into = str(tmp_path / "models" / "model")
    assert main(["--version", "v1", "--into", into, "--storage", storage]) == 0
    assert "v1" in capsys.readouterr().out
    assert main(["--version", "v9", "--into", into, "--storage", storage]) == 2
    assert "v9" in capsys.readouterr().err
    with pytest.raises(SystemExit) as usage:
        main(["--version", "v1", "--into", into])
    assert usage.value.code == 2
