"""A cluster with Seldon's operator, for tests of the kubectl plugin."""

from __future__ import annotations

from tests.kube.fixtures import server, world

__all__ = ["server", "world"]
