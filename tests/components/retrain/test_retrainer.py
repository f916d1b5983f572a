"""The policy at work: one run a cause, whoever dies or races; nothing is lost."""

from __future__ import annotations

import threading
import uuid

import pytest

from belisha.components.retrain.cause import drift_cause, manual_cause, weekly_cause
from belisha.components.retrain.loop_figures import metrics_of, status_of
from belisha.components.retrain.policy import Evidence, Step
from belisha.components.retrain.retrainer import Retrainer
from belisha.components.retrain.run_records import Stage, retrain_runs
from belisha.components.retrain.settings import OnAlert, RetrainSettings
from belisha.components.retrain.trigger import NotStartedError, RunStatus
from belisha.components.shared.errors import BelishaError, StorageError
from belisha.components.shared.ledger import Ledger, LedgerState
from belisha.components.shared.storage import open_store
from tests.components.retrain.retraining_world import (
    NOW,
    PARAMETERS,
    Clock,
    MemoryTrigger,
    alert,
    ledger_with,
    set_state,
)

EAGER = RetrainSettings(on_alert=OnAlert.RETRAIN, budget_runs=1000, cooldown_hours=0)
WEEKLY = weekly_cause(NOW)


class World:
    """A ledger, a trigger and a clock, and checks that share them."""

    def __init__(self, settings: RetrainSettings = EAGER) -> None:
        self.clock, self.trigger, self.settings = Clock(), MemoryTrigger(), settings
        self.uri = f"memory://{uuid.uuid4().hex}"
        self.ledger = ledger_with(clock=self.clock, uri=self.uri)

    def check(self, trigger: MemoryTrigger | None = None, **options: object) -> Retrainer:
        """A check as a new process would make it."""
        ledger = Ledger(open_store(self.uri), clock=self.clock, actor="check")
        return Retrainer(ledger, trigger or self.trigger, self.settings, clock=self.clock, **options)  # type: ignore[arg-type]

    def stage(self, cause_id: str = WEEKLY.cause_id) -> Stage:
        return retrain_runs(self.ledger.records())[cause_id].stage


def test_a_cause_gets_a_run_whose_name_parameters_and_end_are_on_record() -> None:
    world = World()
    outcome = world.check().act(WEEKLY, PARAMETERS)
    assert outcome.step is Step.START and outcome.run is not None
    assert (outcome.run.stage, outcome.run.url) == (Stage.SUBMITTED, "http://kfp/retrain-weekly-2026-W47")
    (request,) = world.trigger.requests
    assert request.name == "retrain-weekly-2026-W47"
    assert request.parameters == {**PARAMETERS, "run_id": "retrain-weekly-2026-W47"}
    assert world.check().settle() == []
    world.trigger.runs[request.name] = RunStatus.SUCCEEDED
    (ended,) = world.check().settle()
    assert ended.run is not None and ended.run.stage is Stage.SUCCEEDED
    assert world.check().settle() == [] and len(world.trigger.requests) == 1
    assert world.check().act(WEEKLY, PARAMETERS).step is Step.NOTHING
    assert world.ledger.state() == LedgerState("v1")


@pytest.mark.parametrize("killed", ["before the look", "before the start", "after the start", "before the record"])
def test_a_check_that_dies_anywhere_is_gone_on_with(killed: str) -> None:
    """The next check, one lease later, finds what there is and does what is missing."""
    world = World()

    class Dies(MemoryTrigger):
        def find(self, name: str):  # type: ignore[no-untyped-def]
            if killed == "before the look":
                raise KeyboardInterrupt
            return world.trigger.find(name)

        def start(self, request):  # type: ignore[no-untyped-def]
            if killed == "before the start":
                raise KeyboardInterrupt
            found = world.trigger.start(request)
            if killed == "after the start":
                raise KeyboardInterrupt
            return found

    dying = world.check(Dies())
    if killed == "before the record":
        dying._advance = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt())  # type: ignore[assignment,method-assign]
    with pytest.raises(KeyboardInterrupt):
        dying.act(WEEKLY, PARAMETERS)
    assert world.stage() is Stage.CLAIMED
    assert world.check().act(WEEKLY, PARAMETERS).step is Step.WAIT, "its owner may be alive"
    world.clock.go(minutes=11)
    (outcome,) = world.check().take_up(PARAMETERS)
    assert outcome.step is Step.START and world.stage() is Stage.SUBMITTED
    assert len(world.trigger.requests) == 1


