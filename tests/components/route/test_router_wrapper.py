"""The router in Seldon's real wrapper, under threads, several workers, feedback and SIGKILL."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from scipy.stats import binom

from belisha.components.route import Caller, Policy, Route, Target, route
from tests.components.route.wrapped import ROOT, SERVE_PYTHON, Client, Wrapper, in_threads, wait_until

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
RULES = """
schema: belisha.policy/1
experiment: spring
sticky_by: camera
rules:
  - {name: no scrapers, when: {clients: ["scraper-*"]}, deny: "scrapers are not served: ask the platform team"}
  - {name: lab, when: {clients: [lab]}, use: challenger}
  - {name: qa, when: {clients: [qa]}, may_choose: true}
camera_classes:
  - {name: embedded, cameras: ["gate-*"], max_model_bytes: 15}
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wrapper]:
    folder = tmp_path_factory.mktemp("router")
    (folder / "policy.yaml").write_text(RULES)
    parameters = {
        "children": "v1,v2",
        "children_bytes": "10,20",
        "challenger_traffic_ratio": 0.3,
        "policy_path": str(folder / "policy.yaml"),
        "follow_seconds": 0.05,
    }
    wrapper = Wrapper(folder, parameters)
    yield wrapper
    wrapper.end()


def test_two_thousand_cameras_get_the_wanted_share_keep_their_model_and_are_counted(served: Wrapper) -> None:
    before = served.samples("belisha_router_routes_total")
    drawn: list[tuple[str, int]] = []

    def work(number: int) -> None:
        client = Client(served.http)
        for index in range(500):
            camera = f"camera-{number}-{index}"
            drawn.append((camera, client.child(camera=camera)))

    in_threads(4, work)
    low, high = binom.interval(0.99, 2000, 0.3)
    assert low <= sum(child for _, child in drawn) <= high
    again = Client(served.http)
    for camera, child in drawn[::10]:
        assert again.child({"X-Belisha-Camera": camera}) == child, "by header as by tag, by any worker"
    after = served.samples("belisha_router_routes_total")
    counted = {key: after[key] - before[key] for key in after}
    assert sum(counted.values()) == 2200
    children = Counter(child for _, child in [*drawn, *drawn[::10]])
    assert {key: value for key, value in counted.items() if value} == {
        (("drawn", "true"), ("model_version", version)): children[child] for child, version in enumerate(("v1", "v2"))
    }


def test_the_wrapper_decides_as_the_pure_function_does(served: Wrapper) -> None:
    policy = Policy.model_validate(yaml.safe_load(RULES))
    targets = [Target("v1", "champion", 0.7, 10), Target("v2", "challenger", 0.3, 20)]
    client = Client(served.http)
    for index in range(200):
        caller = Caller(f"r{index}", client=["", "lab", "qa"][index % 3], camera=["gate-1", f"c{index}"][index % 2])
        expected = route(policy, targets, caller, NOON)
        assert isinstance(expected, Route)
        found = client.child({"X-Request-ID": caller.request_id}, client=caller.client, camera=caller.camera)
        assert ["v1", "v2"][found] == expected.target.version


@pytest.mark.parametrize("path", ["/route", "/transform-input"])
@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({"X-Belisha-Client": "scraper-9"}, "scrapers are not served: ask the platform team", id="rule"),
        pytest.param({"X-Belisha-Client": "x", "X-Belisha-Model": "v2"}, "may not choose a model", id="no entitlement"),
    ],
)
def test_a_refusal_is_403_and_a_sentence(served: Wrapper, headers: dict[str, str], expected: str, path: str) -> None:
    before = sum(served.samples("belisha_router_denied_total").values())
    status, answer = Client(served.http).post(path, {"jsonData": {}}, {"X-Request-ID": "r-1", **headers})
    assert status == 403
    assert set(answer) == {"error", "request_id"}
    assert answer["request_id"] == "r-1"
    assert expected in answer["error"]
    assert sum(served.samples("belisha_router_denied_total").values()) == before + 1


def test_an_admitted_message_passes_the_router_unchanged_and_counts_as_no_route(served: Wrapper) -> None:
    before = served.samples("belisha_router_routes_total")
    message = {"meta": {"puid": "p", "tags": {"camera": "c"}}, "jsonData": {"image": "AAAA"}}
    assert Client(served.http).post("/transform-input", message) == (200, message)
    assert served.samples("belisha_router_routes_total") == before


