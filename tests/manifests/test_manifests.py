"""The manifests: what kubectl renders of them, that the cluster takes it, and that the chart fits what they make."""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helm import policies, schemas
from tests.helm.rendering import documents, merged, one, pod_specs

MANIFESTS = Path(__file__).parents[2] / "manifests"
OVERLAYS = ("base", "istio", "ambassador", "kind")
# Schemas of these are not at hand.
FOREIGN = {"getambassador.io/v3alpha1"}


@functools.cache
def rendered(folder: Path) -> str:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        message = "kubectl is not installed: nothing renders the manifests"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return subprocess.run([kubectl, "kustomize", folder], check=True, capture_output=True, text=True).stdout


def objects(folder: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(rendered(folder)))


def quantity(text: str) -> float:
    units = {"": 1.0, "m": 1e-3, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30}
    number, unit = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(text)).groups()  # type: ignore[union-attr]
    return float(number) * units[unit]


@pytest.mark.parametrize("name", OVERLAYS)
def test_cluster_takes_every_object(name: str) -> None:
    found = objects(MANIFESTS / name)
    problems = {it["metadata"]["name"]: schemas.violations(it) for it in found if it["apiVersion"] not in FOREIGN}
    assert not {key: said for key, said in problems.items() if said}


@pytest.mark.parametrize("name", OVERLAYS)
def test_rendering_is_the_same_twice(name: str) -> None:
    before = rendered(MANIFESTS / name)
    rendered.cache_clear()
    assert rendered(MANIFESTS / name) == before


@pytest.mark.parametrize("name", OVERLAYS)
def test_nothing_is_made_twice_or_by_the_chart_too(name: str) -> None:
    made = [
        (it["kind"], it["metadata"].get("namespace", ""), it["metadata"]["name"]) for it in objects(MANIFESTS / name)
    ]
    assert len(set(made)) == len(made)
    charts = {(it["kind"], it["metadata"]["namespace"], it["metadata"]["name"]) for it in documents({})}
    assert not charts & set(made)


def overlay(tmp_path: Path, **keys: object) -> Path:
    """A user's own overlay over istio; kustomize wants relative paths."""
    relative = [os.path.relpath(MANIFESTS / "istio", tmp_path.resolve())]
    value = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": relative, **keys}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(value))
    return tmp_path


def test_gpus_are_for_who_adds_the_component(tmp_path: Path) -> None:
    gpu = [os.path.relpath(MANIFESTS / "gpu", tmp_path.resolve())]
    found = objects(overlay(tmp_path, components=gpu))
    quotas = [one(it, "ResourceQuota")["spec"]["hard"] for it in (objects(MANIFESTS / "istio"), found)]
    assert [it["requests.nvidia.com/gpu"] for it in quotas] == ["0", "3"]


@pytest.mark.parametrize("name", ["istio", "ambassador", "kind", "gpu"])
def test_the_charts_values_of_an_overlay_render_and_keep_the_policies(name: str) -> None:
    found = documents(chart_values(name))
    assert not [problem for it in found for problem in [*policies.violations(it), *schemas.violations(it)]]


def chart_values(name: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((MANIFESTS / name / "values.yaml").read_text())
    return (
        merged(values, {"storage": {"existingSecret": ""}}) if "existingClaim" in values.get("storage", {}) else values
    )


@pytest.mark.parametrize("name", ["istio", "kind"])
def test_the_platform_fits_into_the_quota_while_a_rollout_runs_three_versions(name: str) -> None:
    found = documents(chart_values(name))
    quota = one(objects(MANIFESTS / name), "ResourceQuota")["spec"]["hard"]
    specs = [
        (it["kind"], spec)
        for it in found
        for _, spec in pod_specs(it)
        if it["kind"] in ("Deployment", "CronJob", "ConfigMap")
    ]
    for resource in ("cpu", "memory"):
        asked = 0.0
        for kind, spec in specs:
            pod = sum(quantity(container["resources"]["requests"][resource]) for container in spec["containers"])
            executor = quantity(executor_of(chart_values(name))["requests"][resource]) if kind == "ConfigMap" else 0.0
            asked += 3 * (pod + executor) if kind == "ConfigMap" else pod
        assert asked <= quantity(quota[f"requests.{resource}"]), resource


def executor_of(values: dict[str, Any]) -> dict[str, Any]:
    defaults = yaml.safe_load((MANIFESTS.parent / "helm" / "belisha" / "values.yaml").read_text())
    resources: dict[str, Any] = merged(values, defaults)["serving"]["orchestrator"]["resources"]
    return resources


def test_names_that_one_side_makes_and_the_other_uses() -> None:
    gateway = one(objects(MANIFESTS / "istio"), "Gateway")["metadata"]
    address = f"{gateway['namespace']}/{gateway['name']}"
    assert chart_values("istio")["mesh"]["istio"]["gateway"] == address
    assert yaml.safe_load((MANIFESTS / "istio" / "seldon-values.yaml").read_text())["istio"]["gateway"] == address
    assert (
        yaml.safe_load((MANIFESTS / "ambassador" / "seldon-values.yaml").read_text())["ambassador"]["version"] == "v2"
    )
    claims = {it["metadata"]["name"] for it in objects(MANIFESTS / "kind") if it["kind"] == "PersistentVolumeClaim"}
    assert chart_values("kind")["storage"]["existingClaim"] in claims
    classes = {it["metadata"]["name"] for it in objects(MANIFESTS / "base") if it["kind"] == "PriorityClass"}
    for name in ("istio", "ambassador", "gpu"):
        used = {
            spec["priorityClassName"]
            for it in documents(chart_values(name))
            for _, spec in pod_specs(it)
            if "priorityClassName" in spec
        }
        assert used, name
        assert used <= classes, name


def test_readme_names_every_folder_and_checks_that_exist() -> None:
    text = (MANIFESTS / "README.md").read_text()
    folders = {path.name for path in MANIFESTS.iterdir() if path.is_dir()}
    assert folders == set(re.findall(r"^\| `([a-z]+)/`", text, re.MULTILINE))
    named = {
        name
        for row in re.findall(r"\| ([^|]*) \|$", text, re.MULTILINE)
        for name in re.findall(r"^`([a-z-]+)`|, `([a-z-]+)`", row)
    }
    checks = {name for pair in named for name in pair if name}
    doctor = "".join(path.read_text() for path in (MANIFESTS.parent / "belisha" / "kubectl" / "doctor").glob("*.py"))
    assert {"api-server", "seldon-operator"} <= checks <= set(re.findall(r'@check\("([a-z-]+)"\)', doctor))


@pytest.mark.parametrize("name", ["kind", "gpu"])
def test_parameters_of_training_are_those_of_the_pipeline(name: str) -> None:
    compiled = yaml.safe_load(
        (MANIFESTS.parent / "pipelines" / "compiled" / "training.yaml").read_text().split("\n---\n")[0]
    )
    known = compiled["root"]["inputDefinitions"]["parameters"]
    kinds = {"STRING": str, "STRUCT": dict, "LIST": list, "NUMBER_INTEGER": int}
    for key, value in chart_values(name)["retrain"]["parameters"].items():
        assert isinstance(value, kinds[known[key]["parameterType"]]), key
