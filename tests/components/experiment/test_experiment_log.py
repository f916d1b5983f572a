"""What is read from a request log: the dice, answers, latencies; and what does not count."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from belisha.components.experiment.log_evidence import LogEvidence, read_log_evidence
from belisha.components.experiment.trial import trial_of
from belisha.components.shared.errors import ContractError
from belisha.components.shared.ledger import Action, LedgerState
from tests.components.experiment.experimenting import QUICK, Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    lab = Lab(tmp_path)
    lab.write(Action.EXPERIMENT, "v2", LedgerState("v1", "v2", 0.25), event="step")
    return lab


def read(lab: Lab, **changes: object) -> LogEvidence:
    trial = trial_of(lab.records)
    assert trial is not None
    return read_log_evidence(lab.store, trial, replace(QUICK, **changes), lab.clock.now)  # type: ignore[arg-type]


def test_an_empty_log_is_no_data(lab: Lab) -> None:
    found = read(lab)
    assert (found.assignments.units, found.challenger_answers, found.latencies) == (0, 0, {})


def test_requests_are_counted_from_the_challengers_first_answer_on(lab: Lab) -> None:
    lab.log(500, 0)
    lab.log(300, 100)
    found = read(lab)
    assert found.challenger_answers == 100
    assert found.assignments.challenger == 99, "the first one is there by construction"
    assert 250 < found.assignments.champion <= 300, "those before it could not have been the challenger's"


def test_what_no_dice_gave_and_shadows_do_not_count(lab: Lab) -> None:
    lab.log(30, 30)
    lab.log(100, 100, drawn=False, shadows=50)
    found = read(lab)
    assert found.assignments.units <= 60
    assert (found.challenger_answers, found.shadows) == (30, 50)
    assert found.latencies["v2"].count == 180, "but latencies do"


def test_a_mesh_marks_nothing_as_drawn(lab: Lab) -> None:
    lab.log(300, 100, drawn=False, shadows=50)
    assert read(lab).assignments.units == 0
    assert read(lab, mesh_draws=True).challenger_answers == 100


def test_a_share_that_changed_begins_a_new_count(lab: Lab) -> None:
    lab.log(300, 100)
    lab.split(0.5)
    assert read(lab).assignments.units == 0
    lab.log(40, 40)
    assert 0 < read(lab).assignments.units <= 80


def test_the_unit_is_the_camera_that_keeps_its_model(lab: Lab) -> None:
    for number in range(40):
        lab.log(*((20, 0) if number % 4 else (0, 20)), camera=f"gate-{number}", seconds=5)
    found = read(lab, unit="camera").assignments
    assert (found.champion, found.challenger, found.mixed) == (30, 10, 0)


def test_cameras_that_go_to_and_fro_are_seen(lab: Lab) -> None:
    lab.log(100, 100, camera="gate")
    found = read(lab, unit="camera").assignments
    assert (found.units, found.mixed) == (1, 1)
    # Serving that began anew is no to and fro: the champion alone, then the challenger again.
    lab.split(0.26)
    for champion, challenger in ((0, 20), (20, 0), (0, 20)):
        lab.log(champion, challenger, camera="gate")
    assert read(lab, unit="camera").assignments.mixed == 0


def test_requests_without_a_camera_are_drawn_one_by_one(lab: Lab) -> None:
    lab.log(30, 10)
    assert read(lab, unit="camera").assignments.units > 30


def test_rows_that_may_be_missing_still_do_not_count_yet(lab: Lab) -> None:
    lab.log(300, 100, seconds=100)
    early = read(lab, log_lag_seconds=50.0).assignments
    assert 100 < early.units < 300
    assert read(lab, log_lag_seconds=1e6).assignments.units == 0


def test_until_everybody_follows_a_change_nothing_counts(lab: Lab) -> None:
    lab.log(300, 0, seconds=20)
    lab.log(300, 100, seconds=100)
    assert 230 < read(lab, settle_seconds=60.0).assignments.units < 260
    assert read(lab, settle_seconds=60.0).challenger_answers == 100


def test_where_a_controller_acts_its_word_counts(lab: Lab) -> None:
    state, applied = LedgerState("v1", "v2", 0.25), {"verdict": "PASS", "applies": 2}
    lab.write(Action.APPLY, "v1", state, **applied)
    lab.log(300, 100)
    assert read(lab).assignments.units == 0, "it has not come to record 3 yet"
    lab.write(Action.APPLY, "v1", state, **{**applied, "applies": 3})
    lab.log(40, 40)
    assert 0 < read(lab).assignments.units <= 80


def test_latencies_of_the_window_alone(lab: Lab) -> None:
    lab.log(100, 100, latency=(9.0, 9.0))
    lab.clock.forward(4000)
    lab.log(100, 100, latency=(0.1, 0.2))
    latencies = read(lab, guard_seconds=1000.0).latencies
    assert latencies["v1"].p95_seconds() == pytest.approx(0.1)
    assert (latencies["v2"].count, latencies["v2"].slower_than(0.15)) == (100, 100)


def test_no_more_is_read_than_so_many_days(lab: Lab) -> None:
    lab.log(100, 100)
    lab.clock.forward(86_400)
    lab.log(40, 40)
    assert read(lab, log_days=0.5).challenger_answers == 40
    assert read(lab).challenger_answers == 140


def test_other_models_rows_are_left_out(lab: Lab) -> None:
    trial = trial_of(lab.records)
    assert trial is not None
    lab.log(100, 100)
    other = replace(trial, challenger="v7")
    found = read_log_evidence(lab.store, other, QUICK, lab.clock.now)
    assert found.challenger_answers == 0 and set(found.latencies) == {"v1", "v7"}


def test_a_damaged_shard_is_said(lab: Lab) -> None:
    lab.log(10, 10)
    key = next(key for key in lab.store.list("requests") if key.endswith(".parquet"))
    lab.store.write(key, b"PAR1 not really")
    with pytest.raises(ContractError, match="damaged shard"):
        read(lab)


def test_rows_in_disorder_count_alike(lab: Lab) -> None:
    """Shards of several writers overlap; the order in which they are read must not matter."""
    lab.log(200, 60, seconds=100, role_seed=1)
    lab.clock.now -= timedelta(seconds=80)
    lab.log(200, 60, seconds=100, role_seed=2)
    found = read(lab)
    assert found.challenger_answers == 120
    assert found.assignments.challenger == 119
    assert np.isfinite(found.latencies["v2"].p95_seconds())
