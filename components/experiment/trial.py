"""The experiment as the ledger tells it: who is on trial since when, how its share moved, and who moved it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from belisha.components.shared.ledger import Action, Record
from belisha.components.shared.verdict import Verdict

# What a record of the judge says of itself, under this key of its details.
EVENT = "event"
STEP, PROMOTE, STOP, PAUSE, RESUME = "step", "promote", "stop", "pause", "resume"


@dataclass(frozen=True, slots=True)
class ShareStep:
    """A record at which the challenger's share became what it says."""

    record: int
    at: datetime
    share_ratio: float
    actor: str
    by_judge: bool


@dataclass(frozen=True, slots=True)
class Trial:
    """One champion and one challenger, without a gap.

    Attributes:
        champion: model version.
        challenger: model version.
        begin_record: number of the record with which the evidence begins: the challenge, or a resumption after an invalid test.
        begun_at: its time.
        steps: every change of the share since then, the beginning included; never empty.
        last_record: number of the ledger's last record when it was read.
        last_event_record: of the last record of the judge or of a change of the share; what a decision stands on.
        in_force_at: since when requests are shared like that: at once where a gateway follows the ledger; where a controller
            puts the ledger into force (it records that it did), when it was done, and None until then.
        held_by: who set the share by hand, when nobody has resumed since; empty otherwise.
        paused: why the judge itself took the share to 0, when nobody has resumed since; empty otherwise.
    """

    champion: str
    challenger: str
    begin_record: int
    begun_at: datetime
    steps: tuple[ShareStep, ...]
    last_record: int
    last_event_record: int
    in_force_at: datetime | None
    held_by: str = ""
    paused: str = ""

    @property
    def name(self) -> str:
        """Its name in paths: champion, challenger and the record with which it begins."""
        return f"{self.champion}-{self.challenger}-{self.begin_record:08d}"

    @property
    def share_ratio(self) -> float:
        """The challenger's share now, 0..1."""
        return self.steps[-1].share_ratio


def trial_of(records: Sequence[Record]) -> Trial | None:
    """The experiment that is on after the last record; None where there is no challenger."""
    last = records[-1].state if records else None
    if last is None or last.champion is None or last.challenger is None:
        return None
    own = _contiguous(records)
    own = own[_fresh_start(own) :]
    steps = _share_steps(own)
    events = [record for record in own[1:] if record.draft.action is Action.EXPERIMENT]
    held, paused = _hold(steps, events)
    return Trial(
        champion=last.champion,
        challenger=last.challenger,
        begin_record=own[0].number,
        begun_at=own[0].at,
        steps=steps,
        last_record=records[-1].number,
        last_event_record=max(steps[-1].record, *(record.number for record in events), own[0].number),
        in_force_at=_in_force_at(records, steps[-1]),
        held_by=held,
        paused=paused,
    )


def _contiguous(records: Sequence[Record]) -> list[Record]:
    """The records since the present pair came together."""
    last, found = records[-1].state, []
    for record in reversed(records):
        if (record.state.champion, record.state.challenger) != (last.champion, last.challenger):
            break
        found.append(record)
    return found[::-1]


def _fresh_start(own: Sequence[Record]) -> int:
    """Index of the last resumption that followed an invalid test, whose evidence does not count any more; else 0."""
    begin, paused = 0, False
    for index, record in enumerate(own):
        event = _event(record)
        if event == RESUME and paused:
            begin = index
        paused = event == PAUSE or (paused and event != RESUME)
    return begin


def _share_steps(own: Sequence[Record]) -> tuple[ShareStep, ...]:
    steps: list[ShareStep] = []
    for record in own:
        ratio = record.state.challenger_traffic_ratio
        if not steps or ratio != steps[-1].share_ratio:
            by_judge = record.draft.action is not Action.TRAFFIC
            steps.append(ShareStep(record.number, record.at, ratio, record.actor, by_judge))
    return tuple(steps)


def _in_force_at(records: Sequence[Record], step: ShareStep) -> datetime | None:
    applied = [record for record in records if record.draft.action is Action.APPLY]
    if not applied:
        return step.at
    return next((record.at for record in applied if _puts_into_force(record, step)), None)


def _puts_into_force(record: Record, step: ShareStep) -> bool:
    applies, verdict = (record.draft.details.get(name) for name in ("applies", "verdict"))
    return (
        record.number > step.record and isinstance(applies, int) and applies >= step.record and verdict == Verdict.PASS
    )


def _hold(steps: Sequence[ShareStep], events: Sequence[Record]) -> tuple[str, str]:
    """Who holds the share by hand, and why the judge has paused; the later of the two holds, and a resumption ends both."""
    last_event = events[-1] if events else None
    by_hand = [step for step in steps if not step.by_judge]
    if by_hand and (last_event is None or by_hand[-1].record > last_event.number):
        return by_hand[-1].actor, ""
    if last_event is not None and _event(last_event) == PAUSE:
        return "", last_event.draft.reason
    return "", ""


def _event(record: Record) -> str:
    return str(record.draft.details.get(EVENT, "")) if record.draft.action is Action.EXPERIMENT else ""
