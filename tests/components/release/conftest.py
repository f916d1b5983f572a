"""A cluster with Seldon's operator and an empty storage, for tests of the release controller."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kube.api_server import KubeServer
from tests.kube.seldon_world import SeldonWorld


@pytest.fixture
def server() -> Iterator[KubeServer]:
    made = KubeServer()
    yield made
    made.close()


@pytest.fixture
def world(server: KubeServer) -> SeldonWorld:
    return SeldonWorld(server)


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return str(tmp_path / "storage")
