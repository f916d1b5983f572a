"""What the cluster says of a SeldonDeployment, read from the objects' JSON: predictors, their readiness, the mesh's weights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from belisha.components.release.rollout import Present
from belisha.components.release.seldon_deployment import ANNOTATION_PREFIX, predictor_name

RECORD_ANNOTATION = f"{ANNOTATION_PREFIX}ledger-record"
TEMPLATE_ANNOTATION = f"{ANNOTATION_PREFIX}release-template"
DEPLOYMENT_LABEL = "seldon-deployment-id"
_SERVICE_LABEL, _WORKLOAD_LABEL = "seldon-app", "app"
_SHADOW_LABEL = "seldon.io/shadow"
_COMPARED = ("image", "command", "args", "startupProbe", "readinessProbe", "livenessProbe")
_VERSION_PREFIX = predictor_name("")

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment below the SeldonDeployment.

    Attributes:
        name: of the Deployment.
        predictor: that it belongs to.
        ready: whether the newest pod template runs on every replica that is wanted, and nothing is unavailable.
        ready_replicas: how many are.
        replicas: how many are wanted.
        containers: of its pods by name, init containers too, as the Deployment has them.
        labels: of its pods.
        trouble: what its conditions complain of; empty when they don't.
    """

    name: str
    predictor: str
    ready: bool
    ready_replicas: int
    replicas: int
    containers: Mapping[str, Json] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Mesh:
    """What splits the requests.

    Attributes:
        kind: `VirtualService` or `Mapping`; empty when the cluster knows neither kind.
        weights: percent by predictor; None while the object is not there yet.
        agrees: whether all its routes have the same weights.
    """

    kind: str = ""
    weights: Mapping[str, int] | None = None
    agrees: bool = True


@dataclass(frozen=True, slots=True)
class ClusterState:
    """One look at the cluster.

    Attributes:
        body: the SeldonDeployment; None when there is none.
        workloads: the Deployments below it.
        mesh: what splits the requests.
        pod_troubles: what holds pods up, by predictor, in words.
    """

    body: Json | None
    workloads: Sequence[Workload] = ()
    mesh: Mesh = Mesh()
    pod_troubles: Mapping[str, str] = field(default_factory=dict)

    @property
    def predictors(self) -> list[Json]:
        """Predictors of the object, in its order."""
        return list(((self.body or {}).get("spec") or {}).get("predictors") or [])

    @property
    def resource_version(self) -> str:
        """Version of the object, for a write that must meet no other's; empty when there is none."""
        return str(_metadata(self.body).get("resourceVersion", ""))

    @property
    def record_number(self) -> int:
        """The newest ledger record that the object was written for; 0 when it says none."""
        text = str((_metadata(self.body).get("annotations") or {}).get(RECORD_ANNOTATION, "0"))
        return int(text) if text.isdigit() else 0

    @property
    def is_ours(self) -> bool:
        """Whether the object was written by a release controller."""
        return TEMPLATE_ANNOTATION in (_metadata(self.body).get("annotations") or {})

    def present(self) -> tuple[Present, ...] | None:
        """The predictors as model versions; None when one of them is of another make, such as a router."""
        found = []
        for predictor in self.predictors:
            name = str(predictor.get("name", ""))
            if not name.startswith(_VERSION_PREFIX):
                return None
            percent = int(predictor.get("traffic") or (100 if len(self.predictors) == 1 else 0))
            shadow = bool(predictor.get("shadow"))
            found.append(Present(name.removeprefix(_VERSION_PREFIX), percent, shadow, self.is_ready(predictor)))
        return tuple(found)

    def is_ready(self, predictor: Json) -> bool:
        """Whether every Deployment of a predictor is ready, with the containers that the object asks for.

        The object's status does not say which of its generations it is about, so a Deployment that the operator has yet to
        change would look ready without that.
        """
        workloads = [one for one in self.workloads if one.predictor == str(predictor.get("name"))]
        components = predictor.get("componentSpecs") or []
        up_to_date = all(any(_runs_all(one, component) for one in workloads) for component in components)
        as_shadow = all((one.labels.get(_SHADOW_LABEL) == "true") == bool(predictor.get("shadow")) for one in workloads)
        return bool(workloads) and up_to_date and as_shadow and all(one.ready for one in workloads)

    def is_settled(self) -> bool:
        """Whether the mesh has the weights that the object has; true where there is no mesh to ask."""
        if not self.mesh.kind:
            return True
        wanted = wanted_weights(self.predictors)
        return self.mesh.agrees and self.mesh.weights is not None and _without_zeros(self.mesh.weights) == wanted

    def leftovers(self) -> list[str]:
        """Deployments of predictors that the object no longer has."""
        names = {str(one.get("name")) for one in self.predictors}
        return sorted(one.name for one in self.workloads if one.predictor not in names)


