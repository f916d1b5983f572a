"""The policy alone: what each situation leads to, and that its order cannot be bent by clocks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from belisha.components.retrain.cause import CauseKind, drift_cause, manual_cause, run_name_of, weekly_cause
from belisha.components.retrain.data_quality import quality_problems
from belisha.components.retrain.policy import Evidence, ReviewFinding, Situation, Step, decide
from belisha.components.retrain.run_records import Stage, draft_of, retrain_runs
from belisha.components.retrain.settings import OnAlert, RetrainSettings
from belisha.components.shared.errors import ContractError, InputError
from belisha.components.shared.ledger import Action, Draft, LedgerState, Record
from tests.components.retrain.retraining_world import NOW, alert

CHAMPION = LedgerState("v1")
TRIAL = LedgerState("v1", "v2", 0.05)
AT_ONCE = RetrainSettings(on_alert=OnAlert.RETRAIN, budget_runs=2, cooldown_hours=6)
WEEKLY = weekly_cause(NOW)
DRIFT = drift_cause(alert())


def situation(**changes: object) -> Situation:
    return replace(Situation(now=NOW, trigger="kfp", lease_seconds=600.0, settings=AT_ONCE), **changes)  # type: ignore[arg-type]


def history(*steps: tuple[object, Stage, float]) -> list[Record]:
    """Records of causes by stage, as many hours ago."""
    records = []
    for cause, stage, hours_ago in steps:
        at = NOW - timedelta(hours=hours_ago)
        attempt, trigger = (1, "kfp") if stage.is_running or stage.is_end else (0, "")
        draft = draft_of(cause, stage, stage.value, CHAMPION, now=at, attempt=attempt, trigger=trigger)  # type: ignore[arg-type]
        records.append(Record(len(records) + 1, at, "test", draft))
    return records


OTHER = manual_cause("another")
THIRD = manual_cause("a third")


@pytest.mark.parametrize(
    ("case", "records", "state", "expected"),
    [
        ("nothing before", [], CHAMPION, Step.START),
        ("no champion", [], LedgerState(), Step.DECLINE),
        ("on trial", [], TRIAL, Step.DEFER),
        ("done before", [(WEEKLY, Stage.CLAIMED, 90), (WEEKLY, Stage.SUCCEEDED, 80)], CHAMPION, Step.NOTHING),
        ("failed before", [(WEEKLY, Stage.CLAIMED, 90), (WEEKLY, Stage.FAILED, 80)], CHAMPION, Step.NOTHING),
        ("goes on", [(WEEKLY, Stage.CLAIMED, 90), (WEEKLY, Stage.SUBMITTED, 89)], CHAMPION, Step.WAIT),
        ("claimed a minute ago", [(WEEKLY, Stage.CLAIMED, 1 / 60)], CHAMPION, Step.WAIT),
        ("claimed and left", [(WEEKLY, Stage.CLAIMED, 1)], CHAMPION, Step.START),
        ("claimed in the future", [(WEEKLY, Stage.CLAIMED, -9000)], CHAMPION, Step.START),
        ("another runs", [(OTHER, Stage.CLAIMED, 20), (OTHER, Stage.SUBMITTED, 20)], CHAMPION, Step.DEFER),
        ("another never ended", [(OTHER, Stage.CLAIMED, 80), (OTHER, Stage.SUBMITTED, 80)], CHAMPION, Step.START),
        ("cooldown after a start", [(OTHER, Stage.CLAIMED, 5), (OTHER, Stage.FAILED, 4)], CHAMPION, Step.DEFER),
        ("cooldown after an end", [(OTHER, Stage.CLAIMED, 30), (OTHER, Stage.SUCCEEDED, 5)], CHAMPION, Step.DEFER),
        ("after the cooldown", [(OTHER, Stage.CLAIMED, 30), (OTHER, Stage.SUCCEEDED, 7)], CHAMPION, Step.START),
        (
            "over the budget",
            [(one, stage, 20) for one in (OTHER, THIRD) for stage in (Stage.CLAIMED, Stage.SUCCEEDED)],
            CHAMPION,
            Step.DEFER,
        ),
        (
            "yesterday's budget",
            [(one, stage, 25) for one in (OTHER, THIRD) for stage in (Stage.CLAIMED, Stage.SUCCEEDED)],
            CHAMPION,
            Step.START,
        ),
        (
            "a claim given back costs nothing",
            [(OTHER, Stage.CLAIMED, 1), (OTHER, Stage.DEFERRED, 1)],
            CHAMPION,
            Step.START,
        ),
        ("deferred, now free", [(WEEKLY, Stage.DEFERRED, 30)], CHAMPION, Step.START),
    ],
)
def test_what_the_weekly_run_comes_to(
    case: str, records: list[tuple[object, Stage, float]], state: LedgerState, expected: Step
) -> None:
    decision = decide(WEEKLY, history(*records), state, situation(), Evidence())
    assert decision.step is expected, decision.sentence
    if expected is Step.START:
        assert decision.draft is not None and decision.draft.details["stage"] == "claimed"
        assert decision.draft.state == state, "retraining never changes who serves"


def test_a_wait_is_recorded_once() -> None:
    first = decide(WEEKLY, [], TRIAL, situation(), Evidence())
    assert first.draft is not None
    again = decide(WEEKLY, [Record(1, NOW, "test", first.draft)], TRIAL, situation(), Evidence())
    assert (again.step, again.draft) == (Step.DEFER, None)


@pytest.mark.parametrize("state", [TRIAL, CHAMPION])
def test_a_person_may_insist_but_never_on_two_at_a_time(state: LedgerState) -> None:
    cause = manual_cause("now")
    used = [(one, stage, 1) for one in (OTHER, THIRD) for stage in (Stage.CLAIMED, Stage.SUCCEEDED)]
    assert decide(cause, history(*used), state, situation(by_hand=True), Evidence()).step is Step.START
    busy = history((OTHER, Stage.CLAIMED, 1), (OTHER, Stage.SUBMITTED, 1))
    assert decide(cause, busy, state, situation(by_hand=True), Evidence()).step is Step.DEFER


def reviewing(**changes: object) -> Situation:
    return situation(settings=RetrainSettings(**changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("finding", "repeated", "expected"),
    [
        (ReviewFinding.TOO_FEW, 1, Step.ASK),
        (ReviewFinding.UNCLEAR, 1, Step.ASK),
        (ReviewFinding.WORSE, 1, Step.START),
        (ReviewFinding.AS_GOOD, 1, Step.DECLINE),
        (ReviewFinding.TOO_FEW, 2, Step.START),
        (ReviewFinding.UNCLEAR, 2, Step.START),
        (ReviewFinding.AS_GOOD, 3, Step.DECLINE),
    ],
)
def test_an_alert_asks_people_first_and_trains_when_they_confirm_or_nobody_comes(
    finding: ReviewFinding, repeated: int, expected: Step
) -> None:
    cause = drift_cause(alert(repeated=repeated))
    assert decide(cause, [], CHAMPION, reviewing(), Evidence(finding=finding)).step is expected


def test_people_are_asked_once() -> None:
    first = decide(DRIFT, [], CHAMPION, reviewing(), Evidence())
    assert first.step is Step.ASK and first.draft is not None and "75 pictures" in first.sentence
    again = decide(DRIFT, [Record(1, NOW, "test", first.draft)], CHAMPION, reviewing(), Evidence())
    assert (again.step, again.draft) == (Step.WAIT, None)


@pytest.mark.parametrize(
    ("case", "cause", "records", "evidence", "words"),
    [
        ("another champion", drift_cause(alert(version="v0")), [], Evidence(), "v1 is champion now"),
        ("a dead camera", DRIFT, [], Evidence(problems=("gate: black",)), "not fit to learn from: gate: black"),
        (
            "an earlier week",
            WEEKLY,
            [(WEEKLY, Stage.DEFERRED, 200), (weekly_cause(NOW + timedelta(days=7)), Stage.DEFERRED, 1)],
            Evidence(),
            "weekly-2026-W48 stands for it",
        ),
        (
            "a newer alert of the same change",
            DRIFT,
            [(drift_cause(alert(number=2, repeated=2)), Stage.ASKED, 1)],
            Evidence(),
            "speaks of the same change",
        ),
    ],
)
def test_some_alerts_are_no_cause(
    case: str, cause: object, records: list[tuple[object, Stage, float]], evidence: Evidence, words: str
) -> None:
    decision = decide(cause, history(*records), CHAMPION, situation(), evidence)  # type: ignore[arg-type]
    assert decision.step is Step.DECLINE and words in decision.sentence
    assert decision.draft is not None, "what is declined is on record"


def test_a_clock_that_once_was_a_year_ahead_silences_no_week() -> None:
    ahead = weekly_cause(NOW + timedelta(days=364))
    records = history((ahead, Stage.CLAIMED, 200), (ahead, Stage.SUCCEEDED, 190))
    assert decide(WEEKLY, records, CHAMPION, situation(), Evidence()).step is Step.START


def test_a_claim_of_another_trigger_is_left_to_it() -> None:
    decision = decide(WEEKLY, history((WEEKLY, Stage.CLAIMED, 9)), CHAMPION, situation(trigger="local"), Evidence())
    assert decision.step is Step.WAIT and "--trigger kfp" in decision.sentence


def test_a_run_that_is_killed_again_and_again_is_given_up() -> None:
    records = history((WEEKLY, Stage.CLAIMED, 9), (WEEKLY, Stage.SUBMITTED, 9))
    stopped = situation(stopped=True, settings=replace(AT_ONCE, max_attempts=2))
    first = decide(WEEKLY, records, CHAMPION, stopped, Evidence())
    assert first.step is Step.START and first.draft is not None and first.draft.details["attempt"] == 2
    records += [Record(3, NOW, "test", first.draft)]
    submitted = draft_of(WEEKLY, Stage.SUBMITTED, "s", CHAMPION, now=NOW, attempt=2, trigger="kfp")
    records += [Record(4, NOW, "test", submitted)]
    assert decide(WEEKLY, records, CHAMPION, stopped, Evidence()).step is Step.GIVE_UP


@given(
    offsets=st.lists(st.floats(-1e5, 1e5), max_size=8),
    stages=st.lists(st.sampled_from(Stage), max_size=8),
    now_offset=st.floats(-1e5, 1e5),
)
def test_whatever_the_clocks_say_a_cause_that_ended_or_runs_is_never_started(
    offsets: list[float], stages: list[Stage], now_offset: float
) -> None:
    """The ledger's order decides, not its times: nothing but a claim that was left behind is started again."""
    records = history(*[(WEEKLY, stage, hours) for stage, hours in zip(stages, offsets, strict=False)])
    now = NOW + timedelta(hours=now_offset)
    decision = decide(WEEKLY, records, CHAMPION, situation(now=now), Evidence())
    last = retrain_runs(records).get(WEEKLY.cause_id)
    if last is not None and (last.stage.is_end or last.stage is Stage.SUBMITTED):
        assert decision.step in (Step.NOTHING, Step.WAIT) and decision.draft is None
    if last is None or last.stage.is_waiting:
        assert decision.step is Step.START


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)))
def test_a_week_has_one_name(moment: datetime) -> None:
    at = moment.replace(tzinfo=UTC)
    cause = weekly_cause(at)
    monday = at - timedelta(days=at.weekday())
    assert cause == weekly_cause(monday) and cause != weekly_cause(at + timedelta(days=7))
    assert run_name_of(cause.cause_id) == f"retrain-{cause.cause_id}"


