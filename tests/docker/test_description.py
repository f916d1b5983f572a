"""What is read from an engine's description of an image; the two shapes are those of buildah 1.28 and Docker."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest

MODULE = runpy.run_path(str(Path(__file__).parents[2] / "docker/description.py"))
LABELS = {"org.opencontainers.image.revision": "abc"}


def test_buildah_lists_layers() -> None:
    manifest = json.dumps({"layers": [{"size": 224_943_616}, {"size": 649_175_040}]})
    found = MODULE["read"]({"Manifest": manifest, "Docker": {"config": {"Labels": LABELS}}})
    assert (found.size_megabytes, found.revision) == (874, "abc")


def test_docker_and_podman_give_a_list_of_one_with_a_sum() -> None:
    found = MODULE["read"]([{"Size": 881_000_000, "Config": {"Labels": LABELS}}])
    assert (found.size_megabytes, found.revision) == (881, "abc")


def test_an_image_without_labels_is_of_no_known_commit() -> None:
    assert MODULE["read"]([{"Size": 1, "Config": {"Labels": None}}]).revision == "unknown"


def test_an_image_that_nobody_has_is_named() -> None:
    with pytest.raises(LookupError, match=r"nonsense/of-no-engine:0: .*make images"):
        MODULE["describe"]("nonsense/of-no-engine:0")
