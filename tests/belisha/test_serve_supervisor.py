"""When a predictor is started again: at once after a death, later after many, and also one that lives but hangs."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from belisha.components.route.gateway import GatewaySettings
from belisha.components.shared.progress import silent
from belisha.serving import supervisor
from belisha.serving.load import Load, Reply, client_session
from belisha.serving.serve import ServeOptions, serving
from belisha.serving.supervisor import pause_seconds
from tests.serving_world import make_world


def test_the_pause_grows_from_nothing_to_a_bound() -> None:
    assert [pause_seconds(deaths) for deaths in (1, 2, 3, 4)] == [0.0, 0.5, 1.0, 2.0]
    assert pause_seconds(10) == pause_seconds(10_000) == 30.0


def test_a_predictor_that_hangs_is_stood_in_for_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_HUNG_SECONDS", 1.0)
    world = make_world(tmp_path, models=2)
    options = ServeOptions(
        str(world.storage), GatewaySettings(port=0, request_seconds=3.0), cache_dir=tmp_path / "cache"
    )
    replies: list[Reply] = []

    async def scenario() -> None:
        async with serving(options, silent) as running, client_session() as session, asyncio.timeout(90):
            champion = running.supervisor.posts[0]
            assert champion.predictor is not None
            hung = champion.predictor.pid
            os.killpg(hung, signal.SIGSTOP)
            load = Load(running.url, world.pictures)
            while champion.restarts == 0 or not running.gateway.fleet.is_healthy(champion.url):
                await load.closed(session, clients=2, requests=2, take=replies.append)
                await asyncio.sleep(0.1)
            await load.closed(session, clients=2, requests=4, take=replies.append)
            assert champion.predictor.pid != hung

    asyncio.run(scenario())
    assert {reply.status for reply in replies} == {200}
    assert replies[0].version == "v2", "the challenger stands in for a champion that hangs"
    assert {reply.version for reply in replies[-4:]} == {"v1"}
