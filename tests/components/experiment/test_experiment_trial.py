"""The experiment as the ledger tells it: since when, at which share, and whose hand is on it."""

from __future__ import annotations

from pathlib import Path

import pytest

from belisha.components.experiment.trial import PAUSE, RESUME, STEP, trial_of
from belisha.components.shared.ledger import Action, LedgerState
from tests.components.experiment.experimenting import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def judge_writes(lab: Lab, event: str, ratio: float) -> None:
    lab.write(Action.EXPERIMENT, "v2", LedgerState("v1", "v2", ratio), "belisha", event=event)


def test_nobody_on_trial_is_no_experiment(lab: Lab) -> None:
    assert trial_of([]) is None
    lab.write(Action.ROLLBACK, "v2", LedgerState("v1"))
    assert trial_of(lab.records) is None


def test_it_begins_with_the_challenge_and_follows_the_share(lab: Lab) -> None:
    judge_writes(lab, STEP, 0.05)
    lab.write(Action.TEST_LOOK, "d", LedgerState("v1", "v2", 0.05))
    judge_writes(lab, STEP, 0.25)
    trial = trial_of(lab.records)
    assert trial is not None
    assert (trial.champion, trial.challenger, trial.begin_record, trial.name) == ("v1", "v2", 2, "v1-v2-00000002")
    assert [(step.record, step.share_ratio, step.by_judge) for step in trial.steps] == [
        (2, 0.0, True), (3, 0.05, True), (5, 0.25, True),
    ]  # fmt: skip
    assert (trial.last_event_record, trial.last_record, trial.held_by, trial.paused) == (5, 5, "", "")


def test_what_others_write_does_not_concern_it(lab: Lab) -> None:
    judge_writes(lab, STEP, 0.05)
    lab.write(Action.TEST_LOOK, "d", LedgerState("v1", "v2", 0.05))
    trial = trial_of(lab.records)
    assert trial is not None and (trial.last_event_record, trial.last_record) == (3, 4)


def test_a_hand_on_the_share_is_seen_until_it_lets_go(lab: Lab) -> None:
    judge_writes(lab, STEP, 0.05)
    lab.split(0.3, actor="bob")
    held = trial_of(lab.records)
    assert held is not None and (held.held_by, held.share_ratio) == ("bob", 0.3)
    judge_writes(lab, RESUME, 0.3)
    resumed = trial_of(lab.records)
    assert resumed is not None and (resumed.held_by, resumed.begin_record) == ("", 2)


def test_a_pause_holds_until_it_is_resumed_and_evidence_begins_anew(lab: Lab) -> None:
    judge_writes(lab, STEP, 0.05)
    judge_writes(lab, PAUSE, 0.0)
    paused = trial_of(lab.records)
    assert paused is not None and (paused.paused, paused.share_ratio, paused.begin_record) == ("because", 0.0, 2)
    lab.clock.forward(100)
    judge_writes(lab, RESUME, 0.0)
    anew = trial_of(lab.records)
    assert anew is not None and (anew.paused, anew.begin_record, anew.begun_at) == ("", 5, lab.clock.now)


def test_another_challenger_is_another_experiment(lab: Lab) -> None:
    judge_writes(lab, STEP, 0.25)
    lab.write(Action.CHALLENGE, "v3", LedgerState("v1", "v3", 0.0))
    trial = trial_of(lab.records)
    assert trial is not None and (trial.name, trial.share_ratio) == ("v1-v3-00000004", 0.0)
    # The same pair again begins anew, too.
    lab.write(Action.CHALLENGE, "v2", LedgerState("v1", "v2", 0.0))
    again = trial_of(lab.records)
    assert again is not None and again.begin_record == 5