def test_a_sleeper_whose_claim_was_taken_over_starts_nothing() -> None:
    world = World()

    class Sleeps(MemoryTrigger):
        def find(self, name: str):  # type: ignore[no-untyped-def]
            world.clock.go(minutes=20)
            world.check().act(WEEKLY, PARAMETERS)
            return

    outcome = world.check(Sleeps()).act(WEEKLY, PARAMETERS)
    assert outcome.step is Step.WAIT and "taken over" in outcome.sentence
    assert len(world.trigger.requests) == 1 and world.stage() is Stage.SUBMITTED


def test_one_that_held_its_claim_too_long_starts_nothing() -> None:
    world, seconds = World(), iter([0.0, 301.0])
    outcome = world.check(monotonic=lambda: next(seconds)).act(WEEKLY, PARAMETERS)
    assert outcome.step is Step.WAIT and world.trigger.requests == []
    world.clock.go(minutes=11)
    assert world.check().act(WEEKLY, PARAMETERS).step is Step.START


def test_a_start_that_surely_failed_gives_its_claim_back_at_once() -> None:
    world = World()
    world.trigger.failures.append((NotStartedError("KFP is away"), False))
    with pytest.raises(NotStartedError):
        world.check().act(WEEKLY, PARAMETERS)
    assert world.stage() is Stage.DEFERRED
    (outcome,) = world.check().take_up(PARAMETERS)
    assert outcome.step is Step.START and len(world.trigger.requests) == 1


def test_a_start_that_may_have_worked_is_looked_up_before_another() -> None:
    world = World()
    world.trigger.failures.append((BelishaError("no answer came"), True))
    with pytest.raises(BelishaError):
        world.check().act(WEEKLY, PARAMETERS)
    assert world.stage() is Stage.CLAIMED
    world.clock.go(minutes=11)
    assert world.check().act(WEEKLY, PARAMETERS).step is Step.START
    assert len(world.trigger.requests) == 1


def test_a_run_that_was_killed_half_way_is_gone_on_with() -> None:
    world = World()
    world.check().act(WEEKLY, PARAMETERS)
    world.trigger.runs["retrain-weekly-2026-W47"] = RunStatus.STOPPED
    outcome = world.check().act(WEEKLY, PARAMETERS)
    assert outcome.step is Step.START and outcome.run is not None and outcome.run.attempt == 2
    assert {request.name for request in world.trigger.requests} == {"retrain-weekly-2026-W47"}


def test_a_run_that_is_gone_is_said_to_have_failed() -> None:
    world = World()
    world.check().act(WEEKLY, PARAMETERS)
    world.trigger.runs.clear()
    (outcome,) = world.check().settle()
    assert outcome.run is not None and outcome.run.stage is Stage.FAILED and "is gone" in outcome.sentence


def test_what_waited_gets_its_turn_in_order() -> None:
    world = World(RetrainSettings(on_alert=OnAlert.RETRAIN, budget_runs=1, cooldown_hours=1))
    causes = [manual_cause(name) for name in ("one", "two", "three")]
    assert [world.check().act(cause, PARAMETERS).step for cause in causes] == [Step.START, Step.DEFER, Step.DEFER]
    for _ in range(2):
        world.trigger.runs = dict.fromkeys(world.trigger.runs, RunStatus.SUCCEEDED)
        world.check().settle()
        assert [outcome.step for outcome in world.check().take_up(PARAMETERS)][:1] == [Step.DEFER], "the budget is used"
        world.clock.go(hours=25)
        world.check().take_up(PARAMETERS)
    assert [request.name for request in world.trigger.requests] == [cause.run_name for cause in causes]


def test_a_trial_is_not_disturbed_and_the_cause_not_forgotten() -> None:
    world = World()
    set_state(world.ledger, LedgerState("v1", "v2", 0.05))
    assert world.check().act(WEEKLY, PARAMETERS).step is Step.DEFER
    set_state(world.ledger, LedgerState("v1"))
    (outcome,) = world.check().take_up(PARAMETERS)
    assert outcome.step is Step.START