def test_the_turn_of_the_year() -> None:
    assert weekly_cause(datetime(2027, 1, 1, tzinfo=UTC)).cause_id == "weekly-2026-W53"
    assert weekly_cause(NOW).cause_id == "weekly-2026-W47"


@given(st.text(min_size=1, max_size=600))
def test_a_persons_words_become_a_name_or_a_sentence(text: str) -> None:
    try:
        cause = manual_cause(text)
    except InputError:
        return
    assert cause.kind is CauseKind.MANUAL
    assert len(run_name_of(cause.cause_id)) < 70
    assert manual_cause(f"  {text} ").cause_id == cause.cause_id


@pytest.mark.parametrize(
    "cause_id", ["", "drift-", "drift-../x", "weekly 2026", "other-1", "drift-" + "a" * 60, "drift-a\n"]
)
def test_what_is_no_cause_names_no_run(cause_id: str) -> None:
    with pytest.raises(InputError, match="is no cause"):
        run_name_of(cause_id)


@pytest.mark.parametrize(
    ("case", "medians", "problem"),
    [
        ("night", {"brightness": 0.08, "entropy_bits": 4.5, "dark_ratio": 0.8}, ""),
        ("fog", {"contrast": 0.04}, ""),
        ("snow in the sun", {"saturated_ratio": 0.4}, ""),
        ("no median known", {"max_score": 0.2}, ""),
        ("lens cap", {"dark_ratio": 1.0}, "black"),
        ("dead camera", {"entropy_bits": 0.0}, "alike"),
        ("burnt out", {"saturated_ratio": 0.99}, "white"),
        ("no number", {"contrast": float("nan")}, "flat"),
    ],
)
def test_broken_cameras_are_told_from_new_worlds(case: str, medians: dict[str, float], problem: str) -> None:
    problems = quality_problems(alert(medians=medians))
    assert bool(problems) == bool(problem)
    assert all(problem in one for one in problems)


def test_one_dead_camera_of_two_does_not_stop_the_other() -> None:
    both = alert(cameras=("gate", "yard"), medians={"dark_ratio": 1.0})
    assert len(quality_problems(both)) == 2
    healthy = replace(both, features=tuple(one for one in both.features if one.stratum == "gate/night"))
    assert quality_problems(healthy) == []


@pytest.mark.parametrize(
    "changes",
    [{"review_pictures": 10}, {"review_pictures": 500}, {"budget_runs": -1}, {"max_f1_drop": 2.0}, {"max_attempts": 0}],
)
def test_settings_that_cannot_be_meant_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(changes))):
        RetrainSettings(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("case", "details", "words"),
    [
        ("newer", {"schema": "belisha.retrain/2"}, "use a newer belisha"),
        ("empty", {}, "is not understood"),
        ("stage", {"schema": "belisha.retrain/1", "stage": "lost"}, "is not understood"),
    ],
)
def test_damaged_records_are_told(case: str, details: dict[str, object], words: str) -> None:
    record = Record(7, NOW, "test", Draft(Action.RETRAIN, "drift-x", "why", CHAMPION, details=details))
    with pytest.raises(ContractError, match=f"record 7.*{words}"):
        retrain_runs([record])
