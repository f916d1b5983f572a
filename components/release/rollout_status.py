"""How a release stands, as gates and one verdict, the worst of theirs: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from belisha.components.release.cluster_state import ClusterState, wanted_weights
from belisha.components.release.controller import Look
from belisha.components.release.rollout import Stage
from belisha.components.shared.verdict import Gate, Verdict, worst


@dataclass(frozen=True, slots=True)
class RolloutStatus:
    """How a release stands.

    Attributes:
        verdict: the worst of the blocking gates'.
        sentence: the worst gate's, or what is served when all is well.
        gates: what was looked at.
    """

    verdict: Verdict
    sentence: str
    gates: tuple[Gate, ...]


def status_of(look: Look, *more: Gate) -> RolloutStatus:
    """How a release stands after a look; `more` are gates of other origin, such as the realised split."""
    gates = (_layout_gate(look), *_ready_gates(look.cluster), *_mesh_gates(look.cluster), *more, *_leftover_gates(look))
    return summed_up(gates, look.step.sentence)


def summed_up(gates: Sequence[Gate], all_well: str) -> RolloutStatus:
    """The worst of the blocking gates, with its sentence; `all_well` when they all pass."""
    blocking = [gate for gate in gates if gate.blocking]
    verdict = worst(gate.verdict for gate in blocking)
    if verdict is Verdict.PASS:
        return RolloutStatus(verdict, all_well, tuple(gates))
    told = [gate.sentence for gate in blocking if gate.verdict is verdict]
    return RolloutStatus(verdict, "; ".join(dict.fromkeys(told)), tuple(gates))


def _layout_gate(look: Look) -> Gate:
    """Whether the object is what the ledger asks for."""
    if not look.wanted:
        return Gate("layout", Verdict.INCONCLUSIVE, look.step.sentence)
    if look.step.stage is Stage.DONE:
        return Gate("layout", Verdict.PASS, f"the object has what record {look.target.number} asks for")
    doing = "next" if look.step.stage is Stage.WRITE else "waiting"
    return Gate("layout", Verdict.INCONCLUSIVE, f"{doing}: {look.step.sentence}")


def _ready_gates(cluster: ClusterState) -> list[Gate]:
    return [_ready_gate(cluster, str(one.get("name")), ready=cluster.is_ready(one)) for one in cluster.predictors]


def _ready_gate(cluster: ClusterState, name: str, *, ready: bool) -> Gate:
    workloads = [one for one in cluster.workloads if one.predictor == name]
    have, want = sum(one.ready_replicas for one in workloads), sum(one.replicas for one in workloads)
    counted = f"{have} of {want} replicas of {name} are ready" if workloads else f"{name} has no Deployment yet"
    if ready:
        return Gate(f"ready_{name}", Verdict.PASS, counted, have, want)
    trouble = cluster.pod_troubles.get(name) or "; ".join(one.trouble for one in workloads if one.trouble)
    verdict = Verdict.FAIL if trouble else Verdict.INCONCLUSIVE
    return Gate(f"ready_{name}", verdict, f"{counted}: {trouble}" if trouble else counted, have, want)


def _mesh_gates(cluster: ClusterState) -> list[Gate]:
    if cluster.body is None:
        return []
    mesh, wanted = cluster.mesh, wanted_weights(cluster.predictors)
    if not mesh.kind:
        sentence = "the cluster has neither Istio nor Ambassador: nobody splits requests"
        verdict = Verdict.PASS if len(wanted) == 1 else Verdict.FAIL
        return [Gate("mesh", verdict, sentence)]
    if mesh.weights is None:
        return [Gate("mesh", Verdict.INCONCLUSIVE, f"there is no {mesh.kind} yet: no request gets through the mesh")]
    have, want = _shares(mesh.weights), _shares(wanted)
    if cluster.is_settled():
        return [Gate("mesh", Verdict.PASS, f"the {mesh.kind} sends {have}")]
    return [Gate("mesh", Verdict.INCONCLUSIVE, f"the {mesh.kind} still sends {have}, {want} is asked for")]


def _leftover_gates(look: Look) -> list[Gate]:
    """Seldon's operator forgets a Deployment that never had a pod; it goes on holding what it reserves."""
    names = look.cluster.leftovers()
    if not names or look.step.stage is not Stage.DONE:
        return []
    sentence = f"Deployments of predictors that are gone still stand: {', '.join(names)}; delete them if they stay"
    return [Gate("leftovers", Verdict.INCONCLUSIVE, sentence, len(names), 0, blocking=False)]


def _shares(weights: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {weight} %" for name, weight in weights.items())