def test_every_reward_is_counted_a_zero_too(served: Wrapper) -> None:
    """The wrapper's own counter would lose the zeros, and counts under threads."""

    def feedback(reward: object, child: int | None) -> dict[str, Any]:
        routing = {} if child is None else {"ab": child}
        return {"reward": reward, "response": {"meta": {"routing": routing}}}

    def work(_: int) -> None:
        client = Client(served.http)
        for _ in range(25):
            for value in (feedback(1, 0), feedback(0, 0), feedback(0, 1), feedback(-0.5, 1), feedback(2, None)):
                assert client.post("/send-feedback", value)[0] == 200
        assert client.post("/send-feedback", feedback("NaN", 1))[0] == 200
        assert client.post("/send-feedback", feedback(1, 7))[0] == 200

    in_threads(4, work)
    counted = {key: value for key, value in served.samples("belisha_router_feedback_total").items() if value}
    by = {(dict(key)["model_version"], dict(key)["sign"]): value for key, value in counted.items()}
    assert by == {
        ("v1", "positive"): 100,
        ("v1", "zero"): 100,
        ("v2", "zero"): 100,
        ("v2", "negative"): 100,
        ("v2", "refused"): 4,
        ("unknown", "positive"): 104,
    }
    gained = {dict(key)["model_version"]: v for key, v in served.samples("belisha_router_reward_gained_total").items()}
    assert gained == {"v1": 100, "v2": 0, "unknown": 204}
    lost = {dict(key)["model_version"]: v for key, v in served.samples("belisha_router_reward_lost_total").items()}
    assert lost == {"v1": 0, "v2": 50, "unknown": 0}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        pytest.param("[]", 400, id="list"),
        pytest.param("7", 400, id="number"),
        pytest.param("null", 400, id="null"),
        pytest.param("{", 400, id="half"),
        pytest.param('{"meta": 5}', 200, id="meta no object"),
        pytest.param('{"meta": {"tags": [1], "puid": 4}}', 200, id="tags no object"),
    ],
)
def test_odd_messages_leave_the_router_alive(served: Wrapper, body: str, status: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.http, timeout=10)
    connection.request("POST", "/route", body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    assert response.status == status, response.read()
    assert Client(served.http).child() in (0, 1)


def test_a_changed_policy_is_taken_up_by_every_worker(served: Wrapper) -> None:
    path = served.folder / "policy.yaml"
    path.write_text(RULES.replace("scraper-*", "robot-*"))

    def status(name: str) -> int:
        client = Client(served.http)
        return client.post("/route", {"jsonData": {}}, {"X-Belisha-Client": name})[0]

    try:
        wait_until(lambda: [status("robot-1") for _ in range(20)] == [403] * 20)
        assert [status("scraper-1") for _ in range(20)] == [200] * 20
    finally:
        path.write_text(RULES)


_GRPC = """
from google.protobuf import json_format
from seldon_core.proto import prediction_pb2
from belisha.components.route.router import TrafficRouter
router = TrafficRouter("v1,v2", 1.0)
message = json_format.ParseDict({"meta": {"puid": "p", "tags": {"camera": "c"}}}, prediction_pb2.SeldonMessage())
answer = router.route_raw(message)
print(int(answer.data.tensor.values[0]), answer.meta.tags["model_version"].string_value)
"""


def test_a_grpc_message_is_routed_too() -> None:
    done = subprocess.run([SERVE_PYTHON, "-c", _GRPC], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.stdout.split() == ["1", "v2"], done.stderr


def workers_of(wrapper: Wrapper) -> list[int]:
    """The processes below the wrapper that listen on its port."""
    found = subprocess.run(["pgrep", "-P", str(wrapper.process.pid)], capture_output=True, text=True)
    return [pid for pid in map(int, found.stdout.split()) if listens(pid, wrapper.http)]


def test_killed_workers_take_no_count_with_them_and_the_folder_goes_at_the_end(tmp_path: Path) -> None:
    wrapper = Wrapper(tmp_path, {"children": "v1"}, workers=2, threads=2)
    try:
        client = Client(wrapper.http)
        for _ in range(50):
            client.child()
        wait_until(lambda: len(workers_of(wrapper)) == 2)  # the first answers before the second has been forked
        for pid in workers_of(wrapper):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: answers_route(wrapper.http))
        before = sum(wrapper.samples("belisha_router_routes_total").values())
        for _ in range(50):
            Client(wrapper.http).child()
        assert before >= 51
        assert sum(wrapper.samples("belisha_router_routes_total").values()) == before + 50
        assert list(tmp_path.glob("belisha-metrics-*"))
    finally:
        wrapper.end()
    assert not list(tmp_path.glob("belisha-metrics-*"))


def answers_route(port: int) -> bool:
    try:
        Client(port).child()
    except (OSError, http.client.HTTPException):
        return False
    return True


def listens(pid: int, port: int) -> bool:
    """Whether a process holds the listening socket of a port."""
    inodes = {line.split()[9] for line in Path("/proc/net/tcp").read_text().splitlines()[1:] if _is_of(line, port)}
    links = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
    return any(f"socket:[{inode}]" in links for inode in inodes)


def _is_of(line: str, port: int) -> bool:
    address, state = line.split()[1], line.split()[3]
    return state == "0A" and int(address.rsplit(":", 1)[1], 16) == port
