"""Which models may answer in place of one that fails: pure, and bound by the same policy as the first choice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from belisha.components.route.policy import Policy
from belisha.components.route.routing import Caller, Target


def stand_ins(policy: Policy, targets: Sequence[Target], caller: Caller, chosen: Target, at: datetime) -> list[Target]:
    """Models that may answer a request when `chosen` does not, the best first and `chosen` itself last.

    The champion may stand in for anybody; the challenger only where no rule keeps the caller with the champion. Nobody
    stands in for a model that the caller asked for by name, and no model above a camera's size bound ever does.

    Args:
        policy: the rules.
        targets: models that serve now.
        caller: the request's facts.
        chosen: what `route` chose for it.
        at: the moment, timezone-aware, UTC.
    """
    if caller.wanted:
        return [chosen]
    rule = policy.rule_for(client=caller.client, camera=caller.camera, at=at)
    bound = policy.max_model_bytes(caller.camera)
    champion_only = rule is not None and rule.use == "champion"
    others = [
        target
        for target in targets
        if target.version != chosen.version
        and (bound is None or target.size_bytes <= bound)
        and (target.role == "champion" or not champion_only)
    ]
    return [*sorted(others, key=lambda target: target.role != "champion"), chosen]
