"""What is done about a cause, decided from the ledger's records alone: no clock, no network, no side effect.

Times only spread runs out (budget, cooldown) and tell a claim that was left behind. They are compared by distance, whichever
lies first, so that a clock that jumps and comes back can neither block for ever nor start a run twice: that a cause has one
run is a matter of its records and its name.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from belisha.components.retrain.cause import Cause, CauseKind
from belisha.components.retrain.run_records import RetrainRun, Stage, draft_of, retrain_runs
from belisha.components.retrain.settings import OnAlert, RetrainSettings
from belisha.components.shared.ledger import Draft, LedgerState, Record

BUDGET_WINDOW = timedelta(hours=24)


class Step(enum.StrEnum):
    """What is to be done now."""

    START = "start"
    ASK = "ask for review"
    WAIT = "wait"
    DEFER = "defer"
    DECLINE = "decline"
    GIVE_UP = "give up"
    NOTHING = "nothing"


class ReviewFinding(enum.StrEnum):
    """What reviewed pictures of a cause say of the champion."""

    TOO_FEW = "too few"
    WORSE = "worse"
    AS_GOOD = "as good"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a cause besides the ledger.

    Attributes:
        problems: why its pictures teach nothing; empty when they are fit.
        finding: of the reviewed pictures.
        sentence: that finding with its numbers.
    """

    problems: tuple[str, ...] = ()
    finding: ReviewFinding = ReviewFinding.TOO_FEW
    sentence: str = "nothing was reviewed yet"


