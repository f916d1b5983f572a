"""The page's server over real HTTP: its names, its pictures, its drafts, and who is kept out."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from belisha.components.review.importing import ImportSettings, import_answers
from belisha.components.review.page import PageSettings, ReviewServer, document
from belisha.components.review.page.gatekeeper import gatekeeper, host_name
from belisha.components.shared.errors import InputError
from belisha.components.shared.progress import silent
from tests.components.review.queue_world import World, selected, small_world

OWN = {"Content-Type": "application/json", "X-Belisha-Review": "1"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = small_world(tmp_path_factory.mktemp("page") / "storage", pictures=3)
    world.keep(77, minutes=200)  # kept, and never handed out
    selected(world, 3)
    return world


@pytest.fixture(scope="module")
def server(world: World) -> Iterator[ReviewServer]:
    found = ReviewServer(world.uri, PageSettings(port=0, allowed_hosts=("review.example.org",)))
    thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield found
    found.shutdown()
    thread.join()
    found.server_close()


def ask(
    server: ReviewServer, method: str, path: str, value: Any = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=30)
    body = value if isinstance(value, bytes) else None if value is None else json.dumps(value).encode()
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    found = response.status, response.read(), response.headers
    connection.close()
    return found


def queue(server: ReviewServer, annotator: str = "ada") -> dict[str, Any]:
    return json.loads(ask(server, "GET", f"/api/v1/queue?annotator={annotator}")[1])


def first_picture(server: ReviewServer) -> str:
    return queue(server)["pictures"][0]["picture_id"]


def put(server: ReviewServer, picture_id: str, annotator: str = "ada", *, revision: int = 0, **changes: Any) -> Any:
    value = {"boxes": [], "done": False, "revision": revision, "seconds": 1.5, **changes}
    status, body, _ = ask(server, "PUT", f"/api/v1/answers/{annotator}/{picture_id}", value, OWN)
    return status, json.loads(body)


def test_the_page_is_locked_up_and_self_contained(server: ReviewServer) -> None:
    status, body, headers = ask(server, "GET", "/")
    assert status == 200
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert b"/*SCRIPT*/" not in body
    assert b"/*STYLE*/" not in body
    assert body == document.HTML


def test_the_queue_says_what_people_need(server: ReviewServer) -> None:
    found = queue(server)
    assert found["annotator"] == "ada"
    assert len(found["pictures"]) == 3
    first = found["pictures"][0]
    assert {"picture_id", "width_px", "height_px", "camera", "pick", "suggestions"} <= first.keys()
    assert [round(one["score"], 2) for one in first["suggestions"]] == [0.9, 0.45]
    assert "file://" not in json.dumps(found)


def test_pictures_of_the_queue_are_there_and_no_others(server: ReviewServer, world: World) -> None:
    for picture in queue(server)["pictures"]:
        status, body, headers = ask(server, "GET", f"/pictures/{picture['picture_id']}")
        assert (status, headers["Content-Type"], body[:2]) == (200, "image/jpeg", b"\xff\xd8")
    handed_out = {picture["picture_id"] for picture in queue(server)["pictures"]}
    [kept] = set(world.truth) - handed_out
    assert ask(server, "GET", f"/pictures/{kept}")[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        "/pictures/../batches/000001.json", "/pictures/..%2f..%2fetc%2fpasswd", "/pictures/", "/review/batches/000001.json",
        "/pictures/" + "a" * 64, "//etc/passwd", "/pictures/%00", "/api/v1/answers/ada/x", "/../../etc/passwd", "/style.css",
    ],
)  # fmt: skip
def test_hostile_paths_find_nothing(server: ReviewServer, path: str) -> None:
    status, body, _ = ask(server, "GET", path)
    assert status == 404
    assert "error" in json.loads(body)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:{port}", 200), ("localhost:{port}", 200), ("[::1]:{port}", 200), ("review.example.org", 200),
        ("evil.example.com", 403), ("evil.example.com:{port}", 403), ("127.0.0.1.evil.com", 403), ("", 403),
        ("localhost@evil.com", 403), ("localhost/evil", 403), ("[::1", 403),
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/", "/api/v1/queue?annotator=ada"])
def test_only_its_own_names_are_answered(server: ReviewServer, host: str, expected: int, path: str) -> None:
    """A site that points its own name at this machine sends that name as Host."""
    assert ask(server, "GET", path, headers={"Host": host.format(port=server.server_address[1])})[0] == expected


def test_a_probe_needs_no_name(server: ReviewServer) -> None:
    status, body, _ = ask(server, "GET", "/healthz", headers={"Host": "10.1.2.3:8070"})
    assert (status, json.loads(body)) == (200, {"status": "serving"})


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Content-Type": "application/json"}, id="no own header"),
        pytest.param({"X-Belisha-Review": "1", "Content-Type": "text/plain"}, id="what a form can send"),
        pytest.param({**OWN, "Origin": "http://evil.example.com"}, id="another origin"),
        pytest.param({**OWN, "Origin": "null"}, id="no origin at all"),
        pytest.param({**OWN, "Sec-Fetch-Site": "cross-site"}, id="cross-site"),
    ],
)
def test_other_sites_cannot_write(server: ReviewServer, headers: dict[str, str]) -> None:
    picture, before = first_picture(server), queue(server, "mallory")
    value = {"boxes": [], "done": True, "revision": 0}
    assert ask(server, "PUT", f"/api/v1/answers/mallory/{picture}", value, headers)[0] == 403
    assert queue(server, "mallory") == before


def test_no_preflight_is_answered(server: ReviewServer) -> None:
    status, _, headers = ask(server, "OPTIONS", "/api/v1/answers/ada/x", headers={"Origin": "http://evil.example.com"})
    assert status >= 400
    assert "Access-Control-Allow-Origin" not in headers


def test_its_own_origin_may_write(server: ReviewServer) -> None:
    picture, origin = first_picture(server), {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}
    value = {"boxes": [], "done": False, "revision": 0}
    assert ask(server, "PUT", f"/api/v1/answers/origin/{picture}", value, {**OWN, **origin})[0] == 200


@pytest.mark.parametrize(
    ("annotator", "picture", "changes", "status"),
    [
        ("..", None, {}, 400), ("a%2fb", None, {}, 400), ("%00", None, {}, 400), ("a%20b", None, {}, 400),
        ("x" * 65, None, {}, 400), ("ada2", "0" * 64, {}, 400), ("ada2", "..", {}, 400), ("ada2", None, {"boxes": 3}, 400),
        ("ada2", None, {"done": "yes"}, 400),
        ("ada2", None, {"boxes": [{"x": "NaN", "y": 1, "width": 5, "height": 5, "label": "pedestrian"}]}, 400),
        ("ada2", None, {"boxes": [{"x": 1, "y": 1, "width": 5, "height": 5, "label": "<script>"}]}, 400),
        ("ada2", None, {"revision": -1}, 400), ("ada2", None, {"revision": True}, 400), ("ada2", None, {"boxes": [[]]}, 400),
    ],
)  # fmt: skip
def test_hostile_answers_are_one_sentence_and_leave_nothing(
    server: ReviewServer, world: World, annotator: str, picture: str | None, changes: dict[str, Any], status: int
) -> None:
    folder = world.folder / "review" / "answers"
    before = sorted(folder.rglob("*"))
    found, value = put(server, picture or first_picture(server), annotator, **changes)
    assert found == status
    assert "\n" not in value["error"]
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"[" * 50_000, b"\xff", b'{"boxes": NaN}'])
def test_bodies_that_are_no_answers_are_refused(server: ReviewServer, body: bytes) -> None:
    assert ask(server, "PUT", f"/api/v1/answers/ada3/{first_picture(server)}", body, OWN)[0] == 400


def test_a_body_too_large_or_of_unknown_length_is_not_read(server: ReviewServer) -> None:
    path = f"/api/v1/answers/ada3/{first_picture(server)}"
    for length in ("2000000", "-5", "many", ""):
        with socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=30) as raw:
            head = (
                f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nX-Belisha-Review: 1\r\nContent-Type: application/json\r\n"
            )
            raw.sendall(f"{head}Content-Length: {length}\r\n\r\n".encode())
            answer = raw.makefile("rb").read()
        assert answer.startswith(b"HTTP/1.1 413")
        assert b"Connection: close" in answer


def test_a_body_that_nobody_reads_is_not_taken_for_a_request(server: ReviewServer) -> None:
    smuggled = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.server_address[1]), timeout=30) as raw:
        raw.sendall(
            f"GET /none HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(smuggled)}\r\n\r\n".encode() + smuggled
        )
        answer = raw.makefile("rb").read()
    assert answer.count(b"HTTP/1.1") == 1


def test_two_people_at_once_do_not_touch_each_other(server: ReviewServer) -> None:
    pictures = [picture["picture_id"] for picture in queue(server)["pictures"]]

    def work(name: str) -> list[int]:
        return [
            put(server, picture, name, revision=revision, boxes=[_box(10 + revision)])[0]
            for revision in range(5)
            for picture in pictures
        ]

    with ThreadPoolExecutor(2) as people:
        found = list(people.map(work, ["first", "second"]))
    assert {status for statuses in found for status in statuses} == {200}
    for name in ("first", "second"):
        saved = queue(server, name)["answers"]
        assert {(one["annotator"], one["revision"], one["boxes"][0]["x"]) for one in saved.values()} == {
            (name, 5, 14.0)
        }


def _box(x: float) -> dict[str, Any]:
    return {"x": x, "y": 20, "width": 30, "height": 60, "label": "pedestrian"}


def test_two_windows_of_one_person_never_overwrite_each_other(server: ReviewServer) -> None:
    picture = first_picture(server)
    assert put(server, picture, "twin", boxes=[_box(1)])[1]["revision"] == 1
    status, saved = put(server, picture, "twin", boxes=[_box(99)])
    assert (status, saved["revision"], saved["boxes"][0]["x"]) == (409, 1, 1)
    with ThreadPoolExecutor(8) as windows:
        found = list(windows.map(lambda x: put(server, picture, "twin", revision=1, boxes=[_box(x)])[0], range(8)))
    assert sorted(found) == [200] + [409] * 7


def test_what_is_done_can_be_imported_and_the_rest_waits(world: World, server: ReviewServer, tmp_path: Path) -> None:
    fresh = small_world(tmp_path / "storage", pictures=2)
    selected(fresh)
    desk = ReviewServer(fresh.uri, PageSettings(port=0)).desk
    first, second = (one["picture_id"] for one in desk.queue("ada")["pictures"])
    desk.save("ada", first, {"boxes": [_box(5)], "done": True, "revision": 0, "seconds": 3})
    desk.save("ada", second, {"boxes": [_box(5)], "done": False, "revision": 0})
    found = import_answers(fresh.uri, ImportSettings(page=True), silent)
    assert [vote.picture_id for vote in found.votes] == [first]
    assert found.waiting == 1
    assert [one["picture_id"] for one in desk.queue("ada")["pictures"]] == [second]


def test_somebody_who_has_drawn_can_decide_later(tmp_path: Path) -> None:
    world = small_world(tmp_path / "storage", pictures=1)
    selected(world)
    desk = ReviewServer(world.uri, PageSettings(port=0, people=3)).desk
    [picture] = (one["picture_id"] for one in desk.queue("ada")["pictures"])
    for name, boxes in (("ada", [_box(5)]), ("bob", [_box(5)]), ("cyd", [_box(5), _box(200)])):
        desk.save(name, picture, {"boxes": boxes, "done": True, "revision": 0})
        found = import_answers(world.uri, ImportSettings(page=True), silent)
    assert found.reviewed[0].truth.disputed == 1
    assert desk.queue("ada")["pictures"] == []

    judge = ReviewServer(world.uri, PageSettings(port=0, adjudicate=True)).desk
    queue = judge.queue("ada")
    [shown] = queue["pictures"]
    assert [(one["models"], one["x"]) for one in shown["suggestions"]] == [(("consensus",), 5), (("disputed",), 200)]
    assert (queue["adjudicate"], queue["answers"]) == (True, {})
    judge.save("ada", picture, {"boxes": [_box(5), _box(200)], "done": True, "revision": 0})
    found = import_answers(world.uri, ImportSettings(page=True), silent)
    [truth] = (one.truth for one in found.reviewed)
    assert (truth.method, truth.disputed, len(truth.boxes)) == ("adjudicated", 0, 2)
    # Her own first word still counts for agreement, and taking everything in again finds nothing new.
    assert found.agreement.annotators == ("ada", "bob", "cyd")
    assert import_answers(world.uri, ImportSettings(page=True), silent).number is None
    assert judge.queue("ada")["pictures"] == []


def test_an_address_that_is_taken_is_a_sentence(world: World, server: ReviewServer) -> None:
    with pytest.raises(InputError, match="give another port"):
        ReviewServer(world.uri, PageSettings(port=server.server_address[1]))


@pytest.mark.parametrize("value", ["a b", "a@b", "a/b", "[::1", "", ":80"])
def test_what_is_no_host_has_no_name(value: str) -> None:
    assert host_name(value) not in gatekeeper("127.0.0.1").hosts
