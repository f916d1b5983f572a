"""The verdict: what raises a share, what takes a challenger out, whose hand is respected; and simulated experiments."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from belisha.components.experiment.guards import Attempts, MeasuredLatencies, ServiceLevels
from belisha.components.experiment.judge import Evidence, ExperimentVerdict, Judgement, judge
from belisha.components.experiment.outcome import Tally
from belisha.components.experiment.sample_ratio import Assignments
from belisha.components.experiment.settings import ExperimentSettings
from belisha.components.experiment.trial import PAUSE, PROMOTE, STEP, STOP, ShareStep
from belisha.components.shared.ledger import LedgerState
from belisha.components.shared.verdict import Verdict
from bench.bench_experiment import experiments
from bench.experiment_simulation import BEGIN, trial_at, wins_by_choice

SETTINGS = ExperimentSettings()
NOW = BEGIN + timedelta(hours=1)
LATENCIES = MeasuredLatencies(np.full(500, 0.05, np.float32))
QUIET = ServiceLevels([Attempts(1000, 0, "so far")], LATENCIES, LATENCIES)


def evidence(share: float, tally: Tally = Tally(), levels: ServiceLevels = QUIET, **changes: object) -> Evidence:  # noqa: B008
    challenger = round(10_000 * share)
    plain = Evidence(trial_at(share), Assignments(share, 10_000 - challenger, challenger), challenger, levels, tally)
    return replace(plain, **changes)  # type: ignore[arg-type]


def ask(found: Evidence, settings: ExperimentSettings = SETTINGS) -> Judgement:
    return judge(found, settings, NOW)


@pytest.mark.parametrize(
    ("share", "tally", "event", "state"),
    [
        pytest.param(0.0, Tally(), STEP, LedgerState("v1", "v2", 0.05), id="the first look is free"),
        pytest.param(0.05, Tally(), "", LedgerState("v1", "v2", 0.05), id="no reviews, no step"),
        pytest.param(0.05, Tally(7, 2), "", LedgerState("v1", "v2", 0.05), id="too few are decided"),
        pytest.param(0.05, Tally(8, 2), STEP, LedgerState("v1", "v2", 0.25), id="a first step on evidence"),
        pytest.param(0.05, Tally(30, 2), STEP, LedgerState("v1", "v2", 0.25), id="one step at a time"),
        pytest.param(0.25, Tally(10, 4), "", LedgerState("v1", "v2", 0.25), id="not enough for the next"),
        pytest.param(0.25, Tally(12, 3), STEP, LedgerState("v1", "v2", 0.5), id="enough for half"),
        pytest.param(0.5, Tally(14, 4), "", LedgerState("v1", "v2", 0.5), id="too few for the promotion"),
        pytest.param(0.5, Tally(19, 5), PROMOTE, LedgerState("v2"), id="proven"),
        pytest.param(0.5, Tally(2, 12), STOP, LedgerState("v1"), id="proven worse"),
        pytest.param(0.05, Tally(255, 245), STOP, LedgerState("v1"), id="not distinguishable"),
        pytest.param(0.3, Tally(12, 3), STEP, LedgerState("v1", "v2", 0.5), id="from between two steps"),
    ],
)
def test_steps_follow_the_evidence(share: float, tally: Tally, event: str, state: LedgerState) -> None:
    found = ask(evidence(share, tally))
    assert (found.event, found.state) == (event, state), found.sentence
    assert bool(found.missing) == (event == ""), "what is missing is told exactly where nothing is done"
    verdict = {PROMOTE: ExperimentVerdict.PROMOTE, STOP: ExperimentVerdict.STOP}.get(event, ExperimentVerdict.CONTINUE)
    assert found.verdict is verdict and found.sentence.startswith(verdict.value)


NO_DATA = ServiceLevels(trouble="Prometheus is away")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        pytest.param(evidence(0.5, Tally(300, 10), NO_DATA), "no data", id="no metrics"),
        pytest.param(evidence(0.5, Tally(300, 10), assignments=Assignments(0.5, 0, 0)), "no data", id="no dice"),
        pytest.param(evidence(0.5, Tally(300, 10), challenger_answers=3), "3 of 200 drawn requests", id="few answers"),
        pytest.param(evidence(0.5, Tally(0, 0, 900)), "0 of 20 disagreements", id="nothing decided"),
        pytest.param(
            evidence(0.5, Tally(300, 10), replace(QUIET, attempts=[Attempts(1000, 13, "so far")])), "too few to be sure",
            id="a guard that is not sure",
        ),
    ],
)  # fmt: skip
def test_no_data_is_never_a_promotion(found: Evidence, words: str) -> None:
    judgement = ask(found)
    assert (judgement.verdict, judgement.event) == (ExperimentVerdict.CONTINUE, "")
    assert any(words in sentence for sentence in judgement.missing), judgement.missing


def test_many_small_wins_do_not_outweigh_a_few_disasters() -> None:
    found = ask(evidence(0.5, Tally(40, 8, champion_mistakes=60, challenger_mistakes=75)))
    assert found.event == "" and "75 mistakes against 60" in found.sentence
    assert ask(evidence(0.5, Tally(40, 8, champion_mistakes=75, challenger_mistakes=60))).event == PROMOTE


def test_a_share_must_stand_for_a_while() -> None:
    found = judge(evidence(0.05, Tally(30, 2)), SETTINGS, BEGIN + timedelta(seconds=60))
    assert found.missing == ("the share has stood for 60 of 600 s",)


BROKEN = (
    replace(QUIET, attempts=[Attempts(20, 5, "since the last check")]),
    replace(QUIET, challenger=MeasuredLatencies(np.full(500, 0.4, np.float32))),
)


@pytest.mark.parametrize("levels", BROKEN, ids=["errors", "latency"])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.25, 0.5])
def test_a_broken_guard_takes_the_challenger_out_at_once(levels: ServiceLevels, share: float) -> None:
    found = ask(evidence(share, Tally(300, 10), levels))
    assert (found.verdict, found.event, found.state) == (ExperimentVerdict.STOP, STOP, LedgerState("v1"))


def test_a_broken_assignment_pauses_and_keeps_the_challenger() -> None:
    found = ask(evidence(0.25, Tally(300, 10), assignments=Assignments(0.25, 9000, 1000)))
    assert (found.verdict, found.event, found.state) == (ExperimentVerdict.STOP, PAUSE, LedgerState("v1", "v2", 0.0))
    assert "sample-ratio mismatch" in found.sentence and "--resume" in found.sentence


def test_a_hand_on_the_share_is_respected_and_harm_is_not() -> None:
    steps = (ShareStep(3, BEGIN, 0.0, "belisha", by_judge=True), ShareStep(4, BEGIN, 0.3, "ann", by_judge=False))
    held = replace(trial_at(0.3), steps=steps, held_by="ann")
    for tally in (Tally(), Tally(30, 2), Tally(400, 390)):
        found = ask(evidence(0.3, tally, trial=held))
        assert (found.event, found.state) == ("", LedgerState("v1", "v2", 0.3))
        assert "ann set the share to 30 % by hand" in found.sentence
    assert ask(evidence(0.3, Tally(30, 2), BROKEN[0], trial=held)).event == STOP
    assert ask(evidence(0.3, Tally(2, 30), trial=held)).event == STOP


def test_a_paused_experiment_waits() -> None:
    paused = replace(trial_at(0.0), paused="the dice were loaded")
    found = ask(evidence(0.0, Tally(300, 10), trial=paused))
    assert found.event == "" and "the dice were loaded" in found.sentence


@pytest.mark.parametrize(("tally", "event"), [(Tally(3, 3), STOP), (Tally(), STOP), (Tally(30, 2), STEP)])
def test_what_is_not_settled_in_time_ends(tally: Tally, event: str) -> None:
    old = trial_at(0.25, BEGIN - timedelta(days=31))
    assert ask(evidence(0.25, tally, trial=old)).event == event, "but a proven winner may take its last steps"


def test_exit_codes() -> None:
    assert [verdict.exit_code for verdict in ExperimentVerdict] == [3, 0, 1]


COUNT = st.integers(0, 2000)


@given(
    st.sampled_from([0.0, 0.05, 0.25, 0.3, 0.5, 1.0]), st.tuples(COUNT, COUNT, COUNT), st.tuples(COUNT, COUNT),
    st.tuples(COUNT, COUNT), COUNT, st.sampled_from(["", "ann"]), st.sampled_from(["", "broken"]),
)  # fmt: skip
def test_whatever_the_numbers_no_rule_is_broken(
    share: float,
    tally: tuple[int, int, int],
    dice: tuple[int, int],
    attempts: tuple[int, int],
    answers: int,
    held: str,
    paused: str,
) -> None:
    levels = replace(QUIET, attempts=[Attempts(sum(attempts), attempts[1], "so far")])
    trial = replace(trial_at(share), held_by=held, paused=paused)
    found = ask(Evidence(trial, Assignments(share, *dice), answers, levels, Tally(*tally)))
    gates = {gate.name: gate.verdict for gate in found.gates}
    if found.verdict is ExperimentVerdict.PROMOTE:
        assert set(gates.values()) == {Verdict.PASS} and share >= 0.5 and not held and not paused
    if Verdict.FAIL in gates.values():
        assert found.verdict is ExperimentVerdict.STOP and found.state.challenger_traffic_ratio == 0
    if found.event == STEP:
        assert found.state.challenger_traffic_ratio > share and not held and not paused
    if not found.event:
        assert found.state == LedgerState("v1", "v2", share) and found.missing


def test_equal_models_are_rarely_promoted_though_somebody_looks_after_every_picture() -> None:
    """At most 5 % by Ville; of 300 more than 25 would be a chance of one in 500 even at that bound."""
    settings = replace(SETTINGS, max_decided=150)
    found = experiments(1, disagreement_ratio=0.6, win_ratio=0.5, count=300, settings=settings)
    assert all(one.event in (STOP, PROMOTE) for one in found)
    assert sum(one.event == PROMOTE for one in found) <= 25
    assert sum(one.largest_share >= 0.25 for one in found) <= 175, "at most half of them get to 25 %"


def test_a_better_challenger_is_promoted_and_a_worse_one_stopped() -> None:
    better = experiments(2, disagreement_ratio=0.5, win_ratio=0.7, count=150)
    assert np.median([one.decided if one.event == PROMOTE else np.inf for one in better]) <= 60
    worse = experiments(3, disagreement_ratio=0.5, win_ratio=0.3, count=100)
    assert all(one.event == STOP for one in worse) and np.median([one.decided for one in worse]) <= 60


def test_pictures_that_one_models_doubt_chose_would_favour_the_other() -> None:
    found = wins_by_choice(np.random.default_rng(4), 300_000)
    assert found.pop("doubt of the champion") > 0.6, "though both are equally good"
    assert all(abs(ratio - 0.5) < 0.02 for ratio in found.values()), found
