"""`belisha acquire` as a person and a program see it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from belisha.cli.main import main
from tests.components.acquire.ingesting import coco_set, jpeg


def refused(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the verb in this process; returns the exit code that it ends with."""
    monkeypatch.setattr(sys, "argv", ["belisha", "acquire", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_ends_with_one_line_of_json(tmp_path: Path) -> None:
    source = coco_set(tmp_path / "set", {"a.jpg": jpeg(1), "b.jpg": b""}, {"a.jpg": [(1, 2, 30, 40)]})
    storage = tmp_path / "storage"
    options = ["--out", str(tmp_path / "out"), "--storage", str(storage), "--map", "person=ignore", "--json"]
    command = [sys.executable, "-m", "belisha.cli.main", "acquire", str(source), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    value = json.loads(line)
    assert list(value) == ["images", "pedestrians", "ignored", "quarantined", "digest"]
    assert (value["images"], value["pedestrians"], value["ignored"], value["quarantined"]) == (1, 0, 1, 1)
    assert "1 pictures are in quarantine (empty 1)" in done.stderr
    assert (storage / "pictures").is_dir()


@pytest.mark.real_data
def test_labels_without_pictures_exit_with_2_and_one_sentence(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    labels = str(real_data / "citypersons" / "val_gt.json")
    assert refused(monkeypatch, labels, "--out", str(tmp_path / "out"), "--json") == 2
    assert not (tmp_path / "out").exists()
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("bad", [["--map", "person"], ["--box-origin", "7"], ["--format", "klingon"]], ids=" ".join)
def test_bad_options_exit_with_2(bad: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = coco_set(tmp_path / "set", {"a.jpg": jpeg(1)})
    assert refused(monkeypatch, str(source), "--out", str(tmp_path / "out"), *bad) == 2
    assert not (tmp_path / "out").exists()
