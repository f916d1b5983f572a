"""Fixtures of a cluster, for the conftest of a folder whose tests need one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.kube.api_server import KubeServer
from tests.kube.seldon_world import SeldonWorld


@pytest.fixture
def server() -> Iterator[KubeServer]:
    """An API server on loopback."""
    made = KubeServer()
    yield made
    made.close()


@pytest.fixture
def world(server: KubeServer) -> SeldonWorld:
    """Seldon's operator at that server."""
    return SeldonWorld(server)
