"""The rules themselves: each finds what it is there for, in an object that was good before."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from belisha.components.release.release_template import parse_release_template
from belisha.components.release.seldon_deployment import placements, seldon_deployment
from belisha.components.shared.ledger import LedgerState
from tests.helm import policies, schemas, seldon_rules
from tests.helm.rendering import Object, documents, one, pod_specs, release_template_text

Change = Callable[[Any], Any]


def deployment() -> Object:
    template = parse_release_template(release_template_text({}))
    return copy.deepcopy(seldon_deployment(placements(LedgerState("v7", "v8", 0.2), template), template))


def whole(change: Change) -> Object:
    it = deployment()
    change(it["spec"])
    return it


def predictor(change: Change) -> Object:
    return whole(lambda spec: change(spec["predictors"][1]))


def alone(**keys: object) -> Object:
    """Only the challenger's predictor, changed."""
    return whole(lambda spec: [spec["predictors"].pop(0), spec["predictors"][0].update(keys)])


def component(change: Change) -> Object:
    return predictor(lambda found: change(found["componentSpecs"][0]))


def test_the_object_is_good_before() -> None:
    assert schemas.violations(deployment()) == []
    assert seldon_rules.violations(deployment()) == []


@pytest.mark.parametrize(
    ("changed", "word"),
    {
        "sum above 100": (predictor(lambda it: it.update(traffic=30)), "sum"),
        "150 and -50": (
            whole(
                lambda spec: [
                    it.update(traffic=share) for it, share in zip(spec["predictors"], (150, -50), strict=True)
                ]
            ),
            "traffic 150",
        ),
        "duplicate name": (predictor(lambda it: it.update(name="y-v7")), "Duplicate"),
        "no predictors": (whole(lambda spec: spec["predictors"].clear()), "no predictors"),
        "one with a part": (alone(traffic=20), "single"),
        "shadow alone": (alone(shadow=True), "Shadow"),
        "node without container": (predictor(lambda it: it["graph"].update(name="other")), "Can't find container"),
        "logger without mode": (predictor(lambda it: it["graph"].update(logger={"url": "http://x"})), "logger"),
        "replicas 0": (predictor(lambda it: it.update(replicas=0)), "no replicas"),
        "a budget of Seldon's": (component(lambda it: it.update(pdbSpec={"maxUnavailable": 1})), "pdbSpec"),
        "newer metrics": (
            component(lambda it: it.update(hpaSpec={"minReplicas": 1, "maxReplicas": 2, "metricsv2": []})),
            "metricsv2",
        ),
        "parameter that is no number": (
            predictor(lambda it: it["graph"]["parameters"].append({"name": "n", "type": "INT", "value": "x"})),
            "parameter",
        ),
        "long name": (component(lambda it: it["metadata"].update(name="d" * 60)), "letters"),
        "protocol": (whole(lambda spec: spec.update(protocol="v3")), "protocol"),
    }.values(),
)
def test_seldons_rules(changed: Object, word: str) -> None:
    assert word in " ".join(seldon_rules.violations(changed))


@pytest.mark.parametrize(
    "changed",
    {
        "unknown field": predictor(lambda it: it.update(weight=3)),
        "field that this definition drops": component(
            lambda it: it.update(hpaSpec={"minReplicas": 1, "maxReplicas": 2, "metricsv2": []})
        ),
        "text for a number": predictor(lambda it: it.update(traffic="20")),
        "unknown field of a container": component(lambda it: it["spec"]["containers"][0].update(imagePolicy="Always")),
        "missing graph": predictor(lambda it: it.pop("graph")),
    }.values(),
)
def test_seldons_definition(changed: Object) -> None:
    assert schemas.violations(changed)


@pytest.mark.parametrize("key", ["concurrencyPolcy", "startingDeadline"])
def test_unknown_fields_of_kubernetes(key: str) -> None:
    job = one(documents({}), "CronJob", "belisha-drift")
    job["spec"][key] = 1
    assert len(schemas.violations(job)) == 2, "of the oldest and of the newest"


def drift_pod() -> Object:
    return next(pod_specs(one(documents({}), "CronJob", "belisha-drift")))[1]


def changed_container(change: Change) -> Object:
    spec = drift_pod()
    change(spec["containers"][0])
    return spec


def changed_pod(change: Change) -> Object:
    spec = drift_pod()
    change(spec)
    return spec


@pytest.mark.parametrize(
    ("spec", "word"),
    {
        "root": (changed_pod(lambda it: it["securityContext"].update(runAsUser=0)), "root"),
        "no seccomp": (changed_pod(lambda it: it["securityContext"].pop("seccompProfile")), "seccomp"),
        "service links": (changed_pod(lambda it: it.pop("enableServiceLinks")), "Services"),
        "token": (changed_pod(lambda it: it.update(automountServiceAccountToken=True)), "token"),
        "node's network": (changed_pod(lambda it: it.update(hostNetwork=True)), "shares the node"),
        "node's folder": (
            changed_pod(lambda it: it["volumes"].append({"name": "x", "hostPath": {"path": "/"}})),
            "folder of the node",
        ),
        "boundless volume": (
            changed_pod(lambda it: it["volumes"].append({"name": "x", "emptyDir": {}})),
            "fill the node",
        ),
        "latest": (changed_container(lambda it: it.update(image="belisha/drift:latest")), "not pinned"),
        "no tag": (changed_container(lambda it: it.update(image="images.example.org:5000/drift")), "not pinned"),
        "no limit": (changed_container(lambda it: it["resources"].pop("limits")), "memory limit"),
        "writable root": (
            changed_container(lambda it: it["securityContext"].update(readOnlyRootFilesystem=False)),
            "root file system",
        ),
        "capabilities": (changed_container(lambda it: it["securityContext"].pop("capabilities")), "capabilities"),
        "escalation": (changed_container(lambda it: it["securityContext"].update(privileged=True)), "more rights"),
        "secret as value": (
            changed_container(lambda it: it["env"].append({"name": "AWS_SECRET_ACCESS_KEY", "value": "x"})),
            "stands there as a value",
        ),
        "twice": (changed_container(lambda it: it["env"].append({"name": "HOME", "value": "/x"})), "2 times"),
        "whole secret": (changed_container(lambda it: it.update(envFrom=[{"secretRef": {"name": "x"}}])), "every key"),
        "nowhere to write": (changed_container(lambda it: it["volumeMounts"].clear()), "nowhere to write"),
        "no such volume": (
            changed_container(lambda it: it["volumeMounts"].append({"name": "x", "mountPath": "/x"})),
            "no volume",
        ),
    }.values(),
)
def test_policies_of_pods(spec: Object, word: str) -> None:
    assert word in " ".join(policies.pod_problems(spec))


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        ({"apiGroups": ["*"], "resources": ["pods"], "verbs": ["get"]}, "everything"),
        ({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}, "secrets"),
        ({"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["patch"]}, "writes to every"),
    ],
)
def test_policies_of_roles(rule: dict[str, list[str]], word: str) -> None:
    role = one(documents({}), "Role")
    assert policies.violations(role) == []
    role["rules"].append(rule)
    assert word in " ".join(policies.violations(role))


def test_two_writers_are_seen() -> None:
    controller = one(documents({}), "Deployment", "belisha-controller")
    assert policies.writers([*documents({}), deployment(), controller])["SeldonDeployment/ml/belisha"] == 3


def test_what_runs_for_ever_is_watched() -> None:
    controller = copy.deepcopy(one(documents({}), "Deployment", "belisha-controller"))
    assert policies.violations(controller) == []
    del controller["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]
    assert "hang" in " ".join(policies.violations(controller))
