"""The SeldonDeployment that a ledger's state asks for: pure, and the only place in Python where one is put together.

Predictors are named by model version, so that a promotion moves traffic and restarts nothing, and role, run and record stand in
`metadata.annotations` alone: Seldon's operator writes labels, annotations and parameters of a predictor into its pods, so a
change of any of them restarts them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from belisha.components.release.release_template import VERSION_TOKEN, Mode, Node, ReleaseTemplate
from belisha.components.shared.errors import InputError
from belisha.components.shared.ledger import LedgerState

ANNOTATION_PREFIX = "belisha.dev/"
_PREDICTOR_PREFIX, _ROUTED_PREFIX = "y-", "r-"


@dataclass(frozen=True, slots=True)
class Placement:
    """A model version that is to run.

    Attributes:
        version: model version.
        role: `champion`, `challenger`, or `draining` for one that only finishes what it began.
        traffic_percent: its share of requests; for a shadow, the share that it sees a copy of.
        shadow: it sees copies and answers nobody.
        size_bytes: of its ONNX file, for a router's policy; 0 when it is not known.
    """

    version: str
    role: str
    traffic_percent: int
    shadow: bool = False
    size_bytes: int = 0


def predictor_name(version: str) -> str:
    """Name of the predictor that runs a version behind the mesh's split, such as `y-v7`."""
    return f"{_PREDICTOR_PREFIX}{version}"


def traffic_percent(ratio: float) -> int:
    """A share, 0..1, in whole percent, which is all that Seldon takes; one that is neither nothing nor all stays so."""
    if not 0 <= ratio <= 1:
        raise InputError(f"a share of requests is {ratio}, expected 0 to 1: correct the ledger with `belisha split`")
    return round(100 * ratio) if ratio in (0, 1) else min(99, max(1, round(100 * ratio)))


def placements(state: LedgerState, template: ReleaseTemplate, *, draining: Sequence[str] = ()) -> tuple[Placement, ...]:
    """Who is to run under a state, the champion first; nobody before the first release.

    Args:
        state: the ledger's.
        template: says whether a challenger without traffic sees copies of requests.
        draining: versions that go on without traffic for now.
    """
    if state.champion is None:
        return ()
    kept = tuple(Placement(version, "draining", 0) for version in draining if version not in _versions(state))
    if state.challenger is None or state.challenger == state.champion:
        return (Placement(state.champion, "champion", 100), *kept)
    percent = traffic_percent(state.challenger_traffic_ratio)
    if percent == 0 and template.shadow_percent and template.mode is Mode.SPLIT:
        challenger = Placement(state.challenger, "challenger", template.shadow_percent, shadow=True)
        return (Placement(state.champion, "champion", 100), challenger, *kept)
    return (
        Placement(state.champion, "champion", 100 - percent),
        Placement(state.challenger, "challenger", percent),
        *kept,
    )


def seldon_deployment(
    wanted: Sequence[Placement],
    template: ReleaseTemplate,
    *,
    record_number: int | None = None,
    run_ids: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The whole object, ready to be applied.

    Args:
        wanted: who is to run, the champion first: `status.address` of the object is the first predictor's.
        template: the shape.
        record_number: of the ledger record that asks for it; stands in an annotation.
        run_ids: run by model version; stand in an annotation.

    Raises:
        InputError: nobody is to run, or the shares break the rules that Seldon's webhook has or should have.
    """
    check_placements(wanted)
    predictors = (
        [_routed(wanted, template)] if template.mode is Mode.ROUTER else [_alone(one, template) for one in wanted]
    )
    metadata = dict(template.body["metadata"])
    added = _annotations(wanted, template, record_number, run_ids or {})
    metadata["annotations"] = {**metadata.get("annotations", {}), **added}
    spec = {**template.body.get("spec", {}), "predictors": predictors}
    return {**template.body, "metadata": metadata, "spec": spec}


def check_placements(wanted: Sequence[Placement]) -> None:
    """Raise InputError unless the shares are 0..100 and sum to 100, versions are different, and at most one is a shadow."""
    answering = [one for one in wanted if not one.shadow]
    if not answering:
        raise InputError("nobody is to answer requests: release a model first (`belisha run`)")
    if (
        any(not 0 <= one.traffic_percent <= 100 for one in wanted)
        or sum(one.traffic_percent for one in answering) != 100
    ):
        shares = ", ".join(f"{one.version} {one.traffic_percent} %" for one in wanted)
        raise InputError(f"the shares {shares} are not of 0..100 percent that sum to 100: correct the ledger")
    if len({one.version for one in wanted}) != len(wanted):
        raise InputError("a model version is to run twice: champion and challenger must differ")
    if len(wanted) - len(answering) > 1:
        raise InputError("two predictors are to be shadows, and Seldon takes one: keep one challenger")


def _versions(state: LedgerState) -> tuple[str | None, ...]:
    return (state.champion, state.challenger)


def _alone(one: Placement, template: ReleaseTemplate) -> dict[str, Any]:
    """One version behind the mesh's split."""
    detector = _of_version(template.detector, one.version)
    predictor = {
        **_filled(template.predictor, one.version),
        "name": predictor_name(one.version),
        "traffic": one.traffic_percent,
        "graph": {**detector.graph, "children": []},
        "componentSpecs": [detector.component],
    }
    return {**predictor, "shadow": True} if one.shadow else predictor


def _routed(wanted: Sequence[Placement], template: ReleaseTemplate) -> dict[str, Any]:
    """All versions behind one router, which reads their shares from the ledger itself; draining ones are left out."""
    router = template.router
    if router is None:
        raise InputError("the release template has no router: render it with router mode on")
    serving = [one for one in wanted if one.role != "draining"]
    name = "-".join(one.version for one in serving)
    detectors = [_of_version(template.detector, one.version) for one in serving]
    parameters = [*router.graph.get("parameters", []), *_children_parameters(serving)]
    graph = {**router.graph, "parameters": parameters, "children": [{**one.graph, "children": []} for one in detectors]}
    return {
        **_filled(template.predictor, name),
        "name": f"{_ROUTED_PREFIX}{name}",
        "traffic": 100,
        "graph": graph,
        "componentSpecs": [router.component, *(one.component for one in detectors)],
    }


def _children_parameters(serving: Sequence[Placement]) -> list[dict[str, str]]:
    children = {"name": "children", "value": ",".join(one.version for one in serving), "type": "STRING"}
    if not all(one.size_bytes for one in serving):
        return [children]
    sizes = ",".join(str(one.size_bytes) for one in serving)
    return [children, {"name": "children_bytes", "value": sizes, "type": "STRING"}]


def _annotations(
    wanted: Sequence[Placement], template: ReleaseTemplate, record_number: int | None, run_ids: Mapping[str, str]
) -> dict[str, str]:
    by_role = {one.role: one.version for one in wanted if one.role != "draining"}
    found = {
        **by_role,
        "release-template": template.digest[:16],
        "ledger-record": "" if record_number is None else str(record_number),
        "run-ids": json.dumps(dict(run_ids), sort_keys=True) if run_ids else "",
    }
    return {f"{ANNOTATION_PREFIX}{name}": text for name, text in found.items() if text}


def _of_version(node: Node, version: str) -> Node:
    return Node(_filled(node.graph, version), _filled(node.component, version))


def _filled(value: dict[str, Any], version: str) -> dict[str, Any]:
    """A deep copy with the version in the token's place."""
    filled: dict[str, Any] = json.loads(json.dumps(value).replace(VERSION_TOKEN, version))
    return filled
