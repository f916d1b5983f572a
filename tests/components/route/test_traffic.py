"""Shares of traffic: what is understood, what is recorded, and what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from belisha.components.route import Policy, Target
from belisha.components.route.routing import Caller
from belisha.components.route.standing_in import stand_ins
from belisha.components.route.traffic import parse_split, split_traffic, traffic_draft
from belisha.components.shared.errors import InputError
from belisha.components.shared.ledger import Action, LedgerState, system_clock
from belisha.components.shared.registry import open_registry
from tests.release_folders import release_one


@pytest.mark.parametrize(("text", "ratio"), [("80/20", 0.2), ("100/0", 0.0), ("0/100", 1.0), ("99.5/0.5", 0.005)])
def test_shares_in_percent(text: str, ratio: float) -> None:
    assert parse_split(text) == pytest.approx(ratio)


@pytest.mark.parametrize(
    "text", ["", "80", "80/30", "80/10/10", "a/b", "-10/110", "nan/nan", "inf/0", "80-20", "50/50.1"]
)
def test_what_is_no_split_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected"):
        parse_split(text)


def test_a_split_is_recorded_with_its_reason_and_only_once(tmp_path: Path) -> None:
    storage = str(tmp_path / "storage")
    release_one(tmp_path, storage)
    release_one(tmp_path, storage, gain=0.9, champion="v1")
    outcome = split_traffic(storage, 0.2, reason="three quiet days")
    assert outcome.state == LedgerState("v1", "v2", 0.2)
    record = open_registry(storage).ledger.records()[-1]
    assert (record.number, record.draft.action, record.draft.subject) == (outcome.record, Action.TRAFFIC, "v2")
    assert record.draft.reason == "champion v1 gets 80 % and challenger v2 20 %: three quiet days"
    again = split_traffic(storage, 0.2, reason="")
    assert again.record == outcome.record
    assert "nothing was changed" in again.sentence
    with pytest.raises(InputError, match="expected 1"):
        split_traffic(storage, 0.3, reason="", expect_record=1)


@pytest.mark.parametrize("state", [LedgerState(), LedgerState("v1")], ids=["nobody", "no challenger"])
def test_without_a_challenger_there_is_nothing_to_split(state: LedgerState) -> None:
    with pytest.raises(InputError, match="no challenger"):
        traffic_draft(state, 0.2, "")


def test_the_command_line(tmp_path: Path) -> None:
    storage = str(tmp_path / "storage")
    release_one(tmp_path, storage)
    release_one(tmp_path, storage, gain=0.9, champion="v1")

    def belisha(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "belisha.cli.main", *arguments, "--storage", storage]
        return subprocess.run(command, capture_output=True, text=True)

    done = belisha("split", "75/25", "--json")
    assert json.loads(done.stdout)["challenger_traffic_ratio"] == 0.25
    refused = belisha("split", "75/30")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "sum to 100" in refused.stderr


CHAMPION, CHALLENGER = Target("v1", "champion", 0.8, 1000), Target("v2", "challenger", 0.2, 5000)


@pytest.mark.parametrize(
    ("chosen", "camera", "wanted", "expected"),
    [
        pytest.param(CHALLENGER, "", "", ["v1", "v2"], id="the champion stands in"),
        pytest.param(CHAMPION, "", "", ["v2", "v1"], id="the challenger stands in"),
        pytest.param(CHAMPION, "tiny-1", "", ["v1"], id="nobody above the size bound"),
        pytest.param(CHAMPION, "gate-1", "", ["v1"], id="nobody against a rule"),
        pytest.param(CHALLENGER, "", "v2", ["v2"], id="nobody for a model by name"),
    ],
)
def test_who_may_stand_in(chosen: Target, camera: str, wanted: str, expected: list[str]) -> None:
    policy = Policy.model_validate(
        {
            "rules": [{"name": "gates", "when": {"cameras": ["gate-*"]}, "use": "champion"}],
            "camera_classes": [{"name": "embedded", "cameras": ["tiny-*"], "max_model_bytes": 2000}],
        }
    )
    caller = Caller("id", camera=camera, wanted=wanted)
    found = stand_ins(policy, (CHAMPION, CHALLENGER), caller, chosen, system_clock())
    assert [target.version for target in found] == expected
