"""`belisha experiment` as a user meets it: sentences, JSON, exit codes, the evidence that it leaves."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from belisha.cli import main as cli
from belisha.components.shared.ledger import Action, LedgerState
from tests.components.experiment.experimenting import Clock, Lab
from tests.components.experiment.metric_servers import FakeGateway, running

QUICK = ("--min-requests", "50", "--min-step-seconds", "0", "--settle-seconds", "0", "--log-lag-seconds", "0",
         "--unit", "request", "--min-picture-seconds", "0")  # fmt: skip


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    """An experiment whose present is the real one."""
    from belisha.components.shared.ledger import system_clock

    lab = Lab(tmp_path / "storage", Clock(system_clock()))
    monkeypatch.setenv("BELISHA_STORAGE_URI", lab.uri)
    monkeypatch.setenv("COLUMNS", "200")
    return lab


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    def belisha(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["belisha", "experiment", *arguments])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        return int(stopped.value.code or 0), captured.out, captured.err

    return belisha


def test_a_step_is_told_and_its_report_left(lab: Lab, run: Any, tmp_path: Path) -> None:
    code, out, err = run("judge", *QUICK, "--out", str(tmp_path / "out"))
    assert code == 3
    assert "v2 goes from 0 % to 5 %" in err and str(tmp_path / "out/report.html") in err
    assert "share" in out and "no data" in out
    assert (tmp_path / "out/report.html").is_file()
    assert json.loads((tmp_path / "out/experiment.json").read_text())["verdict"] == "CONTINUE"


def test_json_is_one_line(lab: Lab, run: Any) -> None:
    code, out, _ = run("judge", *QUICK, "--json", "--job")
    value = json.loads(out)
    assert code == 0 and out.count("\n") == 1
    assert (value["verdict"], value["record"], value["event"]) == ("CONTINUE", 3, "step")
    assert value["state_after"] == {"champion": "v1", "challenger": "v2", "challenger_traffic_ratio": 0.05}
    code, out, _ = run("status", "--json")
    shown = json.loads(out)
    assert code == 0 and shown["share_ratio_before"] == 0.05 and shown["record"] is None
    assert shown["outcome"]["win_ratio"] is None and shown["missing"]
    assert "goes from 0 % to 5 %" in shown["last_check"]["sentence"]


def test_a_stop_is_a_negative_verdict(lab: Lab, run: Any) -> None:
    run("judge", *QUICK)
    with running(FakeGateway(answered=10, failed=10)) as url:
        code, _, err = run("judge", *QUICK, "--gateway", url)
    assert code == 1 and "v2 was taken out and v1 stays champion" in err
    assert lab.state == LedgerState("v1")
    code, _, err = run("judge", *QUICK)
    assert code == 0 and "there is no challenger" in err
    assert run("status")[0] == 0


def test_a_person_and_the_judge(lab: Lab, run: Any) -> None:
    lab.split(0.4, actor="bob")
    code, _, err = run("judge", *QUICK)
    assert code == 3 and "bob set the share to 40 % by hand" in err
    assert run("judge", *QUICK, "--resume")[0] == 3
    assert lab.records[-1].draft.action is Action.EXPERIMENT
    code, _, err = run("judge", *QUICK, "--resume")
    assert code == 2 and "judge without --resume" in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("judge", "--expect-record", "1"), "last record is 2, expected 1"),
        (("judge", "--steps", "5:0,4:1"), "expected shares that rise to 1"),
        (("judge", "--unit", "person"), "expected one of camera, client, request"),
        (("judge", "--prometheus", "prometheus:9090"), "no address of Prometheus"),
        (("judge", "--gateway", "localhost:8080"), "no address of a gateway"),
        (("status", "--storage", "/nowhere/at/all"), "there is no registry"),
    ],
)
def test_refusals_are_one_sentence_and_change_nothing(
    arguments: tuple[str, ...], sentence: str, lab: Lab, run: Any
) -> None:
    code, out, err = run(*arguments)
    assert code == 2 and out == "" and sentence in err and len(err.strip().splitlines()) == 1
    assert len(lab.records) == 2


def test_a_pushgateway_that_is_away_undoes_nothing(lab: Lab, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BELISHA_PUSHGATEWAY", "http://127.0.0.1:9")
    code, _, err = run("judge", *QUICK)
    assert code == 3 and "did not take the metrics" in err
    assert lab.state.challenger_traffic_ratio == 0.05


def test_status_leaves_a_page_when_asked(lab: Lab, run: Any, tmp_path: Path) -> None:
    code, _, err = run("status", "--report", str(tmp_path / "page.html"))
    assert "nothing was done; a check now would decide" in err
    assert code == 0 and "Experiment: CONTINUE" in (tmp_path / "page.html").read_text()
    assert len(lab.records) == 2


@pytest.mark.parametrize("verb", ["judge", "status"])
def test_help_has_examples(verb: str, run: Any) -> None:
    code, out, _ = run(verb, "--help")
    assert code == 0 and "Examples" in out and f"belisha experiment {verb}" in out
