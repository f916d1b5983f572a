"""How large the challenger's share is: a record in the ledger that whoever serves follows."""

from __future__ import annotations

from dataclasses import dataclass

from belisha.components.shared.errors import InputError
from belisha.components.shared.ledger import Action, Draft, LedgerState, Record
from belisha.components.shared.registry import open_registry


@dataclass(frozen=True, slots=True)
class SplitOutcome:
    """What a change of the shares did: a sentence for people, the state after it, and the ledger's last record."""

    sentence: str
    state: LedgerState
    record: int


def parse_split(text: str) -> float:
    """The challenger's share, 0..1, from `CHAMPION/CHALLENGER` in percent, such as `80/20`; raises InputError."""
    parts = text.split("/")
    try:
        champion, challenger = (float(part) for part in parts)
    except ValueError:
        raise InputError(f"expected CHAMPION/CHALLENGER in percent such as 80/20, got {text!r}") from None
    if not (0 <= champion <= 100 and 0 <= challenger <= 100) or abs(champion + challenger - 100) > 1e-9:
        raise InputError(f"expected two shares of 0..100 percent that sum to 100, got {text!r}")
    return challenger / 100


def traffic_draft(state: LedgerState, challenger_ratio: float, reason: str) -> Draft | None:
    """The record of a new share; None when it is the share already; raises InputError when there is no challenger."""
    if state.champion is None or state.challenger is None:
        raise InputError(
            "there is no challenger to share traffic with: release a model that passes its gates first (`belisha run`)"
        )
    if state.challenger_traffic_ratio == challenger_ratio:
        return None
    after = LedgerState(state.champion, state.challenger, challenger_ratio)
    sentence = _sentence(after)
    recorded = f"{sentence}: {reason}" if reason else sentence
    return Draft(Action.TRAFFIC, state.challenger, recorded, after, details={"asked": reason})


def split_traffic(
    storage_uri: str, challenger_ratio: float, *, reason: str, expect_record: int | None = None
) -> SplitOutcome:
    """Give the challenger this share of the requests, 0..1; a running gateway follows within a second.

    Raises:
        InputError: there is no challenger, or somebody wrote to the ledger since `expect_record`.
        StorageError: the store failed.
    """
    ledger = open_registry(storage_uri, must_exist=True).ledger

    def decide(_: list[Record], state: LedgerState) -> Draft | None:
        return traffic_draft(state, challenger_ratio, reason)

    written = ledger.append(decide, expect_number=expect_record)
    if written is not None:
        return SplitOutcome(_sentence(written.state), written.state, written.number)
    last = ledger.records()[-1]
    return SplitOutcome(f"{_sentence(last.state)} already; nothing was changed", last.state, last.number)


def _sentence(state: LedgerState) -> str:
    challenger = 100 * state.challenger_traffic_ratio
    return f"champion {state.champion} gets {100 - challenger:g} % and challenger {state.challenger} {challenger:g} %"