def wanted_weights(predictors: Sequence[Json]) -> dict[str, int]:
    """Percent by predictor that the mesh is to have, without zeros and shadows."""
    answering = [one for one in predictors if not one.get("shadow")]
    if len(answering) == 1:
        return {str(answering[0]["name"]): 100}
    return _without_zeros({str(one["name"]): int(one.get("traffic") or 0) for one in answering})


def workload_of(deployment: Json, owner: str) -> Workload:
    """Read a Deployment below the SeldonDeployment `owner`."""
    spec, status = deployment.get("spec") or {}, deployment.get("status") or {}
    replicas = int(spec.get("replicas", 1))
    ready_replicas = int(status.get("readyReplicas") or 0)
    seen = int(status.get("observedGeneration") or 0) >= int(_metadata(deployment).get("generation") or 0)
    updated = int(status.get("updatedReplicas") or 0) >= replicas
    template = spec.get("template") or {}
    ready = seen and updated and ready_replicas >= max(1, replicas) and not status.get("unavailableReplicas")
    return Workload(
        name=str(_metadata(deployment).get("name", "")),
        predictor=_predictor_of(template, owner),
        ready=ready,
        ready_replicas=ready_replicas,
        replicas=replicas,
        containers={str(one["name"]): one for one in _containers(template)},
        labels=_metadata(template).get("labels") or {},
        trouble="" if ready else _trouble_of(status.get("conditions") or []),
    )


def mesh_of_virtual_service(body: Json | None) -> Mesh:
    """Read Istio's VirtualService as Seldon writes it: a route for REST and one for gRPC, subsets named as predictors."""
    if body is None:
        return Mesh("VirtualService")
    routes = [_route_weights(one) for one in (body.get("spec") or {}).get("http") or []]
    return Mesh("VirtualService", routes[0] if routes else None, all(one == routes[0] for one in routes))


def mesh_of_mappings(mappings: Sequence[Json], deployment: str, namespace: str) -> Mesh:
    """Read Ambassador's Mappings as Seldon writes them: the first predictor's has no weight and takes what remains."""
    if not mappings:
        return Mesh("Mapping")
    kinds = [_mapping_weights(mappings, deployment, namespace, suffix) for suffix in ("rest", "grpc")]
    return Mesh("Mapping", kinds[0] or None, kinds[0] == kinds[1])


def pod_trouble(pod: Json) -> str:
    """What holds a pod up, in words; empty when nothing does."""
    status = pod.get("status") or {}
    for container in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            ended = (container.get("lastState") or {}).get("terminated") or {}
            last = (
                f", last ended by {ended['reason']} with exit code {ended.get('exitCode')}"
                if ended.get("reason")
                else ""
            )
            return f"container {container.get('name')} is in {waiting['reason']}{last}"
    for condition in status.get("conditions") or []:
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return f"it cannot be scheduled: {condition.get('message', '')}"
    return ""


def predictor_of_pod(pod: Json, owner: str) -> str:
    """Predictor of the SeldonDeployment `owner` that a pod belongs to."""
    return _predictor_of(pod, owner)


