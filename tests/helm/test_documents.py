"""What the documents tell people to type exists: values, files and folders."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.helm.rendering import CHART

ROOT = CHART.parents[1]
PAGES = ["docs/kubernetes.md", "manifests/README.md", "helm/belisha/README.md"]


def known_values() -> set[str]:
    def paths(node: object, path: str) -> set[str]:
        inner = (
            {name for key, child in node.items() for name in paths(child, f"{path}.{key}")}
            if isinstance(node, dict)
            else set()
        )
        return {path.removeprefix("."), *inner}

    return paths(yaml.safe_load((CHART / "values.yaml").read_text()), "")


@pytest.mark.parametrize("page", PAGES)
def test_values_that_are_set_exist(page: str) -> None:
    given = re.findall(r"--set '?([A-Za-z.]+)=", (ROOT / page).read_text())
    # Labels are people's own names; components.… is a value of istioctl.
    ours = {re.sub(r"\.labels\..*", ".labels", key) for key in given if not key.startswith(("components", "profile"))}
    assert ours <= known_values()


@pytest.mark.parametrize("page", PAGES[:2])
def test_values_that_are_spoken_of_exist(page: str) -> None:
    tops = {value.split(".")[0] for value in known_values()}
    spoken = re.findall(r"`([a-z][A-Za-z]*\.[A-Za-z.]+[A-Za-z])`", (ROOT / page).read_text())
    ours = {key for key in spoken if key.split(".")[0] in tops and not key.endswith((".md", ".yaml"))}
    assert ours <= known_values() | {"serving.image.repository"}


@pytest.mark.parametrize("page", PAGES)
def test_files_and_folders_exist(page: str) -> None:
    text = (ROOT / page).read_text()
    named = re.findall(r"(?:-f|-k|--config) (manifests/[a-z./-]+)", text) + re.findall(
        r"python (scripts/[a-z_]+\.py)", text
    )
    linked = [(ROOT / page).parent / link for link in re.findall(r"\]\(([^)#:]+)\)", text)]
    assert [str(path) for path in [*(ROOT / name for name in named), *linked] if not path.exists()] == []
