"""The committed pipeline equals its source, uses our images alone and says what its parameters mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from belisha.components.shared.container_images import ROLES, image_of
from belisha.pipelines.compiling import compile_training, compiled_path

# One container image each.
STEPS = ("acquire", "split", "baseline", "train", "validate", "compare", "release")


def load(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    pipeline, platform = yaml.safe_load_all(path.read_text())
    pipeline["sdkVersion"] = "any"
    return pipeline, platform


@pytest.fixture(scope="module")
def committed() -> tuple[dict[str, Any], dict[str, Any]]:
    return load(compiled_path())


def test_the_committed_pipeline_equals_its_source(
    tmp_path: Path, committed: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    compile_training(tmp_path / "training.yaml")
    assert load(tmp_path / "training.yaml") == committed, "run `belisha compile --out pipelines/compiled/training.yaml`"


def test_every_image_is_ours_and_pinned(committed: tuple[dict[str, Any], dict[str, Any]]) -> None:
    executors = committed[0]["deploymentSpec"]["executors"].values()
    images = sorted(executor["container"]["image"] for executor in executors)
    assert images == sorted(image_of(role) for role in STEPS)
    assert set(STEPS) <= set(ROLES)
    assert not any(image.endswith(":latest") for image in images)


def test_nothing_is_installed_at_run_time(committed: tuple[dict[str, Any], dict[str, Any]]) -> None:
    for executor in committed[0]["deploymentSpec"]["executors"].values():
        assert "pip install" not in " ".join(executor["container"]["command"])


def test_images_follow_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Components are decorated at import, so another registry needs another process, as the command line has."""
    monkeypatch.setenv("BELISHA_IMAGE_PREFIX", "registry.example/ml")
    monkeypatch.setenv("BELISHA_IMAGE_TAG", "9.9.9")
    assert image_of("train") == "registry.example/ml/train:9.9.9"


def test_every_parameter_is_explained_and_has_a_default_but_the_storage(
    committed: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    parameters = committed[0]["root"]["inputDefinitions"]["parameters"]
    assert all(parameter.get("description") for parameter in parameters.values())
    without_default = {name for name, parameter in parameters.items() if "defaultValue" not in parameter}
    assert without_default == {"storage_uri"}
    prefixes = ("data_", "split_", "train_", "gate_", "storage_", "run_")
    assert all(name.startswith(prefixes) for name in parameters)


def test_caching_is_off_where_the_world_may_have_changed(committed: tuple[dict[str, Any], dict[str, Any]]) -> None:
    tasks = committed[0]["root"]["dag"]["tasks"]
    cached = {name for name, task in tasks.items() if task.get("cachingOptions", {}).get("enableCache", False)}
    assert cached == {"train-detector"}


def test_every_step_is_retried(committed: tuple[dict[str, Any], dict[str, Any]]) -> None:
    assert all(task["retryPolicy"]["maxRetryCount"] == 2 for task in committed[0]["root"]["dag"]["tasks"].values())


def test_training_gets_its_gpu_nodes_and_shared_memory(committed: tuple[dict[str, Any], dict[str, Any]]) -> None:
    pipeline, platform = committed
    resources = pipeline["deploymentSpec"]["executors"]["exec-train-detector"]["container"]["resources"]
    assert "train_gpu_count" in str(resources["accelerator"]) or "train-gpu-count" in str(resources["accelerator"])
    kubernetes = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-train-detector"]
    assert kubernetes["emptyDirMounts"][0]["mountPath"] == "/dev/shm"
    assert kubernetes["emptyDirMounts"][0]["medium"] == "Memory"
    assert kubernetes["nodeSelector"]
    assert kubernetes["tolerations"]


def test_storage_credentials_are_optional_secrets_never_parameters(
    committed: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    pipeline, platform = committed
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert len(executors) == len(STEPS)
    assert all(executor["secretAsEnv"][0]["optional"] for executor in executors.values())
    assert not any(
        "secret" in name or "password" in name for name in pipeline["root"]["inputDefinitions"]["parameters"]
    )


def test_what_the_kfp_ui_shows_has_the_types_that_it_shows(committed: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """The Visualization and Compare pages know artifacts by their schema alone: HTML, scalar metrics, confusion matrix."""
    components = committed[0]["components"].values()
    shown: dict[str, set[str]] = {}
    for component in components:
        for name, artifact in component.get("outputDefinitions", {}).get("artifacts", {}).items():
            shown.setdefault(name, set()).add(artifact["artifactType"]["schemaTitle"])
    assert shown["report"] == shown["card"] == {"system.HTML"}
    assert shown["metrics"] == {"system.Metrics"}
    assert shown["confusion"] == {"system.ClassificationMetrics"}
    with_report = [one for one in components if {"report", "card"} & set(one["outputDefinitions"].get("artifacts", {}))]
    assert len(with_report) == 6, "every step but release has a page"