@dataclass(frozen=True, slots=True)
class Situation:
    """Who asks, and when.

    Attributes:
        now: UTC, of the trigger's clock where it has one.
        trigger: kind of the trigger at hand.
        lease_seconds: of its claims.
        settings: of the policy.
        by_hand: a person insists: neither budget nor cooldown nor a trial holds the run back.
        stopped: the trigger says that this cause's submitted run was killed half-way.
        parameters: for a run that is to be started.
    """

    now: datetime
    trigger: str
    lease_seconds: float
    settings: RetrainSettings
    by_hand: bool = False
    stopped: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do, in a word and a sentence, and the record of it; no record where nothing changes."""

    step: Step
    sentence: str
    draft: Draft | None = None


def decide(
    cause: Cause, records: Sequence[Record], state: LedgerState, situation: Situation, evidence: Evidence
) -> Decision:
    """What to do about a cause now.

    Args:
        cause: that was noticed.
        records: the whole ledger.
        state: after its last record.
        situation: who asks, and when.
        evidence: what is known besides.
    """
    runs = retrain_runs(records)
    run = runs.get(cause.cause_id)
    if run is not None and run.stage.is_end:
        return Decision(Step.NOTHING, f"{cause.cause_id} was dealt with: {run.sentence}")
    if run is not None and run.stage.is_running:
        return _about_started(run, state, situation)
    hindrance = _why_never(cause, runs, state, situation, evidence)
    if hindrance:
        return _recorded(Step.DECLINE, Stage.DECLINED, cause, f"no retraining: {hindrance}", state, situation)
    if state.champion is None:
        return Decision(
            Step.DECLINE, "there is no champion yet to find a challenger for: make the first with `belisha run`"
        )
    if not situation.by_hand and _needs_review(cause, situation.settings, evidence):
        return _asked(cause, run, state, situation, evidence)
    delay = _why_not_now(cause, runs, state, situation)
    if delay:
        sentence = f"retraining waits: {delay}"
        if run is not None and run.stage is Stage.DEFERRED:
            return Decision(Step.DEFER, sentence)
        return _recorded(Step.DEFER, Stage.DEFERRED, cause, sentence, state, situation)
    return _claimed(cause, run, state, situation)


def _about_started(run: RetrainRun, state: LedgerState, situation: Situation) -> Decision:
    """A run that was claimed: go on with it when it was left behind, otherwise leave it alone."""
    name, wanted = run.cause.run_name, run.trigger
    if wanted != situation.trigger:
        return Decision(Step.WAIT, f"{name} was claimed for the trigger {wanted}: go on with it by --trigger {wanted}")
    if run.stage is Stage.SUBMITTED and not situation.stopped:
        return Decision(Step.WAIT, f"{name} goes on since {run.at:%Y-%m-%d %H:%M} UTC")
    age_seconds = abs((situation.now - run.at).total_seconds())
    if run.stage is Stage.CLAIMED and age_seconds < situation.lease_seconds:
        left = f"{situation.lease_seconds - age_seconds:.0f} s"
        return Decision(
            Step.WAIT, f"{name} was claimed {age_seconds:.0f} s ago; if its owner died, ask again in {left}"
        )
    if situation.stopped and run.attempt >= situation.settings.max_attempts:
        sentence = f"{name} was killed {run.attempt} times before it came to an end"
        return _recorded(
            Step.GIVE_UP, Stage.FAILED, run.cause, sentence, state, situation, attempt=run.attempt, trigger=wanted
        )
    return _claimed(run.cause, run, state, situation)


def _why_never(
    cause: Cause, runs: Mapping[str, RetrainRun], state: LedgerState, situation: Situation, evidence: Evidence
) -> str:
    """Why the cause is none, in words; empty when it is one."""
    if situation.by_hand or cause.kind is CauseKind.MANUAL:
        return ""
    if cause.kind is CauseKind.WEEKLY:
        later = _later_week(cause, runs)
        return f"its week is over, and {later} stands for it" if later else ""
    if cause.model_version != state.champion:
        return f"the alert is about {cause.model_version}, and {state.champion or 'nobody'} is champion now"
    newer = [run.cause for run in runs.values() if _supersedes(run.cause, cause)]
    if newer:
        return f"the newer alert {newer[-1].cause_id} speaks of the same change"
    if evidence.problems:
        return f"the pictures are not fit to learn from: {'; '.join(evidence.problems)}"
    if situation.settings.on_alert is OnAlert.REVIEW and evidence.finding is ReviewFinding.AS_GOOD:
        return evidence.sentence
    return ""


def _later_week(cause: Cause, runs: Mapping[str, RetrainRun]) -> str:
    """A weekly run that came onto the ledger after this one, so that waiting weeks do not pile up; empty when none did.

    The ledger's order counts, not the week's name: a clock that once was a year ahead must not silence that year.
    """
    names = list(runs)
    after = names[names.index(cause.cause_id) + 1 :] if cause.cause_id in runs else []
    return next((name for name in reversed(after) if runs[name].cause.kind is CauseKind.WEEKLY), "")


def _supersedes(newer: Cause, cause: Cause) -> bool:
    same = bool(cause.reference_digest) and newer.reference_digest == cause.reference_digest
    return same and newer.repeated > cause.repeated


def _needs_review(cause: Cause, settings: RetrainSettings, evidence: Evidence) -> bool:
    if cause.kind is not CauseKind.DRIFT or settings.on_alert is OnAlert.RETRAIN:
        return False
    if evidence.finding is ReviewFinding.WORSE:
        return False
    return cause.repeated < settings.persistent_alerts


def _asked(
    cause: Cause, run: RetrainRun | None, state: LedgerState, situation: Situation, evidence: Evidence
) -> Decision:
    if run is not None and run.stage is Stage.ASKED:
        return Decision(Step.WAIT, f"waiting for reviewed pictures: {evidence.sentence}")
    most = situation.settings.review_pictures
    sentence = f"people are asked about up to {most} pictures before anything is trained: {cause.sentence}"
    return _recorded(Step.ASK, Stage.ASKED, cause, sentence, state, situation)


def _why_not_now(cause: Cause, runs: Mapping[str, RetrainRun], state: LedgerState, situation: Situation) -> str:
    """What holds a run back for the time being, in words; empty when nothing does."""
    others = [run for run in runs.values() if run.cause.cause_id != cause.cause_id]
    busy = [
        run for run in others if run.stage.is_running and _near(run.at, situation, situation.settings.max_run_hours)
    ]
    if busy:
        return f"{busy[0].cause.run_name} has not ended"
    if situation.by_hand:
        return ""
    if state.challenger is not None and not situation.settings.replace_trial:
        return f"{state.challenger} is on trial, which a new challenger would end"
    return _over_budget(others, situation) or _cooling_down(others, situation)


def _over_budget(others: Sequence[RetrainRun], situation: Situation) -> str:
    hours = BUDGET_WINDOW / timedelta(hours=1)
    started = [run for run in others if run.claimed_at and _near(run.claimed_at, situation, hours)]
    budget = situation.settings.budget_runs
    return f"{len(started)} of {budget} runs of the last 24 hours are used" if len(started) >= budget else ""


def _cooling_down(others: Sequence[RetrainRun], situation: Situation) -> str:
    hours = situation.settings.cooldown_hours
    started = [run for run in others if run.claimed_at is not None]
    recent = [
        run for run in started if _near(run.at, situation, hours) or _near(run.claimed_at or run.at, situation, hours)
    ]
    return f"{recent[-1].cause.run_name} was within the last {hours:g} hours" if recent else ""


def _near(moment: datetime, situation: Situation, hours: float) -> bool:
    return abs(situation.now - moment) < timedelta(hours=hours)


def _claimed(cause: Cause, run: RetrainRun | None, state: LedgerState, situation: Situation) -> Decision:
    attempt = run.attempt + 1 if run else 1
    again = f", attempt {attempt}" if attempt > 1 else ""
    return _recorded(
        Step.START,
        Stage.CLAIMED,
        cause,
        f"{cause.run_name} is being started{again}: {cause.sentence}",
        state,
        situation,
        attempt=attempt,
        trigger=situation.trigger,
        parameters=dict(situation.parameters) or (run.parameters if run else {}),
    )


def _recorded(
    step: Step, stage: Stage, cause: Cause, sentence: str, state: LedgerState, situation: Situation, **details: Any
) -> Decision:
    return Decision(step, sentence, draft_of(cause, stage, sentence, state, now=situation.now, **details))