def covers(wanted: Any, found: Any) -> bool:
    """Whether everything that is wanted stands in what was found; the API server may have added more."""
    # What is empty is dropped on the way: a share of 0 and an empty list come back as nothing.
    if not wanted and not found:
        return True
    if isinstance(wanted, Mapping):
        return isinstance(found, Mapping) and all(covers(value, found.get(key)) for key, value in wanted.items())
    if isinstance(wanted, list):
        same_length = isinstance(found, list) and len(found) == len(wanted)
        return same_length and all(covers(one, other) for one, other in zip(wanted, found, strict=True))
    return bool(wanted == found)


def _containers(pod: Json) -> list[Json]:
    spec = pod.get("spec") or {}
    return [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]


def _runs_all(workload: Workload, component: Json) -> bool:
    """Whether a Deployment has every container of a component; each component has a Deployment of its own."""
    labels = _metadata(component).get("labels") or {}
    named = covers(labels, workload.labels)
    return named and all(_runs(workload.containers.get(str(one["name"]), {}), one) for one in _containers(component))


def _runs(found: Json, wanted: Json) -> bool:
    """Whether a container of a Deployment is what the object asks for; the operator adds variables, ports and probes."""
    same = all(covers(wanted[key], found.get(key)) for key in _COMPARED if key in wanted)
    lists = all(covers(_by_name(wanted, key), _by_name(found, key)) for key in ("env", "ports"))
    return same and lists and _has_resources(found, wanted)


def _has_resources(found: Json, wanted: Json) -> bool:
    """Whether requests and limits are those; the API server writes `0.5` as `500m`."""
    from kubernetes.utils import parse_quantity

    asked, given = wanted.get("resources") or {}, found.get("resources") or {}
    return all(
        key in (given.get(kind) or {}) and parse_quantity(given[kind][key]) == parse_quantity(value)
        for kind in ("requests", "limits")
        for key, value in (asked.get(kind) or {}).items()
    )


def _by_name(container: Json, key: str) -> dict[str, Json]:
    return {str(one.get("name")): one for one in container.get(key) or []}


def _predictor_of(labelled: Json, owner: str) -> str:
    """Predictor of a pod or its template: by the Service that it answers for, else by its Deployment's name.

    The label `version` would be the operator's word for it, but the chart gives it another meaning: the model version.
    """
    labels = _metadata(labelled).get("labels") or {}
    service, workload = str(labels.get(_SERVICE_LABEL, "")), str(labels.get(_WORKLOAD_LABEL, ""))
    if service.startswith(f"{owner}-"):
        return service.removeprefix(f"{owner}-")
    named = re.fullmatch(rf"{re.escape(owner)}-(.+?)-\d+-.+", workload)
    return named[1] if named else ""


def _route_weights(route: Json) -> dict[str, int]:
    destinations = route.get("route") or []
    alone = len(destinations) == 1
    weights = {str(one["destination"].get("subset", "")): int(one.get("weight") or 0) for one in destinations}
    return {next(iter(weights)): 100} if alone else weights


def _mapping_weights(mappings: Sequence[Json], deployment: str, namespace: str, suffix: str) -> dict[str, int]:
    start, end = f"seldon-{namespace}-{deployment}-", f"-{suffix}"
    weights: dict[str, int | None] = {}
    for mapping in mappings:
        name, spec = str(_metadata(mapping).get("name", "")), mapping.get("spec") or {}
        if name.startswith(start) and name.endswith(end) and not spec.get("shadow"):
            weights[name.removeprefix(start).removesuffix(end)] = spec.get("weight")
    rest = 100 - sum(value for value in weights.values() if value is not None)
    return {name: rest if value is None else int(value) for name, value in weights.items()}


def _trouble_of(conditions: Sequence[Json]) -> str:
    bad = [one for one in conditions if one.get("status") == "False" and one.get("message")]
    return "; ".join(str(one["message"]) for one in bad)


def _without_zeros(weights: Mapping[str, int]) -> dict[str, int]:
    return {name: weight for name, weight in weights.items() if weight}


def _metadata(body: Json | None) -> Json:
    return (body or {}).get("metadata") or {}
