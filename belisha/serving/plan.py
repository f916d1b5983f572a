"""From the ledger's state and the predictors that are ready to who serves now: pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from belisha.components.shared.ledger import LedgerState


@dataclass(frozen=True, slots=True)
class Share:
    """A model version with the role and the share of requests, 0..1, that it has now."""

    version: str
    role: str
    traffic_ratio: float


def wanted_versions(state: LedgerState) -> tuple[str, ...]:
    """Versions that must have a predictor, the champion first."""
    return tuple(dict.fromkeys(version for version in (state.champion, state.challenger) if version is not None))


def shares(state: LedgerState, ready: Collection[str], before: Sequence[Share]) -> tuple[Share, ...]:
    """Who serves now, the champion first.

    A version gets requests only once its predictor is ready. Until the champion's is, the one before goes on alone, so that no
    promotion and no rollback leaves a gap.

    Args:
        state: the ledger's last.
        ready: versions whose predictor has answered that it is ready, even if it was lost since and is being started again.
        before: what served until now.
    """
    if state.champion is None:
        return ()
    if state.champion not in ready:
        return _until_ready(ready, before)
    if state.challenger is None or state.challenger not in ready:
        return (Share(state.champion, "champion", 1.0),)
    ratio = state.challenger_traffic_ratio
    return (Share(state.champion, "champion", 1.0 - ratio), Share(state.challenger, "challenger", ratio))


def _until_ready(ready: Collection[str], before: Sequence[Share]) -> tuple[Share, ...]:
    champion = next((share.version for share in before if share.role == "champion"), None)
    if champion is None or champion not in ready:
        return ()
    return (Share(champion, "champion", 1.0),)
