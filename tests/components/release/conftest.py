"""A cluster with Seldon's operator and an empty storage, for tests of the release controller."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kube.fixtures import server, world

__all__ = ["server", "world"]


@pytest.fixture
def storage(tmp_path: Path) -> str:
    return str(tmp_path / "storage")
