"""Finds what a command is about: the release of a namespace, its template, its ledger and the key to it."""

from __future__ import annotations

import base64
import functools
import os
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from belisha.components.release.release_template import TEMPLATE_FILE, ReleaseTemplate, parse_release_template
from belisha.components.shared.errors import InputError
from belisha.components.shared.kube_api import Json, KubeApi, ResourcePath, connect

TEMPLATE_SUFFIX = "-release-template"
STORAGE_VARIABLE = "BELISHA_STORAGE_URI"
_CHART_LABEL = "app.kubernetes.io/part-of=belisha"


@dataclass(frozen=True, slots=True)
class Place:
    """A release in a cluster.

    Attributes:
        api: the API server.
        namespace: of everything.
        template: the shape of what serves, as the chart has it.
        storage_uri: where the ledger lives.
    """

    api: KubeApi
    namespace: str
    template: ReleaseTemplate
    storage_uri: str

    @property
    def name(self) -> str:
        """Name of the release and of its SeldonDeployment."""
        return self.template.name


class Where:
    """A place that is looked for when it is needed.

    Whoever names the storage can record without it; where git is the state (`release.mode: manifest`) there is none to find.
    """

    def __init__(self, *, namespace: str, name: str, storage: str, context: str, kubeconfig: str) -> None:
        """Arguments are those of `find_place`."""
        self._options = {"namespace": namespace, "name": name, "context": context, "kubeconfig": kubeconfig}
        self._storage = storage

    @functools.cached_property
    def place(self) -> Place:
        """The release in the cluster; raises InputError."""
        return find_place(storage=self._storage, **self._options)

    @property
    def storage_uri(self) -> str:
        """Where the ledger lives."""
        return self._storage or self.place.storage_uri


def find_place(*, namespace: str, name: str, storage: str, context: str, kubeconfig: str) -> Place:
    """Look for the release; raises InputError when there is none, or more than one and no name."""
    api, own_namespace = connect(context=context, kubeconfig=kubeconfig)
    return place_in(api, namespace or own_namespace, name, storage, os.environ)


def place_in(api: KubeApi, namespace: str, name: str, storage: str, environment: MutableMapping[str, str]) -> Place:
    """The same with an API server that is connected already; access to the storage is put into the environment."""
    config_maps = ResourcePath("", "v1", "configmaps", namespace)
    config = api.get(config_maps, f"{name}{TEMPLATE_SUFFIX}") if name else _only_one(api, config_maps)
    if config is None:
        raise InputError(
            f"namespace {namespace} has no ConfigMap {name}{TEMPLATE_SUFFIX}: give --namespace and --name of a release in "
            "controller mode (`helm list -A`)"
        )
    where = f"ConfigMap {config['metadata']['name']}"
    template = parse_release_template(str((config.get("data") or {}).get(TEMPLATE_FILE, "")), where)
    uri = storage or storage_of(template)
    if not uri:
        raise InputError(f"{where} names no storage: give --storage")
    if not storage:
        lend_access(api, namespace, template, environment)
    return Place(api, namespace, template, uri)


def storage_of(template: ReleaseTemplate) -> str:
    """Where the ledger lives, as the predictors' pods are told; empty when they are not."""
    return next((str(one.get("value", "")) for one in _variables(template) if one.get("name") == STORAGE_VARIABLE), "")


def secret_keys(template: ReleaseTemplate) -> dict[str, tuple[str, str, bool]]:
    """What the pods take from secrets: variable to secret, key, and whether they go without."""
    found = {}
    for variable in _variables(template):
        reference = (variable.get("valueFrom") or {}).get("secretKeyRef")
        if reference:
            found[str(variable["name"])] = (
                str(reference["name"]),
                str(reference["key"]),
                bool(reference.get("optional")),
            )
    return found


def lend_access(api: KubeApi, namespace: str, template: ReleaseTemplate, environment: MutableMapping[str, str]) -> None:
    """Put the storage's credentials from the chart's secret into the environment, where it does not have them yet."""
    secrets: dict[str, Json | None] = {}
    for variable, (secret, key, _) in secret_keys(template).items():
        if variable in environment:
            continue
        if secret not in secrets:
            secrets[secret] = api.get(ResourcePath("", "v1", "secrets", namespace), secret)
        value = ((secrets[secret] or {}).get("data") or {}).get(key)
        if value is not None:
            environment[variable] = base64.b64decode(value).decode("utf-8")


def _only_one(api: KubeApi, config_maps: ResourcePath) -> Json | None:
    found = [
        one for one in api.list(config_maps, labels=_CHART_LABEL) if one["metadata"]["name"].endswith(TEMPLATE_SUFFIX)
    ]
    if len(found) > 1:
        names = ", ".join(one["metadata"]["name"].removesuffix(TEMPLATE_SUFFIX) for one in found)
        raise InputError(f"namespace {config_maps.namespace} has the releases {names}: give --name")
    return found[0] if found else None


def _variables(template: ReleaseTemplate) -> list[dict[str, Any]]:
    spec = template.detector.component.get("spec") or {}
    return [variable for container in spec.get("containers") or [] for variable in container.get("env") or []]
