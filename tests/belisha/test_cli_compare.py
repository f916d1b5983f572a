"""`belisha compare` as a user meets it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from belisha.cli import main as cli
from belisha.components.compare.settings import GateSettings
from tests.components.compare.comparing import Run, make_run, make_world


def run_verb(run: Run, *more: str, monkeypatch: pytest.MonkeyPatch) -> int:
    folders = (run.world.dataset_dir, run.world.split_dir, run.folder("model"), run.folder("evaluation"))
    options = [*(str(folder) for folder in folders), "--baseline", str(run.folder("baseline"))]
    options += ["--out", str(run.folder("decision")), "--storage", run.world.storage_uri]
    monkeypatch.setattr(sys, "argv", ["belisha", "compare", *options, *more])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return int(stopped.value.code or 0)


def test_verdicts_become_exit_codes_and_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(make_world(tmp_path, images=12), "a")
    options = ("--run-id", "r", "--bootstrap-resamples", "100")
    assert run_verb(run, *options, "--json", monkeypatch=monkeypatch) == 0
    value = json.loads(capsys.readouterr().out)
    assert value["verdict"] == "PASS" and value["settings"]["bootstrap_resamples"] == 100
    assert run_verb(run, *options, "--min-ap50", "0.999999", monkeypatch=monkeypatch) == 1
    captured = capsys.readouterr()
    assert "FAIL against the baselines alone" in captured.err and "min_ap50" in captured.out


def test_bad_settings_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run(make_world(tmp_path, images=4), "a")
    assert run_verb(run, "--run-id", "r", "--alpha-ratio", "5", monkeypatch=monkeypatch) == 2
    assert "gate setting alpha_ratio is 5.0, expected a number between 0.0001 and 0.5" in capsys.readouterr().err
    assert not run.folder("decision").exists()


def test_every_gate_setting_is_an_option_with_the_same_default() -> None:
    import inspect

    from belisha.cli.verbs.compare import _compare

    parameters = inspect.signature(_compare).parameters
    for name in GateSettings.__dataclass_fields__:
        assert parameters[name].default == getattr(GateSettings(), name)
