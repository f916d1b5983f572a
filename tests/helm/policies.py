"""Our own rules for every object of ours: what no schema says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.helm.rendering import Object, containers, pod_specs

_PINNED = re.compile(r"[a-z0-9][a-z0-9._/:-]*(@sha256:[a-f0-9]{64}|:(?!latest$)[A-Za-z0-9_][A-Za-z0-9._-]*)")
_SECRET_NAME = re.compile(r"(?i)(secret|password|token|credential|access_key)")
# Addresses and paths to secrets are none.
_HARMLESS = {"BELISHA_KFP_TOKEN_FILE"}
_READERS_OF_THE_API = {"controller"}


def violations(document: Object) -> list[str]:
    """Every policy that an object breaks."""
    name = f"{document['kind']}/{document['metadata']['name']}"
    found = [*_metadata(document), *_role(document), *_cron_job(document), *_deployment(document)]
    for where, spec in pod_specs(document):
        found += [f"{where}: {problem}" for problem in pod_problems(spec)]
    return [problem if problem.startswith(name) else f"{name}: {problem}" for problem in found]


def pod_problems(spec: Object) -> Iterator[str]:
    """The "restricted" profile of pod security, and more."""
    security = spec.get("securityContext", {})
    if security.get("runAsNonRoot") is not True or security.get("runAsUser") == 0:
        yield "may run as root"
    if security.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield "has no seccomp profile"
    if spec.get("enableServiceLinks") is not False:
        yield "gets the Services as variables"
    if spec.get("automountServiceAccountToken") is not _needs_api(spec):
        yield "has the API server's token without need, or lacks it"
    if any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
        yield "shares the node"
    for volume in spec.get("volumes", []):
        yield from _volume(volume)
    for container in containers(spec):
        yield from (f"{container['name']}: {problem}" for problem in _container(container, spec))


def _needs_api(spec: Object) -> bool:
    return any(container["name"] in _READERS_OF_THE_API for container in spec["containers"])


def _volume(volume: Object) -> Iterator[str]:
    if "hostPath" in volume:
        yield f"volume {volume['name']} is a folder of the node"
    if "emptyDir" in volume and "sizeLimit" not in volume["emptyDir"]:
        yield f"volume {volume['name']} may fill the node"


def _container(container: Object, spec: Object) -> Iterator[str]:
    security = container.get("securityContext", {})
    if security.get("allowPrivilegeEscalation") is not False or security.get("privileged"):
        yield "may get more rights"
    if security.get("readOnlyRootFilesystem") is not True:
        yield "may write to its root file system"
    if security.get("capabilities", {}).get("drop") != ["ALL"]:
        yield "has capabilities"
    if not _PINNED.fullmatch(container["image"]):
        yield f"image {container['image']} is not pinned"
    resources = container.get("resources", {})
    if not {"cpu", "memory"} <= set(resources.get("requests", {})) or "memory" not in resources.get("limits", {}):
        yield "has no requests or no memory limit"
    yield from _env(container)
    yield from _mounts(container, spec)


def _env(container: Object) -> Iterator[str]:
    names = Counter(variable["name"] for variable in container.get("env", []))
    yield from (f"{name} is set {count} times" for name, count in names.items() if count > 1)
    for variable in container.get("env", []):
        if "value" in variable and _SECRET_NAME.search(variable["name"]) and variable["name"] not in _HARMLESS:
            yield f"{variable['name']} stands there as a value"
        if not isinstance(variable.get("value", ""), str):
            yield f"{variable['name']} is no text"
    if container.get("envFrom"):
        yield "takes every key of a secret"


def _mounts(container: Object, spec: Object) -> Iterator[str]:
    known = {volume["name"] for volume in spec.get("volumes", [])}
    mounts = container.get("volumeMounts", [])
    yield from (f"mounts {mount['name']}, which is no volume" for mount in mounts if mount["name"] not in known)
    if "/tmp" not in {mount["mountPath"] for mount in mounts}:
        yield "has nowhere to write"


def _metadata(document: Object) -> Iterator[str]:
    metadata = document["metadata"]
    if not metadata.get("namespace"):
        yield "has no namespace of its own"
    wanted = {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "helm.sh/chart"}
    if not wanted <= set(metadata.get("labels", {})):
        yield f"lacks labels {sorted(wanted - set(metadata.get('labels', {})))}"
    for key, text in {**metadata.get("labels", {}), **metadata.get("annotations", {})}.items():
        if not isinstance(text, str):
            yield f"label or annotation {key} is no text"


def _role(document: Object) -> Iterator[str]:
    for rule in document.get("rules", []) if document["kind"] in ("Role", "ClusterRole") else []:
        if any("*" in rule.get(key, []) for key in ("apiGroups", "resources", "verbs")):
            yield f"grants everything: {rule}"
        if "secrets" in rule["resources"]:
            yield "reads secrets"
        writes = {"update", "patch", "delete"} & set(rule["verbs"])
        if writes and not rule.get("resourceNames"):
            yield f"writes to every object of {rule['resources']}"
    if document["kind"].startswith("Cluster"):
        yield "reaches beyond the namespace"


def _deployment(document: Object) -> Iterator[str]:
    if document["kind"] == "Deployment":
        for container in document["spec"]["template"]["spec"]["containers"]:
            if "livenessProbe" not in container:
                yield f"{container['name']} may hang for ever"


def _cron_job(document: Object) -> Iterator[str]:
    if document["kind"] != "CronJob":
        return
    spec, job = document["spec"], document["spec"]["jobTemplate"]["spec"]
    if spec["concurrencyPolicy"] != "Forbid":
        yield "may run twice at once"
    missing = {"startingDeadlineSeconds", "timeZone", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"} - set(
        spec
    )
    missing |= {"activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"} - set(job)
    yield from (f"lacks {key}" for key in sorted(missing))
    if job["template"]["spec"]["restartPolicy"] != "Never":
        yield "restarts in place"


def writers(documents: list[Object]) -> dict[str, int]:
    """How many objects of a render write each thing that may have one writer only, by name."""
    found: Counter[str] = Counter(
        f"{it['kind']}/{it['metadata']['namespace']}/{it['metadata']['name']}" for it in documents
    )
    controllers = [
        it for it in documents if it["kind"] == "Deployment" and it["metadata"]["name"].endswith("-controller")
    ]
    for controller in controllers:
        template = next(it for it in documents if "release-template.json" in it.get("data", {}))
        name = template["metadata"]["name"].removesuffix("-release-template")
        found[f"SeldonDeployment/{controller['metadata']['namespace']}/{name}"] += controller["spec"]["replicas"]
    return dict(found)


def any_value(node: Any, text: str) -> bool:
    """Whether a text stands anywhere in an object."""
    if isinstance(node, dict):
        return any(any_value(key, text) or any_value(value, text) for key, value in node.items())
    return any(any_value(item, text) for item in node) if isinstance(node, list) else text in str(node)
