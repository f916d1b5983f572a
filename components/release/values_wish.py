"""What a chart's values ask of the ledger: a wish is recorded once, when it differs from the last one of the same source.

So an upgrade that repeats old values changes nothing that people have decided since, and one that asks for something new does.
The wish stands in the record's details, which makes comparing and recording one create-only put.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from belisha.components.release import policy
from belisha.components.release.release import ReleaseOutcome, apply_move
from belisha.components.shared.errors import InputError
from belisha.components.shared.ledger import Action, Draft, LedgerState, Record
from belisha.components.shared.registry import ModelVersion, open_registry

DETAIL = "values"


@dataclass(frozen=True, slots=True)
class Wish:
    """What the values of one installation ask for.

    Attributes:
        source: the installation, such as `helm/ml/belisha`.
        champion: model version that is to be champion; None leaves it.
        challenger: version that the share is meant for; None for whichever it is.
        challenger_percent: its share of requests in whole percent; None leaves it.
    """

    source: str
    champion: str | None = None
    challenger: str | None = None
    challenger_percent: int | None = None

    def to_json(self) -> dict[str, Any]:
        """As it stands in a record's details."""
        return {
            "source": self.source,
            "champion": self.champion,
            "challenger": self.challenger,
            "challenger_percent": self.challenger_percent,
        }


def apply_values(storage_uri: str, wish: Wish, *, revision: int) -> ReleaseOutcome:
    """Record a wish unless it is the last one of its source.

    Args:
        storage_uri: where the registry is.
        wish: what is asked.
        revision: of the installation, for the record.

    Raises:
        InputError: it cannot be met: no such version or challenger, or gates that were not passed. Nothing was written.
        StorageError: the store failed; try again.
    """
    registry = open_registry(storage_uri)
    return apply_move(
        registry, lambda records, state: wish_move(records, state, registry.version, wish, revision=revision)
    )


def wish_move(
    records: Sequence[Record],
    state: LedgerState,
    version_of: Callable[[str], ModelVersion],
    wish: Wish,
    *,
    revision: int,
) -> policy.Move:
    """What is to be recorded of a wish; pure but for looking versions up, which never change."""
    if last_wish(records, wish.source) == wish.to_json():
        return policy.Move(f"{wish.source} asked for this before; what was decided since stays")
    move = _met(state, version_of, wish, f"asked by the values of {wish.source}, revision {revision}")
    draft = move.draft or _as_it_is(state, wish, move.sentence)
    details = {**draft.details, DETAIL: wish.to_json(), "revision": revision}
    return policy.Move(move.sentence, replace(draft, details=details))


def last_wish(records: Sequence[Record], source: str) -> dict[str, Any] | None:
    """The wish that was last recorded of a source."""
    wishes = (record.draft.details.get(DETAIL) for record in reversed(records))
    return next((wish for wish in wishes if isinstance(wish, dict) and wish.get("source") == source), None)


def _met(state: LedgerState, version_of: Callable[[str], ModelVersion], wish: Wish, reason: str) -> policy.Move:
    if wish.champion is not None and wish.champion != state.champion:
        if wish.challenger is not None or wish.challenger_percent is not None:
            raise InputError(
                f"the values make {wish.champion} champion, which ends the trial, and set a challenger's share, too: "
                "do one after the other"
            )
        return policy.promotion(state, version_of(wish.champion), reason, force=False)
    if wish.challenger not in (None, state.challenger):
        raise InputError(
            f"the values give traffic to {wish.challenger}, but {state.challenger or 'nobody'} is challenger now: "
            "correct release.challenger.version, or compare and release that version again"
        )
    if wish.challenger_percent is None:
        return policy.Move(f"champion {state.champion} and challenger {state.challenger} are as the values ask")
    return _shared(state, wish.challenger_percent, reason)


def _shared(state: LedgerState, percent: int, reason: str) -> policy.Move:
    if state.champion is None or state.challenger is None:
        if percent == 0:
            return policy.Move("there is no challenger, and the values give it no traffic")
        raise InputError(
            f"the values give {percent} % to a challenger and there is none: release a model that passes its gates first"
        )
    after = LedgerState(state.champion, state.challenger, percent / 100)
    sentence = f"champion {state.champion} gets {100 - percent} % and challenger {state.challenger} {percent} %"
    if after == state:
        return policy.Move(f"{sentence} already")
    return policy.Move(sentence, Draft(Action.TRAFFIC, state.challenger, f"{sentence}: {reason}", after))


def _as_it_is(state: LedgerState, wish: Wish, sentence: str) -> Draft:
    """A record of a wish that changes nothing: without it, a later repetition would look new and undo what came between."""
    action = Action.PROMOTE if wish.challenger_percent is None and wish.champion else Action.TRAFFIC
    return Draft(action, state.challenger or state.champion or "", f"{sentence}: noted for {wish.source}", state)
