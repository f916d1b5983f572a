"""The verdict: a pure function from what is known to what is to be done with the challenger.

What ends an experiment is looked at first, what raises the share last, and only one step is taken at a time, so that every
share is seen by the guards before the next. A person's hand on the share is respected: the judge then raises nothing and
promotes nothing until it is told to resume, but what harms is taken out all the same.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from belisha.components.experiment.betting import e_value, lower_bound, upper_bound, yes_needed
from belisha.components.experiment.guards import ServiceLevels, guard_gates
from belisha.components.experiment.outcome import Tally
from belisha.components.experiment.sample_ratio import Assignments, sample_ratio_gate
from belisha.components.experiment.settings import ExperimentSettings, Step
from belisha.components.experiment.trial import PAUSE, PROMOTE, STEP, STOP, Trial
from belisha.components.shared.errors import EXIT_INCONCLUSIVE, EXIT_NEGATIVE, EXIT_OK
from belisha.components.shared.ledger import LedgerState
from belisha.components.shared.verdict import Gate, Verdict

OUTCOME = "outcome"
_SECONDS_A_DAY = 86_400.0


class ExperimentVerdict(enum.StrEnum):
    """What is to become of the experiment."""

    CONTINUE = "CONTINUE"
    PROMOTE = "PROMOTE"
    STOP = "STOP"

    @property
    def exit_code(self) -> int:
        """The process exit code that stands for it."""
        return {self.CONTINUE: EXIT_INCONCLUSIVE, self.PROMOTE: EXIT_OK, self.STOP: EXIT_NEGATIVE}[self]


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a judgement stands on.

    Attributes:
        trial: as the ledger tells it.
        assignments: of the dice since the share last changed.
        challenger_answers: its answers to drawn requests since then.
        levels: what the guards look at.
        tally: of the reviewed pictures.
    """

    trial: Trial
    assignments: Assignments
    challenger_answers: int
    levels: ServiceLevels
    tally: Tally


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found and what follows.

    Attributes:
        verdict: CONTINUE, PROMOTE or STOP.
        sentence: the verdict with its numbers.
        event: what the record in the ledger says of itself; empty where nothing is to be recorded.
        state: who serves afterwards.
        gates: every check.
        missing: what the next step waits for, one sentence each.
        required: numbers that the next step needs, by the kind of evidence.
    """

    verdict: ExperimentVerdict
    sentence: str
    event: str
    state: LedgerState
    gates: tuple[Gate, ...]
    missing: tuple[str, ...] = ()
    required: tuple[tuple[str, int], ...] = ()


def judge(evidence: Evidence, settings: ExperimentSettings, now: datetime) -> Judgement:
    """Judge an experiment.

    Args:
        evidence: what is known.
        settings: what is asked.
        now: timezone-aware.
    """
    gates = (
        sample_ratio_gate(evidence.assignments, settings.srm_alpha_ratio),
        *guard_gates(evidence.levels, settings),
        outcome_gate(evidence.tally, settings),
    )
    for gate in gates:
        if gate.verdict is Verdict.FAIL:
            return _ended(evidence, gate, gates)
    if old := _too_long(evidence, settings, now):
        return _stopped(evidence, old, gates)
    step = settings.step_after(evidence.trial.share_ratio)
    missing = tuple(_missing(evidence, settings, step, gates, now))
    required = _required(evidence.tally, settings, step)
    if missing:
        return _going_on(evidence, missing, gates, required)
    return _raised(evidence, settings, step, gates, required)


def outcome_gate(tally: Tally, settings: ExperimentSettings) -> Gate:
    """PASS where the challenger is proven better on disagreements, FAIL where proven worse."""
    alpha = settings.alpha_ratio
    numbers = describe(tally, alpha)
    if not tally.decided:
        return Gate(OUTCOME, Verdict.INCONCLUSIVE, f"no data: {numbers}", bound=0.5)
    interval = bounds_of(tally, alpha)
    better, worse = e_value(tally.wins, tally.losses), e_value(tally.losses, tally.wins)
    if worse >= 1 / alpha and tally.decided >= settings.min_decided:
        return Gate(OUTCOME, Verdict.FAIL, f"the challenger is worse: {numbers}", tally.win_ratio, 0.5, interval)
    if better >= settings.steps[-1].e_value and tally.decided >= settings.min_decided_promotion:
        return Gate(OUTCOME, Verdict.PASS, f"the challenger is better: {numbers}", tally.win_ratio, 0.5, interval)
    return Gate(OUTCOME, Verdict.INCONCLUSIVE, f"not settled: {numbers}", tally.win_ratio, 0.5, interval)


def bounds_of(tally: Tally, alpha_ratio: float) -> tuple[float, float]:
    """Both ends of the confidence sequence of the share of decided pictures that the challenger wins."""
    wins, losses = tally.wins, tally.losses
    return lower_bound(wins, losses, alpha_ratio), upper_bound(wins, losses, alpha_ratio)


def describe(tally: Tally, alpha_ratio: float) -> str:
    """A tally in words with its numbers."""
    if not tally.decided:
        return f"no reviewed picture is decided yet ({tally.ties} ties)"
    low, high = bounds_of(tally, alpha_ratio)
    return (
        f"it won {tally.wins} of {tally.decided} decided disagreements ({tally.win_ratio:.3f}, {low:.3f} to {high:.3f} at all "
        f"times, each bound at {1 - alpha_ratio:.0%}; e-value {e_value(tally.wins, tally.losses):.3g})"
    )


def _ended(evidence: Evidence, gate: Gate, gates: tuple[Gate, ...]) -> Judgement:
    """A failed check: a broken assignment pauses the experiment at no share, all else takes the challenger out."""
    trial = evidence.trial
    if gate.name != "sample_ratio":
        return _stopped(evidence, gate.sentence, gates)
    sentence = (
        f"STOP: the experiment is invalid and {trial.challenger} gets no more traffic: {gate.sentence}; find the cause, then "
        "begin anew with --resume"
    )
    state = LedgerState(trial.champion, trial.challenger, 0.0)
    return Judgement(ExperimentVerdict.STOP, sentence, PAUSE, state, gates)


def _stopped(evidence: Evidence, why: str, gates: tuple[Gate, ...]) -> Judgement:
    trial = evidence.trial
    sentence = f"STOP: {trial.challenger} was taken out and {trial.champion} stays champion: {why}"
    return Judgement(ExperimentVerdict.STOP, sentence, STOP, LedgerState(champion=trial.champion), gates)


def _too_long(evidence: Evidence, settings: ExperimentSettings, now: datetime) -> str:
    """Why the experiment ends without a winner; empty while it may go on, a person holds it, or a proven winner waits."""
    if evidence.trial.held_by or _proven(evidence.tally, settings):
        return ""
    numbers = describe(evidence.tally, settings.alpha_ratio)
    days = (now - evidence.trial.begun_at).total_seconds() / _SECONDS_A_DAY
    if evidence.tally.decided >= settings.max_decided:
        return f"not distinguishable after {settings.max_decided} decided disagreements: {numbers}"
    if days >= settings.max_days:
        return f"not settled within {settings.max_days:g} days: {numbers}"
    return ""


def _proven(tally: Tally, settings: ExperimentSettings) -> bool:
    return outcome_gate(tally, settings).verdict is Verdict.PASS


def _missing(
    evidence: Evidence, settings: ExperimentSettings, step: Step, gates: tuple[Gate, ...], now: datetime
) -> Iterator[str]:
    """Everything that stands between the challenger and its next step; the first step needs nothing but a free hand."""
    trial = evidence.trial
    if trial.paused:
        yield f"the judge has paused and waits for --resume: {trial.paused}"
    if trial.held_by:
        yield f"{trial.held_by} set the share to {_percent(trial.share_ratio)} by hand; hand it back with --resume"
    if trial.share_ratio <= 0:
        return
    yield from _missing_time(evidence, settings, now)
    for gate in gates:
        if gate.verdict is not Verdict.PASS and gate.name != OUTCOME:
            yield f"{gate.name}: {gate.sentence}"
    yield from _missing_outcome(evidence.tally, settings, step)


def _missing_time(evidence: Evidence, settings: ExperimentSettings, now: datetime) -> Iterator[str]:
    since = evidence.trial.in_force_at
    if since is None:
        share = _percent(evidence.trial.share_ratio)
        yield f"the controller has not put the share of {share} into force yet"
    elif (seconds := (now - since).total_seconds()) < settings.min_step_seconds:
        yield f"the share has stood for {seconds:.0f} of {settings.min_step_seconds:.0f} s"
    if evidence.challenger_answers < settings.min_requests:
        answers = f"{evidence.challenger_answers} of {settings.min_requests} drawn requests"
        yield f"the challenger has answered {answers} at this share"


def _missing_outcome(tally: Tally, settings: ExperimentSettings, step: Step) -> Iterator[str]:
    needed, found = _decided_needed(settings, step), e_value(tally.wins, tally.losses)
    if tally.challenger_mistakes > tally.champion_mistakes:
        # Winning is counted by the picture: many small wins must not outweigh a few disasters.
        mistakes = f"{tally.challenger_mistakes} mistakes against {tally.champion_mistakes}"
        yield f"however many pictures it wins, on all of them together it makes more mistakes than the champion: {mistakes}"
    if tally.decided < needed:
        yield f"{tally.decided} of {needed} disagreements are decided by reviewed pictures"
    if found < step.e_value:
        more = yes_needed(tally.wins, tally.losses, step.e_value)
        guess = f", about {more} more if it goes on like this" if more is not None else ""
        yield f"the e-value is {found:.3g} of {step.e_value:g}{guess}: {describe(tally, settings.alpha_ratio)}"


def _decided_needed(settings: ExperimentSettings, step: Step) -> int:
    return settings.min_decided_promotion if step.share_ratio >= 1 else settings.min_decided


def _required(tally: Tally, settings: ExperimentSettings, step: Step) -> tuple[tuple[str, int], ...]:
    more = yes_needed(tally.wins, tally.losses, step.e_value) or 0
    decided = max(_decided_needed(settings, step), tally.decided + more)
    return (("decided", decided), ("challenger_answers", settings.min_requests))


def _going_on(
    evidence: Evidence, missing: tuple[str, ...], gates: tuple[Gate, ...], required: tuple[tuple[str, int], ...]
) -> Judgement:
    trial = evidence.trial
    state = LedgerState(trial.champion, trial.challenger, trial.share_ratio)
    sentence = f"CONTINUE with {trial.challenger} at {_percent(trial.share_ratio)}: {missing[0]}"
    return Judgement(ExperimentVerdict.CONTINUE, sentence, "", state, gates, missing, required)


def _raised(
    evidence: Evidence,
    settings: ExperimentSettings,
    step: Step,
    gates: tuple[Gate, ...],
    required: tuple[tuple[str, int], ...],
) -> Judgement:
    trial = evidence.trial
    if step.share_ratio >= 1:
        sentence = f"PROMOTE: {trial.challenger} became champion in place of {trial.champion}: {gates[-1].sentence}"
        state = LedgerState(champion=trial.challenger)
        return Judgement(ExperimentVerdict.PROMOTE, sentence, PROMOTE, state, gates, (), required)
    why = "a first look" if trial.share_ratio <= 0 else describe(evidence.tally, settings.alpha_ratio)
    before, after = _percent(trial.share_ratio), _percent(step.share_ratio)
    sentence = f"CONTINUE: {trial.challenger} goes from {before} to {after}: {why}"
    state = LedgerState(trial.champion, trial.challenger, step.share_ratio)
    return Judgement(ExperimentVerdict.CONTINUE, sentence, STEP, state, gates, (), required)


def _percent(ratio: float) -> str:
    return f"{100 * ratio:g} %"
