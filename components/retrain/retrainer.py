"""Carries the policy out: claims in the ledger, starts through the trigger, goes on with what was left behind.

Why a cause gets one run, whoever races and dies when:

1. The claim is a record of the ledger, written by a create-only put: of two checks that decide at the same moment one writes
   it, the other reads it and leaves the cause alone until the claim is older than the trigger's lease.
2. Whoever holds the claim, new or taken over, first looks whether a run of the cause's name exists, and only then starts one.
   So a death between start and record costs nothing: the next one finds the run.
3. Before it starts one it looks whether the claim is still its own: a sleeper whose claim was taken over does nothing.
4. The trigger itself makes a second start of one name harmless (see `trigger.py` and its implementations).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from belisha.components.retrain.cause import Cause
from belisha.components.retrain.policy import Decision, Evidence, Situation, Step, decide
from belisha.components.retrain.run_records import RetrainRun, Stage, draft_of, retrain_runs
from belisha.components.retrain.settings import RetrainSettings
from belisha.components.retrain.trigger import NotStartedError, RunRequest, RunStatus, StartedRun, Trigger
from belisha.components.shared.errors import BelishaError
from belisha.components.shared.ledger import Clock, Draft, Ledger, LedgerState, Record, system_clock

_ENDS = {RunStatus.SUCCEEDED: Stage.SUCCEEDED, RunStatus.FAILED: Stage.FAILED}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done about one cause.

    Attributes:
        cause: that it is about.
        step: what was done.
        sentence: for people.
        run: as the ledger has it now; None when it has no record of the cause.
    """

    cause: Cause
    step: Step
    sentence: str
    run: RetrainRun | None


