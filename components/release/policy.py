"""Who serves after a release, a promotion or a rollback: pure functions from the ledger's records to the next record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from belisha.components.shared.errors import InputError
from belisha.components.shared.ledger import Action, Draft, LedgerState, Record
from belisha.components.shared.registry import ModelVersion
from belisha.components.shared.verdict import Verdict

_OUTCOMES = (Action.PROMOTE, Action.CHALLENGE, Action.REFUSE)


@dataclass(frozen=True, slots=True)
class Move:
    """What is to be recorded, and the sentence for whoever asked; no draft when there is nothing to do."""

    sentence: str
    draft: Draft | None = None


def registration(records: Sequence[Record], state: LedgerState, version: ModelVersion) -> Draft | None:
    """The record that a version exists; None when it is there already."""
    if any(record.draft.action is Action.REGISTER and record.draft.subject == version.version for record in records):
        return None
    reason = f"{version.version} was registered by run {version.run_id or '(none)'}: {version.verdict}"
    return _draft(Action.REGISTER, version, reason, state)


def outcome(records: Sequence[Record], state: LedgerState, version: ModelVersion) -> Draft | None:
    """The record of what a newly released version becomes; None when that was decided before."""
    if any(_is_outcome_of(record, version) for record in records):
        return None
    if version.verdict != Verdict.PASS:
        reason = f"{version.version} was refused: {_finding(version)}"
        return _draft(Action.REFUSE, version, reason, state)
    if version.version in (state.champion, state.challenger):
        return None
    if version.champion != (state.champion or ""):
        return _draft(Action.REFUSE, version, _stale_sentence(version, state), state)
    if state.champion is None:
        reason = f"{version.version} became champion, the first one: {version.sentence}"
        return _draft(Action.PROMOTE, version, reason, LedgerState(champion=version.version))
    replaced = f" in place of {state.challenger}" if state.challenger else ""
    reason = f"{version.version} became challenger of {state.champion}{replaced}, without traffic: {version.sentence}"
    return _draft(Action.CHALLENGE, version, reason, LedgerState(state.champion, version.version, 0.0))


def promotion(state: LedgerState, version: ModelVersion, reason: str, *, force: bool) -> Move:
    """Make a version champion; raises InputError when its decision does not allow it and `force` does not either."""
    name = version.version
    if state.champion == name:
        return Move(f"{name} is the champion already; nothing was changed")
    if version.verdict != Verdict.PASS and not force:
        raise InputError(
            f"{name} did not pass its gates ({_finding(version)}); "
            "promote it with --force and --reason if you know better"
        )
    if force and not reason:
        raise InputError(f"forcing {name} past its gates needs a reason for the record: add --reason")
    before = f"{state.champion} was champion before" if state.champion else "there was no champion before"
    ended = f", and the trial of {state.challenger} ended" if state.challenger not in (None, name) else ""
    forced = " against its gates" if version.verdict != Verdict.PASS else ""
    sentence = f"{name} became champion{forced}; {before}{ended}"
    return _move(Action.PROMOTE, name, sentence, reason, LedgerState(champion=name), version.decision_digest)


def share(state: LedgerState, challenger_traffic_ratio: float, reason: str) -> Move:
    """Give the challenger a share of requests, 0..1; raises InputError when there is none."""
    if state.challenger is None:
        raise InputError(
            f"there is no challenger beside {state.champion or 'nobody'} to share requests with: release a model first"
        )
    if not 0 <= challenger_traffic_ratio <= 1:
        raise InputError(f"the challenger's share is {challenger_traffic_ratio}, expected 0 to 1")
    if state.challenger_traffic_ratio == challenger_traffic_ratio:
        return Move(f"{state.challenger} has {challenger_traffic_ratio:.0%} of requests already; nothing was changed")
    sentence = (
        f"{state.challenger} answers {challenger_traffic_ratio:.0%} of requests, "
        f"{state.champion} the rest; it was {state.challenger_traffic_ratio:.0%} before"
    )
    after = LedgerState(state.champion, state.challenger, challenger_traffic_ratio)
    return _move(Action.TRAFFIC, state.challenger, sentence, reason, after)


def rollback(records: Sequence[Record], state: LedgerState, reason: str) -> Move:
    """End the challenger's trial if there is one, else restore the champion before; raises InputError when there is none."""
    if state.challenger is not None:
        sentence = f"the trial of {state.challenger} ended; {state.champion or 'nobody'} stays champion"
        return _move(Action.ROLLBACK, state.challenger, sentence, reason, LedgerState(champion=state.champion))
    if state.champion is None:
        raise InputError("there is no champion and no challenger to roll back: release a model first")
    before = champions_before(records)
    if not before:
        raise InputError(f"{state.champion} is the first champion: there is none to go back to")
    sentence = f"{before[-1]} is champion again; {state.champion} was withdrawn"
    return _move(Action.ROLLBACK, state.champion, sentence, reason, LedgerState(champion=before[-1]))


def _finding(version: ModelVersion) -> str:
    """Verdict and reason, the verdict once: a comparison's own sentence begins with it."""
    if version.sentence.startswith(version.verdict):
        return version.sentence
    return f"{version.verdict}: {version.sentence}" if version.sentence else version.verdict


def champions_before(records: Sequence[Record]) -> list[str]:
    """Champions that a rollback could restore, the next one last: those withdrawn by a rollback are not among them."""
    stack: list[str] = []
    for record in records:
        champion = record.state.champion
        if champion is None or (stack and stack[-1] == champion):
            continue
        if record.draft.action is Action.ROLLBACK and champion in stack:
            del stack[stack.index(champion) + 1 :]
        else:
            stack = [*(name for name in stack if name != champion), champion]
    return stack[:-1]


def _is_outcome_of(record: Record, version: ModelVersion) -> bool:
    draft = record.draft
    return draft.action in _OUTCOMES and draft.subject == version.version and draft.run_id == version.run_id


def _stale_sentence(version: ModelVersion, state: LedgerState) -> str:
    compared = version.champion or "no champion"
    return (
        f"{version.version} was refused: it was compared with {compared} but {state.champion or 'nobody'} is champion now; "
        "compare it again"
    )


def _draft(action: Action, version: ModelVersion, reason: str, state: LedgerState) -> Draft:
    details = {"model_digest": version.model_digest, "verdict": version.verdict}
    return Draft(action, version.version, reason, state, version.decision_digest, version.run_id, details)


def _move(
    action: Action, subject: str, sentence: str, reason: str, state: LedgerState, evidence_digest: str = ""
) -> Move:
    recorded = f"{sentence}: {reason}" if reason else sentence
    return Move(sentence, Draft(action, subject, recorded, state, evidence_digest, details={"asked": reason}))
