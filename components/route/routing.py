"""From a request's facts to the model that answers it: pure, so that gateway and router decide alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from belisha.components.route.policy import Policy, Rule
from belisha.components.shared.hashing import unit_interval


@dataclass(frozen=True, slots=True)
class Caller:
    """What a request says about its sender.

    Attributes:
        request_id: unique to the request.
        client: who asks, empty when unknown.
        camera: what took the picture, empty when unknown.
        wanted: a role or model version asked for by name, empty for none.
    """

    request_id: str
    client: str = ""
    camera: str = ""
    wanted: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """A model that serves now.

    Attributes:
        version: model version.
        role: `champion` or `challenger`.
        traffic_ratio: its share of requests, 0..1.
        size_bytes: of its ONNX file.
    """

    version: str
    role: str
    traffic_ratio: float
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Route:
    """The model that answers, the one that answers for the log alone, and why.

    `drawn` tells requests that the experiment's dice assigned from those that a rule, a choice or a size bound forced: only
    the former may be counted when two models are compared.
    """

    target: Target
    shadow: Target | None
    reason: str
    drawn: bool


@dataclass(frozen=True, slots=True)
class Denied:
    """A refusal, with the sentence that the caller gets."""

    reason: str


def route(policy: Policy, targets: Sequence[Target], caller: Caller, at: datetime) -> Route | Denied:
    """Decide which model answers.

    Args:
        policy: the rules.
        targets: models that serve now, exactly one of them the champion.
        caller: the request's facts.
        at: the moment, timezone-aware, UTC.
    """
    rule = policy.rule_for(client=caller.client, camera=caller.camera, at=at)
    if rule is not None and rule.deny is not None:
        return Denied(rule.deny)
    if caller.wanted:
        return _chosen(rule, targets, caller)
    allowed = _small_enough(policy, targets, caller.camera)
    if not allowed:
        return Denied(f"no model is small enough for camera {caller.camera!r}: release one below its size bound")
    forced = _forced(rule, allowed)
    target = forced or _drawn(policy, allowed, caller)
    drawn = forced is None and len(allowed) == len(targets)
    reason = f"rule {rule.name!r}" if rule and forced else "traffic split" if drawn else "camera size bound"
    return Route(target, _shadow(policy, allowed, target, caller), reason, drawn)


def _chosen(rule: Rule | None, targets: Sequence[Target], caller: Caller) -> Route | Denied:
    if rule is None or not rule.may_choose:
        return Denied(f"client {caller.client!r} may not choose a model: leave the choice to the platform")
    found = next((target for target in targets if caller.wanted in (target.role, target.version)), None)
    if found is None:
        serving = ", ".join(f"{target.role} {target.version}" for target in targets)
        return Denied(f"model {caller.wanted!r} does not serve now: choose one of {serving}")
    return Route(found, None, f"chosen by client, rule {rule.name!r}", drawn=False)


def _small_enough(policy: Policy, targets: Sequence[Target], camera: str) -> list[Target]:
    bound = policy.max_model_bytes(camera)
    return [target for target in targets if bound is None or target.size_bytes <= bound]


def _forced(rule: Rule | None, allowed: Sequence[Target]) -> Target | None:
    """The target of a rule's role; a role that is not there now (no experiment is on) forces nothing."""
    if rule is None or rule.use is None:
        return None
    return next((target for target in allowed if target.role == rule.use), None)


def _drawn(policy: Policy, allowed: Sequence[Target], caller: Caller) -> Target:
    """Draw by weight: the same sticky unit falls on the same target for as long as the weights stand."""
    unit = {"camera": caller.camera, "client": caller.client, "request": ""}[policy.sticky_by] or caller.request_id
    # The challenger owns the low end of the interval, so that raising its share only ever adds units to it.
    ordered = sorted(allowed, key=lambda target: target.role == "champion")
    point = unit_interval(policy.experiment, unit) * sum(target.traffic_ratio for target in ordered)
    for target in ordered[:-1]:
        if point < target.traffic_ratio:
            return target
        point -= target.traffic_ratio
    return ordered[-1]


def _shadow(policy: Policy, allowed: Sequence[Target], answering: Target, caller: Caller) -> Target | None:
    others = [target for target in allowed if target.version != answering.version]
    if not others or unit_interval(f"{policy.experiment}/shadow", caller.request_id) >= policy.shadow_ratio:
        return None
    return others[0]