class Retrainer:
    """The policy at work on one ledger, with one trigger.

    Args:
        ledger: holds the claims.
        trigger: starts runs.
        settings: of the policy.
        clock: tells now; wrong times cost a delay or an early run, never a second run of a cause.
        evidence: what is known of a cause besides the ledger.
        monotonic: measures how long this process has held a claim.
    """

    def __init__(
        self,
        ledger: Ledger,
        trigger: Trigger,
        settings: RetrainSettings | None = None,
        *,
        clock: Clock = system_clock,
        evidence: Callable[[Cause], Evidence] = lambda _: Evidence(),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ledger = ledger
        self._trigger = trigger
        self._settings = settings or RetrainSettings()
        self._clock = clock
        self._evidence = evidence
        self._monotonic = monotonic

    def act(self, cause: Cause, parameters: Mapping[str, Any], *, by_hand: bool = False) -> Outcome:
        """Deal with one cause.

        Args:
            cause: that was noticed.
            parameters: of its run, should one be started; `run_id` is added.
            by_hand: a person insists, see `Situation`.

        Raises:
            BelishaError: the trigger could not be reached; the cause stays in the ledger and the next check goes on with it.
        """
        stopped = self._is_stopped(self._known(cause))
        evidence = self._evidence(cause)
        situation = Situation(
            now=self._now(),
            trigger=self._trigger.kind,
            lease_seconds=self._trigger.lease_seconds,
            settings=self._settings,
            by_hand=by_hand,
            stopped=stopped,
            parameters={**parameters, "run_id": cause.run_name},
        )
        decisions: list[Decision] = []

        def drafted(records: list[Record], state: LedgerState) -> Draft | None:
            decisions.append(decide(cause, records, state, situation, evidence))
            return decisions[-1].draft

        began = self._monotonic()
        claim = self._ledger.append(drafted)
        decision = decisions[-1]
        if claim is not None and decision.step is Step.START:
            return self._start(cause, claim, began)
        return Outcome(cause, decision.step, decision.sentence, self._known(cause))

    def take_up(self, parameters: Mapping[str, Any]) -> list[Outcome]:
        """Go on with what others left behind and with what waits for its turn, oldest first; raises as `act`."""
        runs = [run for run in self._runs().values() if not run.stage.is_end]
        ours = [run for run in runs if run.stage.is_waiting or run.trigger == self._trigger.kind]
        started_first = sorted(ours, key=lambda run: (run.stage.is_waiting, run.number))
        return [self.act(run.cause, parameters) for run in started_first]

    def settle(self) -> list[Outcome]:
        """Record how submitted runs ended; raises BelishaError when the trigger cannot tell."""
        return [outcome for run in self._submitted() if (outcome := self._settle(run)) is not None]

    def _settle(self, run: RetrainRun) -> Outcome | None:
        # Looking by name, not by id alone: it also stops a second run that a held-back request may have made.
        found = self._trigger.find(run.cause.run_name) or self._trigger.look(run.external_id)
        if found is None:
            return self._ended(run, Stage.FAILED, f"{run.cause.run_name} is gone: nobody knows how it ended")
        if found.status not in _ENDS:
            return None
        return self._ended(run, _ENDS[found.status], found.sentence or f"{run.cause.run_name} {found.status}")

    def _ended(self, run: RetrainRun, stage: Stage, sentence: str) -> Outcome:
        self._advance(run.cause, run.attempt, stage, sentence, run.external_id, run.url)
        step = Step.NOTHING if stage is Stage.SUCCEEDED else Step.GIVE_UP
        return Outcome(run.cause, step, sentence, self._known(run.cause))

    def _start(self, cause: Cause, claim: Record, began: float) -> Outcome:
        """Look for the run, start it when there is none, and record it; the claim is ours."""
        attempt, parameters = int(claim.draft.details["attempt"]), dict(claim.draft.details["parameters"])
        try:
            started = self._found(cause.run_name)
            if started is None:
                if not self._may_start(cause, attempt, began):
                    return Outcome(
                        cause, Step.WAIT, f"{cause.run_name} was taken over by another check", self._known(cause)
                    )
                started = self._trigger.start(RunRequest(cause.run_name, cause.sentence, parameters))
        except NotStartedError as error:
            self._advance(cause, attempt, Stage.DEFERRED, f"retraining waits: {error}")
            raise
        where = f" ({started.url})" if started.url else ""
        sentence = f"{cause.run_name} was started{where}: {cause.sentence}"
        self._advance(cause, attempt, Stage.SUBMITTED, sentence, started.external_id, started.url)
        return Outcome(cause, Step.START, sentence, self._known(cause))

    def _found(self, name: str) -> StartedRun | None:
        """The run that exists and needs no help."""
        found = self._trigger.find(name)
        return None if found is not None and found.status is RunStatus.STOPPED else found

    def _may_start(self, cause: Cause, attempt: int, began: float) -> bool:
        """Whether the claim is young and still ours."""
        lease_seconds = self._trigger.lease_seconds
        if lease_seconds and self._monotonic() - began > lease_seconds / 2:
            return False
        run = self._known(cause)
        return run is not None and run.stage is Stage.CLAIMED and run.attempt == attempt

    def _advance(
        self, cause: Cause, attempt: int, stage: Stage, sentence: str, external_id: str = "", url: str = ""
    ) -> None:
        """Record the next stage, unless somebody else has meanwhile."""
        try:
            now = self._now()
        except BelishaError:
            now = self._clock()

        def drafted(records: list[Record], state: LedgerState) -> Draft | None:
            run = retrain_runs(records).get(cause.cause_id)
            if run is None or not run.stage.is_running or run.attempt != attempt or run.stage is stage:
                return None
            kind = self._trigger.kind
            return draft_of(
                cause, stage, sentence, state, now=now, attempt=attempt, trigger=kind, external_id=external_id, url=url
            )

        self._ledger.append(drafted)

    def _now(self) -> datetime:
        """The trigger's time, which all checks share, else our own."""
        return self._trigger.now() or self._clock()

    def _is_stopped(self, run: RetrainRun | None) -> bool:
        if run is None or run.stage is not Stage.SUBMITTED or run.trigger != self._trigger.kind:
            return False
        found = self._trigger.look(run.external_id)
        return found is not None and found.status is RunStatus.STOPPED

    def _submitted(self) -> Iterable[RetrainRun]:
        return [
            run for run in self._runs().values() if run.stage is Stage.SUBMITTED and run.trigger == self._trigger.kind
        ]

    def _known(self, cause: Cause) -> RetrainRun | None:
        return self._runs().get(cause.cause_id)

    def _runs(self) -> dict[str, RetrainRun]:
        return retrain_runs(self._ledger.records())
