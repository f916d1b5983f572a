"""Every value set gives objects that the cluster takes, that Seldon's webhook takes, and that keep our policies."""

from __future__ import annotations

import json
from typing import Any

import pytest
from helm_python import Chart, lint

from belisha.components.release.release_template import VERSION_TOKEN, parse_release_template
from belisha.components.release.seldon_deployment import placements, seldon_deployment
from belisha.components.shared.ledger import LedgerState
from tests.helm import policies, schemas, seldon_rules
from tests.helm.rendering import CHART, NAMESPACE, Object, documents, merged, notes, pod_specs
from tests.helm.value_sets import VALUE_SETS

SETS = pytest.mark.parametrize("values", VALUE_SETS.values(), ids=VALUE_SETS.keys())
STATES = (
    LedgerState("v7"),
    LedgerState("v7", "v8", 0.0),
    LedgerState("v7", "v8", 0.2),
    LedgerState("v7", "v9999", 1.0),
)


def seldon_deployments(found: list[Object]) -> list[Object]:
    """Those that helm writes, or those that the controller will write."""
    written = [it for it in found if it["kind"] == "SeldonDeployment"]
    texts = [it["data"]["release-template.json"] for it in found if "release-template.json" in it.get("data", {})]
    for template in map(parse_release_template, texts):
        written += [seldon_deployment(placements(state, template), template, record_number=12) for state in STATES]
    return written


def test_the_matrix_is_large() -> None:
    assert len(VALUE_SETS) >= 25


@SETS
def test_cluster_takes_every_object(values: dict[str, Any]) -> None:
    found = documents(values)
    problems = {
        f"{it['kind']}/{it['metadata']['name']}": schemas.violations(it) for it in [*found, *seldon_deployments(found)]
    }
    assert not {name: said for name, said in problems.items() if said}


@SETS
def test_cluster_takes_the_pods_inside(values: dict[str, Any]) -> None:
    problems = {
        name: schemas.pod_violations(spec)
        for it in seldon_deployments(documents(values))
        for name, spec in pod_specs(it)
    }
    assert not {name: said for name, said in problems.items() if said}


@SETS
def test_seldon_takes_every_deployment(values: dict[str, Any]) -> None:
    found = seldon_deployments(documents(values))
    assert found
    assert not [problem for it in found for problem in seldon_rules.violations(it)]


@SETS
def test_our_policies_hold(values: dict[str, Any]) -> None:
    assert not [problem for it in documents(values) for problem in policies.violations(it)]


@SETS
def test_one_writer_an_object(values: dict[str, Any]) -> None:
    found = policies.writers(documents(values))
    assert {name: count for name, count in found.items() if count != 1} == {}
    assert sum(name.startswith("SeldonDeployment/") for name in found) == 1


@SETS
def test_pods_use_what_is_there(values: dict[str, Any]) -> None:
    """No pod waits for a ConfigMap or account that nobody makes; secrets and claims are the user's."""
    found = documents(values)
    made = {(it["kind"], it["metadata"]["name"]) for it in found}
    given = {account.get("name") for account in merged(values).get("serviceAccounts", {}).values()}
    for it in found:
        for name, spec in pod_specs(it):
            account = spec["serviceAccountName"]
            assert ("ServiceAccount", account) in made or account in given, name
            wanted = [volume["configMap"]["name"] for volume in spec["volumes"] if "configMap" in volume]
            assert all(("ConfigMap", config) in made for config in wanted), name


@SETS
def test_rendering_is_the_same_twice(values: dict[str, Any]) -> None:
    rendered = [
        Chart.load(CHART).render(merged(values), name="belisha", namespace=NAMESPACE, revision=3) for _ in range(2)
    ]
    assert rendered[0] == rendered[1]


@SETS
def test_helm_lint_finds_nothing(values: dict[str, Any]) -> None:
    report = lint(CHART, merged(values), strict=True, namespace=NAMESPACE)
    # An icon is a recommendation of the level "info".
    assert [message for message in report["messages"] if message["severity"] > 1] == []


@SETS
def test_no_version_is_left_open(values: dict[str, Any]) -> None:
    for it in documents(values):
        if "release-template.json" not in it.get("data", {}):
            assert not policies.any_value(it, VERSION_TOKEN), it["metadata"]["name"]
    assert not [it for it in seldon_deployments(documents(values)) if policies.any_value(it, VERSION_TOKEN)]


@SETS
def test_notes_name_the_licences(values: dict[str, Any]) -> None:
    text = notes(values)
    assert "AGPL-3.0" in text
    assert "1.17.1" in text
    assert "kubectl belisha doctor" in text


@pytest.mark.parametrize(
    ("values", "words", "present"),
    [
        ({"monitoring": {"podMonitor": {"enabled": True}}}, "WARNING: monitoring.podMonitor.labels is empty", True),
        ({"monitoring": {"podMonitor": {"enabled": True, "labels": {"release": "x"}}}}, "WARNING", False),
        ({}, "Monitoring is off", True),
        ({}, "networkPolicy.enabled is false", True),
        ({"networkPolicy": {"enabled": True}}, "networkPolicy.enabled is false", False),
        ({}, "serving.replicas is 1", True),
        ({"serving": {"replicas": 2}}, "serving.replicas is 1", False),
        ({"serving": {"gpu": {"count": 1}}}, "needs a spare GPU", True),
        ({"monitoring": {"prometheusUrl": "http://p:9090"}}, "has no guards", False),
        ({}, "has no guards", True),
        ({"release": {"mode": "manifest", "champion": {"version": "v7"}}}, "would only be written down", True),
    ],
)
def test_notes_warn_of_what_is_risky(values: dict[str, Any], words: str, present: bool) -> None:
    assert (words in notes(values)) is present


def test_template_is_what_helm_renders() -> None:
    """The matrix looks at what the controller reads, not at a copy."""
    [text] = [
        it["data"]["release-template.json"] for it in documents({}) if "release-template.json" in it.get("data", {})
    ]
    assert json.loads(text)["schema"] == "belisha.release-template/1"