def test_after_a_promotion_an_old_alert_is_declined_on_record() -> None:
    world = World()
    set_state(world.ledger, LedgerState("v1", "v2", 0.5))
    cause = drift_cause(alert())
    assert world.check().act(cause, PARAMETERS).step is Step.DEFER
    set_state(world.ledger, LedgerState("v2"))
    (outcome,) = world.check().take_up(PARAMETERS)
    assert outcome.step is Step.DECLINE and world.stage(cause.cause_id) is Stage.DECLINED
    assert world.trigger.requests == []


def test_a_later_alert_of_the_same_change_takes_the_earlier_ones_place() -> None:
    world = World(RetrainSettings(budget_runs=10, cooldown_hours=0))
    first, second = drift_cause(alert(number=1)), drift_cause(alert(number=2, repeated=2))
    assert world.check().act(first, PARAMETERS).step is Step.ASK
    assert world.check().act(second, PARAMETERS).step is Step.START, "nobody has reviewed, and it is still there"
    outcomes = world.check().take_up(PARAMETERS)
    assert world.stage(first.cause_id) is Stage.DECLINED
    assert {outcome.step for outcome in outcomes} == {Step.DECLINE, Step.WAIT}


def test_evidence_is_asked_for_anew_at_each_check() -> None:
    from belisha.components.retrain.policy import ReviewFinding

    world, evidence = World(RetrainSettings(cooldown_hours=0)), [Evidence()]
    cause = drift_cause(alert())
    assert world.check(evidence=lambda _: evidence[0]).act(cause, PARAMETERS).step is Step.ASK
    evidence[0] = Evidence(finding=ReviewFinding.WORSE)
    (outcome,) = world.check(evidence=lambda _: evidence[0]).take_up(PARAMETERS)
    assert outcome.step is Step.START


@pytest.mark.parametrize("checks", [2, 6])
def test_threads_that_race_start_one_run(checks: int) -> None:
    world, barrier = World(), threading.Barrier(checks)
    steps: list[Step] = []

    def race() -> None:
        check = world.check()
        barrier.wait()
        steps.append(check.act(WEEKLY, PARAMETERS).step)

    threads = [threading.Thread(target=race) for _ in range(checks)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert steps.count(Step.START) == 1 and len(world.trigger.requests) == 1


def test_the_metrics_follow_the_ledger() -> None:
    world = World()
    assert values(world)['last_start_timestamp_seconds{cause="weekly"}'] == 0
    world.check().act(WEEKLY, PARAMETERS)
    found = values(world)
    assert found['last_start_timestamp_seconds{cause="weekly"}'] == NOW.timestamp()
    assert (found["running"], found["runs_today"], found["budget_runs"]) == (1, 1, 1000)
    status = status_of(world.ledger.records(), EAGER, world.clock())
    assert "1 running" in status.sentence and status.to_json()["runs"][0]["stage"] == "submitted"
    world.trigger.runs = dict.fromkeys(world.trigger.runs, RunStatus.FAILED)
    world.clock.go(hours=30)
    world.check().settle()
    found = values(world)
    assert (found["running"], found["runs_today"]) == (0, 0)
    assert found["last_failure_timestamp_seconds"] == world.clock().timestamp()
    assert found["last_success_timestamp_seconds"] == 0


def values(world: World) -> dict[str, float]:
    """The pushed metrics by their name behind `belisha_retrain_`."""
    metrics = metrics_of(status_of(world.ledger.records(), EAGER, world.clock()), "shop")
    lines = [line.rsplit(" ", 1) for line in metrics.exposition().decode().splitlines() if not line.startswith("#")]
    return {name.removeprefix("belisha_retrain_"): float(value) for name, value in lines}


def test_a_store_that_fails_starts_nothing() -> None:
    world = World()

    class Broken:
        uri = "memory://broken"

        def list(self, *_: object, **__: object) -> list[str]:
            raise StorageError("the network is gone")

    check = Retrainer(Ledger(Broken()), world.trigger, EAGER, clock=world.clock)  # type: ignore[arg-type]
    with pytest.raises(StorageError):
        check.act(WEEKLY, PARAMETERS)
    assert world.trigger.requests == []
