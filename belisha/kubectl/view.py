"""View models: what a command shows, built here alone, printed elsewhere."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from belisha.components.release.cluster_state import ClusterState
from belisha.components.release.controller import Look
from belisha.components.release.rollout_status import status_of
from belisha.components.release.seldon_deployment import predictor_name
from belisha.components.shared.ledger import Action, Record


@dataclass(frozen=True, slots=True)
class PredictorView:
    """One predictor: what is wanted of it, and what it does."""

    name: str
    version: str
    role: str
    wanted_percent: int | None
    mesh_percent: int | None
    ready_replicas: int
    replicas: int
    trouble: str


@dataclass(frozen=True, slots=True)
class GateView:
    """One thing that was looked at."""

    name: str
    verdict: str
    sentence: str


@dataclass(frozen=True, slots=True)
class StatusView:
    """How a release stands."""

    namespace: str
    deployment: str
    verdict: str
    sentence: str
    champion: str | None
    challenger: str | None
    challenger_traffic_ratio: float
    record: int
    applied: str
    predictors: tuple[PredictorView, ...] = ()
    gates: tuple[GateView, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class RecordView:
    """One record of the ledger."""

    number: int
    at: str
    actor: str
    action: str
    subject: str
    champion: str | None
    challenger: str | None
    challenger_traffic_ratio: float
    reason: str

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


def status_view(look: Look, namespace: str, name: str) -> StatusView:
    """How a release stands after a look."""
    status, state = status_of(look), look.target.state
    return StatusView(
        namespace=namespace,
        deployment=name,
        verdict=status.verdict.value,
        sentence=status.sentence,
        champion=state.champion,
        challenger=state.challenger,
        challenger_traffic_ratio=state.challenger_traffic_ratio,
        record=look.target.number,
        applied=_applied(look.target.records, look.target.number),
        predictors=_predictors(look),
        gates=tuple(GateView(gate.name, gate.verdict.value, gate.sentence) for gate in status.gates),
    )


def record_view(record: Record) -> RecordView:
    """One record of the ledger."""
    draft, state = record.draft, record.state
    return RecordView(
        number=record.number,
        at=_minute(record.at),
        actor=record.actor,
        action=draft.action.value,
        subject=draft.subject if len(draft.subject) <= 16 else f"{draft.subject[:12]}…",
        champion=state.champion,
        challenger=state.challenger,
        challenger_traffic_ratio=state.challenger_traffic_ratio,
        reason=draft.reason,
    )


def _applied(records: Any, number: int) -> str:
    """What the controller last said of the present state."""
    for record in reversed(records):
        if record.draft.action is Action.APPLY and record.draft.details.get("applies") == number:
            return f"{record.draft.details.get('verdict')} at {_minute(record.at)} by {record.actor}"
    return "not yet"


def _predictors(look: Look) -> tuple[PredictorView, ...]:
    wanted = {predictor_name(one.version): one for one in look.wanted}
    standing = [str(one.get("name")) for one in look.cluster.predictors]
    names = [*standing, *(name for name in wanted if name not in standing)]
    found = []
    for name in names:
        placement = wanted.get(name)
        version = placement.version if placement else name.partition("-")[2]
        role = placement.role if placement else "leaving"
        percent = None if placement is None else placement.traffic_percent
        found.append(_predictor(look.cluster, name, version, role, percent))
    return tuple(found)


def _predictor(cluster: ClusterState, name: str, version: str, role: str, percent: int | None) -> PredictorView:
    workloads = [one for one in cluster.workloads if one.predictor == name]
    trouble = cluster.pod_troubles.get(name) or "; ".join(one.trouble for one in workloads if one.trouble)
    return PredictorView(
        name=name,
        version=version,
        role=role,
        wanted_percent=percent,
        mesh_percent=None if cluster.mesh.weights is None else cluster.mesh.weights.get(name),
        ready_replicas=sum(one.ready_replicas for one in workloads),
        replicas=sum(one.replicas for one in workloads),
        trouble=trouble,
    )


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"
