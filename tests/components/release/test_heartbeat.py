"""A controller that goes round touches its file; one that hangs does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from belisha.components.release.apply import follow
from belisha.components.release.heartbeat import beating
from belisha.components.shared.errors import InputError
from tests.kube.api_server import KubeServer
from tests.kube.release_world import KilledError, applier, decide
from tests.kube.seldon_world import SeldonWorld


def test_every_round_of_a_controller_beats(
    server: KubeServer, world: SeldonWorld, storage: str, tmp_path: Path
) -> None:
    heartbeat, rounds = tmp_path / "heartbeat", 0

    def pause(_seconds: float) -> None:
        nonlocal rounds
        assert heartbeat.stat().st_mtime > 1_000_000_000, "touched before the pause"
        os.utime(heartbeat, (0, 0))
        rounds += 1
        if rounds == 5:
            raise KilledError

    decide(storage, "v1")
    made = applier(server, storage)
    made.pause = beating(heartbeat, pause)
    with pytest.raises(KilledError):
        follow(made, lambda _: None)
    assert world.weights() == {"y-v1": 100}


def test_a_heartbeat_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give another --heartbeat"):
        beating(tmp_path / "missing" / "heartbeat")
