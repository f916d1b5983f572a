"""The cluster as the release controller sees it: one SeldonDeployment, what hangs below it, and two ways to write it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, Protocol

from belisha.components.release.cluster_state import (
    DEPLOYMENT_LABEL,
    ClusterState,
    Mesh,
    mesh_of_mappings,
    mesh_of_virtual_service,
    pod_trouble,
    predictor_of_pod,
    workload_of,
)
from belisha.components.release.seldon_deployment import ANNOTATION_PREFIX
from belisha.components.shared.errors import ClusterError
from belisha.components.shared.kube_api import ExpiredError, ForbiddenError, Json, KubeApi, ResourcePath

_ISTIO, _AMBASSADOR = "networking.istio.io", "getambassador.io"


class Cluster(Protocol):
    """What the controller asks of a cluster."""

    name: str

    def look(self) -> ClusterState:
        """One look; raises ClusterError, ForbiddenError."""
        ...

    def write(self, body: Mapping[str, Any], before: ClusterState, *, dry_run: bool = False) -> Json:
        """Create or replace the object unless somebody wrote it since that look; raises ConflictError, RefusedError."""
        ...

    def wait_for_change(self, since: ClusterState, seconds: float) -> None:
        """Wait until the object changes, at most so long; errors of the watch end it early."""
        ...


class KubernetesCluster:
    """A SeldonDeployment on a Kubernetes API server.

    Args:
        api: the door.
        namespace: of the object.
        name: of the object.
    """

    def __init__(self, api: KubeApi, namespace: str, name: str) -> None:
        self._api, self.namespace, self.name = api, namespace, name
        self._seldon = self._path("machinelearning.seldon.io", "v1", "seldondeployments")
        self._deployments = self._path("apps", "v1", "deployments")
        self._pods = self._path("", "v1", "pods")

    def look(self) -> ClusterState:
        """One look at the object, its Deployments, the mesh, and the pods of Deployments that are not ready."""
        body = self._api.get(self._seldon, self.name)
        workloads = [workload_of(one, self.name) for one in self._api.list(self._deployments, labels=self._label)]
        troubles = {} if all(one.ready for one in workloads) else self._pod_troubles()
        return ClusterState(body, workloads, self._mesh(), troubles)

    def write(self, body: Mapping[str, Any], before: ClusterState, *, dry_run: bool = False) -> Json:
        """Create or replace the object unless somebody wrote it since that look."""
        metadata = {**body["metadata"], "namespace": self.namespace}
        if before.body is None:
            return self._api.create(self._seldon, {**body, "metadata": metadata}, dry_run=dry_run)
        kept = before.body["metadata"]
        merged = {
            **{key: kept[key] for key in ("uid", "finalizers", "ownerReferences") if key in kept},
            **metadata,
            "labels": {**(kept.get("labels") or {}), **(metadata.get("labels") or {})},
            "annotations": _merged_annotations(kept.get("annotations") or {}, metadata.get("annotations") or {}),
            "resourceVersion": before.resource_version,
        }
        spec = dict(body["spec"])
        if "replicas" in (before.body.get("spec") or {}) and "replicas" not in spec:
            # Set by `kubectl scale`, which is not ours to undo.
            spec["replicas"] = before.body["spec"]["replicas"]
        return self._api.replace(self._seldon, {**body, "metadata": merged, "spec": spec}, dry_run=dry_run)

    def wait_for_change(self, since: ClusterState, seconds: float) -> None:
        """Watch the object; a watch that breaks or has expired ends the wait, for the next look reads everything anew."""
        with contextlib.suppress(ClusterError, ExpiredError):
            events = self._api.watch(self._seldon, self.name, since.resource_version, max(1, round(seconds)))
            with contextlib.closing(events):
                next(events, None)

    def _mesh(self) -> Mesh:
        """What Seldon wrote for Istio, else for Ambassador: a cluster may know both kinds and use one."""
        known = Mesh()
        if version := self._served_version(_ISTIO):
            known = mesh_of_virtual_service(self._api.get(self._path(_ISTIO, version, "virtualservices"), self.name))
        if known.weights is None and (version := self._served_version(_AMBASSADOR)):
            mappings = self._api.list(self._path(_AMBASSADOR, version, "mappings"))
            found = mesh_of_mappings(mappings, self.name, self.namespace)
            known = found if found.weights is not None or not known.kind else known
        return known

    def _served_version(self, group: str) -> str:
        """Preferred version of an API group; empty when the cluster does not know it."""
        found = self._api.get_path(f"/apis/{group}") or {}
        return str((found.get("preferredVersion") or {}).get("version", ""))

    def _pod_troubles(self) -> dict[str, str]:
        """What holds pods up, by predictor; nothing when we may not read pods, for that is only a help."""
        try:
            pods = self._api.list(self._pods, labels=self._label)
        except ForbiddenError:
            return {}
        return {predictor_of_pod(pod, self.name): trouble for pod in pods if (trouble := pod_trouble(pod))}

    @property
    def _label(self) -> str:
        return f"{DEPLOYMENT_LABEL}={self.name}"

    def _path(self, group: str, version: str, plural: str) -> ResourcePath:
        return ResourcePath(group, version, plural, self.namespace)


def _merged_annotations(kept: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
    """Other people's annotations stay; ours of an earlier layout go."""
    others = {name: text for name, text in kept.items() if not name.startswith(ANNOTATION_PREFIX)}
    return {**others, **ours}
