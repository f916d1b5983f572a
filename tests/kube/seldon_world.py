"""Seldon's operator and the kubelet as far as a release meets them, on a `KubeServer`: as operator 1.17.1 was seen to do.

Weights reach the VirtualService only when every Deployment of every predictor is ready; the Deployments of a dropped predictor
go after that. The webhook's rules and words are its own.
"""

from __future__ import annotations

import copy
import threading
from typing import Any

from tests.kube.api_server import Key, KubeServer, Object, RefusalError

NAMESPACE = "ml"
SELDON = f"/apis/machinelearning.seldon.io/v1/namespaces/{NAMESPACE}/seldondeployments"
DEPLOYMENTS = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
VIRTUAL_SERVICES = f"/apis/networking.istio.io/v1beta1/namespaces/{NAMESPACE}/virtualservices"


class SeldonWorld:
    """Follows the SeldonDeployments of a server.

    Attributes:
        broken: predictors whose pods never get ready.
        looks_until_ready: how often Deployments must be listed before a new one is ready.
        operator_runs: whether the operator does anything.
        history: weights of the VirtualService after each change.
    """

    def __init__(self, server: KubeServer) -> None:
        self.server = server
        self.broken: set[str] = set()
        self.looks_until_ready = 1
        self.operator_runs = True
        self.history: list[dict[str, int]] = []
        self._looks: dict[str, int] = {}
        self._lock = threading.RLock()
        server.admit, server.changed, server.looked = _admit, self._changed, self._look

    def weights(self, name: str = "belisha") -> dict[str, int]:
        """Percent by predictor in the mesh, without zeros."""
        found = self.server.read(Key(VIRTUAL_SERVICES, name))
        return _weights(found) if found else {}

    def deployments(self) -> dict[str, Object]:
        return {one["metadata"]["name"]: one for one in self.server.objects("/deployments")}

    def predictors(self, name: str = "belisha") -> list[tuple[str, int]]:
        found = self.server.read(Key(SELDON, name)) or {"spec": {"predictors": []}}
        return [(one["name"], one.get("traffic", 0)) for one in found["spec"]["predictors"]]

    def settle(self) -> None:
        """Let the operator and the pods come to rest."""
        for _ in range(8):
            self._look()

    def _changed(self, key: Key) -> None:
        if key.collection == SELDON:
            self._reconcile(key.name)

    def _look(self) -> None:
        """Time passes: pods start, and the operator reconciles."""
        with self._lock:
            for name, deployment in self.deployments().items():
                self._looks[name] = self._looks.get(name, 0) + 1
                self._run(deployment, started=self._looks[name] > self.looks_until_ready)
            for one in self.server.objects("/seldondeployments"):
                self._reconcile(one["metadata"]["name"])

    def _run(self, deployment: Object, *, started: bool) -> None:
        metadata = deployment["metadata"]
        predictor = metadata["labels"]["seldon-app"].removeprefix(f"{metadata['labels']['seldon-deployment-id']}-")
        generation, pod = metadata["generation"], Key(PODS, f"{metadata['name']}-x")
        if predictor in self.broken:
            state = {"waiting": {"reason": "CrashLoopBackOff"}}
            status = {"observedGeneration": generation, "replicas": 1, "updatedReplicas": 1, "unavailableReplicas": 1}
        else:
            state = {"running": {}} if started else {"waiting": {"reason": "ContainerCreating"}}
            ready = {"readyReplicas": 1, "availableReplicas": 1} if started else {"unavailableReplicas": 1}
            status = {"observedGeneration": generation, "replicas": 1, "updatedReplicas": 1, **ready}
        ended = {"terminated": {"reason": "Error", "exitCode": 3}} if predictor in self.broken else {}
        container = {"name": "detector", "state": state, "lastState": ended}
        body = {
            "metadata": {"name": pod.name, "labels": metadata["labels"]},
            "status": {"containerStatuses": [container]},
        }
        if self.server.read(pod) is None:
            self.server.write(pod, body, create=True)
        self.server.write(pod, body, status=True)
        self.server.write(Key(DEPLOYMENTS, metadata["name"]), {"status": status, "metadata": {}}, status=True)

    def _reconcile(self, name: str) -> None:
        with self._lock:
            found = self.server.read(Key(SELDON, name))
            if found is None or not self.operator_runs:
                return
            predictors = found["spec"]["predictors"]
            names = [self._deployed(name, predictor) for predictor in predictors]
            ready = all(self._is_ready(one) for one in names)
            if ready:
                self._route(name, predictors)
                self._forget(name, keep=names)
            status = {"state": "Available" if ready else "Creating"}
            self.server.write(Key(SELDON, name), {"metadata": {}, "status": status}, status=True)

    def _deployed(self, owner: str, predictor: Object) -> str:
        name = f"{owner}-{predictor['name']}-0-detector"
        labels = {
            "seldon-deployment-id": owner,
            "seldon-app": f"{owner}-{predictor['name']}",
            "app": name,
            "version": "v",
        }
        pod = copy.deepcopy(predictor["componentSpecs"][0]["spec"])
        engine = {"name": "seldon-container-engine", "image": "engine:1.17.1"}
        pod["containers"] = [*pod["containers"], engine]
        shadow = {"seldon.io/shadow": "true"} if predictor.get("shadow") else {}
        template = {"metadata": {"labels": {**labels, **shadow}}, "spec": pod}
        key = Key(DEPLOYMENTS, name)
        old = self.server.read(key)
        body: dict[str, Any] = {
            "metadata": {"name": name, "labels": labels},
            "spec": {"replicas": 1, "template": template},
        }
        if old is None:
            self.server.write(key, body, create=True)
        elif old["spec"]["template"] != template:
            self._looks[name] = 0
            self.server.write(key, body)
        return name

    def _is_ready(self, name: str) -> bool:
        found = self.server.read(Key(DEPLOYMENTS, name)) or {}
        status = found.get("status") or {}
        observed = status.get("observedGeneration") == (found.get("metadata") or {}).get("generation")
        return observed and bool(status.get("readyReplicas")) and not status.get("unavailableReplicas")

    def _route(self, name: str, predictors: list[Object]) -> None:
        route = [
            {"destination": {"subset": one["name"]}, **({"weight": one["traffic"]} if one.get("traffic") else {})}
            for one in predictors
            if not one.get("shadow")
        ]
        body = {"metadata": {"name": name}, "spec": {"http": [{"route": route}, {"route": route}]}}
        key = Key(VIRTUAL_SERVICES, name)
        self.server.write(key, body, create=self.server.read(key) is None)
        if not self.history or self.history[-1] != _weights(body):
            self.history.append(_weights(body))

    def _forget(self, owner: str, keep: list[str]) -> None:
        for name, deployment in self.deployments().items():
            if deployment["metadata"]["labels"]["seldon-deployment-id"] == owner and name not in keep:
                self.server.remove(Key(DEPLOYMENTS, name))
                self.server.remove(Key(PODS, f"{name}-x"))
                self._looks.pop(name, None)


def _weights(virtual_service: Object) -> dict[str, int]:
    route = virtual_service["spec"]["http"][0]["route"]
    if len(route) == 1:
        return {route[0]["destination"]["subset"]: 100}
    return {one["destination"]["subset"]: one["weight"] for one in route if one.get("weight")}


def _admit(key: Key, body: Object) -> None:
    """What Seldon's validating webhook refuses, in its words."""
    if key.collection != SELDON or "spec" not in body:
        return
    predictors = body["spec"]["predictors"]
    answering = [one for one in predictors if not one.get("shadow")]
    names = [one["name"] for one in predictors]
    total = sum(one.get("traffic", 0) for one in answering)
    problem = ""
    if len(set(names)) != len(names):
        problem = "Duplicate predictor name"
    elif len(answering) == 1 and total not in (0, 100):
        problem = "Traffic must sum be 100 for a single predictor when set"
    elif len(answering) > 1 and total != 100:
        problem = "Traffic must sum to 100 for multiple predictors"
    if problem:
        denied = 'admission webhook "v1.vseldondeployment.kb.io" denied the request: SeldonDeployment is invalid'
        raise RefusalError(422, "Invalid", f'{denied}: spec: Invalid value: "{names[0]}": {problem}')
