"""`belisha serve` as a real process before real models: it follows the ledger, and leaves nothing behind."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from belisha.components.release.release import promote, rollback
from belisha.components.route.traffic import split_traffic
from tests.serving_world import World, make_world, release_another, same_boxes

SERVE = [sys.executable, "-m", "belisha.cli.main", "serve", "--port", "0", "--json"]


@dataclass
class Served:
    process: subprocess.Popen[str]
    url: str
    world: World

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=30) as response:
            return json.loads(response.read())

    @property
    def state(self) -> Any:
        return self.get("/api/v1.0/state")

    @property
    def shares(self) -> dict[str, float]:
        return {one["version"]: one["traffic_ratio"] for one in self.state["models"]}

    @property
    def pids(self) -> dict[str, int]:
        return {one["version"]: one["pid"] for one in self.state["predictors"] if one["ready"]}

    def ask(self, number: int = 0) -> tuple[int, str]:
        """Status and version of an answer that is proven right."""
        request = urllib.request.Request(self.url + "/api/v1.0/predictions", data=self.world.pictures[number])
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                version, boxes = response.headers["X-Belisha-Model-Version"], json.loads(response.read())["boxes"]
        except urllib.error.HTTPError as error:
            return error.code, ""
        assert same_boxes(boxes, self.world.answers[version][number]), (version, number)
        return 200, version


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for something to become true."""
    begin = time.monotonic()
    while not true():
        assert time.monotonic() - begin < seconds, "it did not come about in time"
        time.sleep(0.05)


def alive(pids: list[int]) -> list[int]:
    found = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
    return found


def family(process: subprocess.Popen[str]) -> list[int]:
    return [child.pid for child in psutil.Process(process.pid).children(recursive=True)]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    world = make_world(tmp_path)
    command = [*SERVE, "--storage", str(world.storage), "--cache", str(tmp_path / "cache")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield Served(process, json.loads(process.stdout.readline())["url"], world)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
        process.stdout.close()


def test_shares_promotion_and_rollback_act_at_once_and_restart_nothing(served: Served) -> None:
    storage, before = str(served.world.storage), served.pids
    assert served.shares == {"v1": 1.0, "v2": 0.0}
    with concurrent.futures.ThreadPoolExecutor(4) as clients:
        asking = [clients.submit(served.ask, number % 6) for number in range(400)]
        split_traffic(storage, 0.3, reason="test")
        until(lambda: served.shares == pytest.approx({"v1": 0.7, "v2": 0.3}))
        assert served.pids == before
        promote(storage, None, reason="test")
        until(lambda: served.shares == {"v2": 1.0})
        until(lambda: set(served.pids) == {"v2"})
        assert served.pids["v2"] == before["v2"], "a promotion restarts nothing"
        replies = [one.result() for one in asking]
    assert {status for status, _ in replies} == {200}
    until(lambda: not alive([before["v1"]]))
    # Back to v1, whose predictor is gone: v2 goes on until v1 is ready again.
    rollback(storage, reason="test")
    statuses = []
    while served.shares != {"v1": 1.0}:
        statuses.append(served.ask())
    assert {status for status, _ in statuses} == {200}
    assert served.ask() == (200, "v1")


def test_a_new_challenger_gets_nothing_before_it_is_ready(served: Served) -> None:
    storage = str(served.world.storage)
    promote(storage, None, reason="test")
    assert release_another(served.world) == "v3"
    split_traffic(storage, 0.9, reason="test")
    seen = set()
    while True:
        status, version = served.ask()
        assert status == 200
        if "v3" in served.shares:  # it became ready meanwhile, and may have been the one that answered
            break
        seen.add(version)
    assert "v3" not in seen - {"v1", "v2"}
    assert served.shares == pytest.approx({"v2": 0.1, "v3": 0.9})
    assert {served.ask(number % 6)[1] for number in range(60)} == {"v2", "v3"}


@pytest.mark.parametrize(("killed", "other"), [("v1", "v2"), ("v2", "v1")], ids=["champion", "challenger"])
def test_a_killed_predictor_is_stood_in_for_and_started_again(served: Served, killed: str, other: str) -> None:
    split_traffic(str(served.world.storage), 0.5, reason="test")
    until(lambda: served.shares == {"v1": 0.5, "v2": 0.5})
    before = served.pids
    with concurrent.futures.ThreadPoolExecutor(4) as clients:
        asking = [clients.submit(served.ask, number % 6) for number in range(300)]
        time.sleep(0.3)
        os.killpg(before[killed], signal.SIGKILL)
        assert {one.result()[0] for one in asking} == {200}
    until(lambda: served.pids.get(killed) not in (None, before[killed]))
    until(lambda: all(model["healthy"] for model in served.state["models"]))
    assert served.pids[other] == before[other]
    assert {served.ask(number % 6) for number in range(40)} == {(200, "v1"), (200, "v2")}


def test_sigterm_answers_what_is_in_flight_and_leaves_no_process(served: Served) -> None:
    children = family(served.process)
    assert len(children) > 4
    with concurrent.futures.ThreadPoolExecutor(8) as clients:
        asking = [clients.submit(served.ask) for _ in range(8)]
        time.sleep(0.02)
        served.process.send_signal(signal.SIGTERM)
        results = [one.exception() or one.result() for one in asking]
    # Those that had come are answered; those that had not find nobody listening.
    assert all(isinstance(one, urllib.error.URLError) or one == (200, "v1") for one in results), results
    assert served.process.wait(40) == 0
    until(lambda: not alive(children), 15)


def test_sigkill_of_the_parent_leaves_no_process(served: Served) -> None:
    children = family(served.process)
    served.process.kill()
    until(lambda: not alive(children), 20)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--storage", "{tmp}/none"], "there is no registry at", id="no registry"),
        pytest.param(["--storage", "{empty}"], "has no champion yet", id="no champion"),
        pytest.param(["--storage", "{world}", "--serve-python", "{tmp}/python"], "there is no Python at", id="no python"),
        pytest.param(["--storage", "{world}", "--policy", "{tmp}/policy.yaml"], "no readable policy", id="no policy"),
        pytest.param(["--storage", "{world}", "--serve-python", "/bin/false"], "ended before it was ready", id="it ends"),
    ],
)  # fmt: skip
def test_what_cannot_be_served_is_a_sentence(tmp_path: Path, arguments: list[str], words: str) -> None:
    world = make_world(tmp_path, models=1)
    (tmp_path / "empty/registry").mkdir(parents=True)
    places = {"tmp": str(tmp_path), "empty": str(tmp_path / "empty"), "world": str(world.storage)}
    command = [*SERVE, "--cache", str(tmp_path / "cache"), *(one.format(**places) for one in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode in (2, 70)
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
