"""Apply the ledger's state and wait for it: steps until the cluster has it, a deadline for each, and the outcome on record."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from belisha.components.release.cluster_state import wanted_weights
from belisha.components.release.controller import Controller, Look, Target, target_of
from belisha.components.release.realised_split import TrafficMetrics, split_gate
from belisha.components.release.release_template import Mode
from belisha.components.release.rollout import Stage
from belisha.components.release.rollout_status import RolloutStatus, status_of, summed_up
from belisha.components.shared.errors import ClusterError, StorageError
from belisha.components.shared.kube_api import ConflictError, RefusedError, ThrottledError
from belisha.components.shared.ledger import Action, Draft, LedgerState, Record
from belisha.components.shared.verdict import Gate, Verdict

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 15.0
# A conflict is settled by reading again, but two controllers must not chase each other.
_CONFLICT_PAUSE_SECONDS = 0.05
# After a change much changes at once, and a watch that breaks at once must not make us spin.
_BREATH_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class ApplySettings:
    """How patiently.

    Attributes:
        stage_seconds: longest wait for one step: pods that get ready, weights that move, an API server that answers.
        poll_seconds: longest pause between two looks.
        traffic_window_seconds: over which the realised split is counted.
        end_trials: whether a challenger that does not get ready in time ends its trial, which removes its predictor.
    """

    stage_seconds: float = 900.0
    poll_seconds: float = 5.0
    traffic_window_seconds: int = 120
    end_trials: bool = True


@dataclass(frozen=True, slots=True)
class ApplyOutcome:
    """What came of it.

    Attributes:
        status: verdict, sentence and gates.
        state: what was applied.
        record: number of the ledger record that asked for it.
        steps: writes that were made, in words.
    """

    status: RolloutStatus
    state: LedgerState
    record: int
    steps: tuple[str, ...]


@dataclass(slots=True)
class _Wait:
    """How long the present step has been waited for."""

    now: Callable[[], float]
    what: str = ""
    since: float = 0.0
    pause_seconds: float = _FIRST_PAUSE_SECONDS

    def __post_init__(self) -> None:
        self.since = self.now()

    def seconds(self, what: str) -> float:
        """Seconds since this was first waited for; anything new begins at nothing."""
        if what != self.what:
            self.what, self.since = what, self.now()
        return self.now() - self.since


@dataclass(slots=True)
class Applier:
    """Applies the ledger's state with a controller.

    Attributes:
        controller: that takes the steps.
        settings: how patiently.
        traffic: where the realised split can be asked; None asks nobody.
        tell: takes a sentence for each step.
        now: seconds of a clock that never goes back.
        pause: waits so many seconds.
        last: the last look; None before the first.
    """

    controller: Controller
    settings: ApplySettings = ApplySettings()
    traffic: TrafficMetrics | None = None
    tell: Callable[[str], None] = lambda _: None
    now: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    last: Look | None = None
    _steps: list[str] = field(default_factory=list)
    _ended: Gate | None = None
    _said: str = ""

    def apply(self) -> ApplyOutcome:
        """Take steps until the cluster has what the ledger asks for, or a step took too long; the outcome goes on record.

        Running it again gives the same outcome and no further record.

        Raises:
            ClusterError, StorageError: the cluster or the store was away for longer than a step may take; run it again.
            InputError, ForbiddenError: the object is not ours to write.
        """
        self._steps, self._ended = [], None
        wait, away = _Wait(self.now), _Wait(self.now)
        while True:
            try:
                outcome = self.once(wait)
                away = _Wait(self.now)
            except ConflictError as conflict:
                self.tell(f"{conflict}")
                self.pause(_CONFLICT_PAUSE_SECONDS)
                continue
            except ClusterError as error:
                self._bear(error, away)
                continue
            if outcome is not None:
                return outcome

    def once(self, wait: _Wait) -> ApplyOutcome | None:
        """One look and its step; an outcome when there is nothing more to do or to wait for."""
        look = self.last = self.controller.look()
        if look.body is not None:
            return self._write(look)
        if look.step.stage is Stage.DONE:
            return self._done(look, wait)
        waited = wait.seconds(f"{look.target.number} {look.step.sentence}")
        if waited < self.settings.stage_seconds:
            self._say(f"waiting: {look.step.sentence}")
            self.controller.cluster.wait_for_change(look.cluster, self._pause_seconds(waited))
            self.pause(_BREATH_SECONDS)
            return None
        return self._too_late(look, waited)

    def _write(self, look: Look) -> ApplyOutcome | None:
        try:
            self.controller.carry_out(look)
        except RefusedError as refusal:
            gate = Gate("accepted", Verdict.ERROR, f"{look.step.sentence}: {refusal}")
            return self._recorded(look.target, status_of(look, gate))
        self._steps.append(look.step.sentence)
        self.tell(look.step.sentence)
        return None

    def _done(self, look: Look, wait: _Wait) -> ApplyOutcome | None:
        gates = [] if self._ended is None else [self._ended]
        if self.traffic is not None and look.wanted:
            gate = self._split(look)
            window = self.settings.traffic_window_seconds
            if gate.verdict is not Verdict.PASS and wait.seconds(f"{look.target.number} split") < window:
                self._say(f"waiting: {gate.sentence}")
                self.pause(min(self.settings.poll_seconds, window))
                return None
            gates.append(gate)
        return self._recorded(look.target, status_of(look, *gates))

    def _split(self, look: Look) -> Gate:
        assert self.traffic is not None
        window = self.settings.traffic_window_seconds
        try:
            counted = self.traffic.requests(window)
        except ClusterError as error:
            return Gate("realised_split", Verdict.ERROR, str(error))
        shadows = {str(one.get("name")) for one in look.cluster.predictors if one.get("shadow")}
        answered = {name: count for name, count in counted.items() if name not in shadows}
        return split_gate(wanted_weights(look.cluster.predictors), answered, window)

    def _too_late(self, look: Look, waited: float) -> ApplyOutcome | None:
        gate = _late_gate(look, waited)
        challenger = look.target.state.challenger
        if self.settings.end_trials and challenger in look.step.waits_for and self._may_end(look):
            self._end_trial(look.target, gate)
            return None
        return self._recorded(look.target, status_of(look, gate))

    def _may_end(self, look: Look) -> bool:
        """Only when the champion is well; behind one router nobody can tell, and there the challenger is what is new."""
        return self.controller.template.mode is Mode.ROUTER or look.target.state.champion not in look.step.waits_for

    def _end_trial(self, target: Target, gate: Gate) -> None:
        state, challenger = target.state, str(target.state.challenger)
        sentence = f"the trial of {challenger} ended: {gate.sentence}; {state.champion} stays champion"
        after = LedgerState(champion=state.champion)

        def draft(records: list[Record], _: LedgerState) -> Draft | None:
            if target_of(records).number != target.number:
                return None
            return Draft(Action.ROLLBACK, challenger, sentence, after, details={"gate": asdict(gate)})

        if self.controller.registry.ledger.append(draft) is not None:
            self._ended = Gate("trial", Verdict.FAIL, sentence)
            self.tell(sentence)

    def _recorded(self, target: Target, status: RolloutStatus) -> ApplyOutcome:
        """Put the outcome on record, once; not when the ledger has moved on meanwhile."""
        digest = self.controller.template.digest[:16]
        details = {
            "applies": target.number,
            "verdict": status.verdict.value,
            "release_template": digest,
            "gates": [asdict(gate) for gate in status.gates],
        }

        def draft(records: list[Record], state: LedgerState) -> Draft | None:
            if not records or _is_known(records, details) or target_of(records).number != target.number:
                return None
            return Draft(Action.APPLY, state.champion or "", status.sentence, state, details=details)

        self.controller.registry.ledger.append(draft)
        return ApplyOutcome(status, target.state, target.number, tuple(self._steps))

    def _bear(self, error: ClusterError, away: _Wait) -> None:
        """Wait for an API server that is away or busy; raises the error when that takes too long."""
        if away.seconds("cluster") >= self.settings.stage_seconds:
            raise error
        asked = error.retry_after_seconds if isinstance(error, ThrottledError) else away.pause_seconds
        self._say(f"waiting: {error}")
        self.pause(asked)
        away.pause_seconds = min(2 * away.pause_seconds, _LONGEST_PAUSE_SECONDS)

    def _pause_seconds(self, waited: float) -> float:
        return min(self.settings.poll_seconds, max(0.0, self.settings.stage_seconds - waited))

    def _say(self, sentence: str) -> None:
        if sentence != self._said:
            self._said = sentence
            self.tell(sentence)


def _is_known(records: Sequence[Record], details: Mapping[str, Any]) -> bool:
    """Whether an outcome is no news after the last one of the same state and shape: a quiet night is not, either."""
    last = next((one.draft.details for one in reversed(records) if one.draft.action is Action.APPLY), {})
    if any(last.get(name) != details[name] for name in ("applies", "release_template")):
        return False
    return details["verdict"] in (last.get("verdict"), Verdict.INCONCLUSIVE.value)


def _late_gate(look: Look, waited: float) -> Gate:
    """Why a step did not come to its end."""
    found = [gate for gate in status_of(look).gates if gate.verdict is not Verdict.PASS and gate.name != "layout"]
    why = summed_up(found, "").sentence or look.step.sentence
    if look.step.waits_for:
        return Gate(
            "in_time",
            Verdict.FAIL,
            f"{' and '.join(look.step.waits_for)} did not get ready within {waited:.0f} s ({why})",
        )
    advice = "look whether Seldon's operator runs and what it logs"
    return Gate("in_time", Verdict.ERROR, f"all is ready, yet after {waited:.0f} s {why}: {advice}")


def follow(applier: Applier, report: Callable[[ApplyOutcome], None]) -> None:
    """Apply the ledger's state for ever; `report` gets every outcome of another record or verdict than the one before."""
    told: ApplyOutcome | None = None
    pause_seconds = _FIRST_PAUSE_SECONDS
    while True:
        try:
            outcome = applier.apply()
        except (ClusterError, StorageError) as error:
            applier.tell(f"{error}")
            applier.pause(pause_seconds)
            pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)
            continue
        pause_seconds = _FIRST_PAUSE_SECONDS
        if told is None or (outcome.record, outcome.status.verdict) != (told.record, told.status.verdict):
            report(outcome)
            told = outcome
        if applier.last is not None:
            applier.controller.cluster.wait_for_change(applier.last.cluster, applier.settings.poll_seconds)
        applier.pause(_BREATH_SECONDS)
