"""The review page in a real browser: everything by keys, drawing by mouse, and nothing lost."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from belisha.components.review.drafts import read_drafts
from belisha.components.review.importing import ImportSettings, import_answers
from belisha.components.review.page import PageSettings, ReviewServer
from belisha.components.shared.progress import silent
from belisha.components.shared.review_queue import read_batches
from belisha.components.shared.storage import open_store
from tests.browser import Tab, chromium, open_tab
from tests.components.review.queue_world import World, selected, small_world

CODES = {
    "Enter": 13, "Escape": 27, "Delete": 46, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40,
}  # fmt: skip
SHIFT, CTRL = 8, 2
Scenario = Callable[[Tab], Awaitable[None]]
BOXES = "modelOf(now()).boxes"


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = small_world(tmp_path / "storage", pictures=3)
    selected(world)
    return world


@contextlib.contextmanager
def serving(server: ReviewServer) -> Iterator[ReviewServer]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def server(world: World) -> Iterator[ReviewServer]:
    with serving(ReviewServer(world.uri, PageSettings(port=0))) as found:
        yield found


async def press(tab: Tab, key: str, modifiers: int = 0) -> None:
    """A key as the browser gets it from the system."""
    facts: dict[str, Any] = {"key": key, "modifiers": modifiers}
    facts |= {"windowsVirtualKeyCode": CODES.get(key, ord(key[0].upper()))}
    if len(key) == 1 and not modifiers & CTRL:
        facts["text"] = key
    await tab.send("Input.dispatchKeyEvent", type="keyDown", **facts)
    await tab.send("Input.dispatchKeyEvent", type="keyUp", **{name: facts[name] for name in facts if name != "text"})


async def drag(tab: Tab, begin: tuple[float, float], end: tuple[float, float]) -> None:
    """With the left button from one place of the picture to another, in its pixels."""
    frame = "const f = stage.canvas.getBoundingClientRect(), v = stage.view;"
    script = f"((x, y) => {{ {frame} return [f.left + v.x + x * v.scale, f.top + v.y + y * v.scale]; }})"
    points = [await tab.run(f"{script}({x}, {y})") for x, y in (begin, end)]
    for kind, (x, y) in (("mousePressed", points[0]), ("mouseMoved", points[1]), ("mouseReleased", points[1])):
        await tab.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)


async def saved(tab: Tab) -> None:
    await tab.until("!saver.busy && document.getElementById('saved').textContent === 'saved'")


def on_page(
    server: ReviewServer,
    profile: Path,
    scenario: Callable[[Tab], Awaitable[None]],
    address: str = "/?annotator=ada",
    **look: Any,
) -> None:
    chromium()

    async def run() -> None:
        async with open_tab(server.url + address, profile, **look) as tab:
            if "annotator" in address:
                await tab.until("document.querySelectorAll('#strip li').length === 3 && stage.picture !== null")
            await scenario(tab)
            troubles = [one for one in tab.events if one["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")]
            assert not [one for one in troubles if "status of 4" not in json.dumps(one)], troubles
            asked = [
                one["params"]["request"]["url"] for one in tab.events if one["method"] == "Network.requestWillBeSent"
            ]
            assert asked
            assert all(url.startswith((server.url, "data:", "blob:", "about:")) for url in asked), asked

    asyncio.run(run())


def drafts_of(world: World, annotator: str) -> dict[str, Any]:
    store = open_store(world.uri)
    items = {item.picture_id: item for batch in read_batches(store) for item in batch.items}
    return {draft.vote.picture_id: draft for draft in read_drafts(store, items, annotator)}


def test_a_whole_batch_by_keys_alone(world: World, server: ReviewServer, tmp_path: Path) -> None:
    async def scenario(tab: Tab) -> None:
        assert await tab.run("document.getElementById('count').textContent") == "0 of 3 done"
        assert await tab.run(f"{BOXES}.map((box) => box.suggested)") == [True, True]
        before = await tab.run(f"{BOXES}[0]")
        # First picture: move and resize the first box, ignore the second, undo that, redo it.
        await press(tab, "j")
        await press(tab, "ArrowLeft")
        await press(tab, "ArrowDown", CTRL)
        await press(tab, "ArrowRight", SHIFT)
        await press(tab, "j")
        await press(tab, "i")
        await press(tab, "u")
        assert await tab.run(f"{BOXES}[1].label") == "pedestrian"
        await press(tab, "y", CTRL)
        assert await tab.run(f"{BOXES}[1].label") == "ignore"
        moved = await tab.run(f"{BOXES}[0]")
        assert (moved["x"], moved["y"]) == (pytest.approx(before["x"] - 1), pytest.approx(before["y"] + 10, abs=10))
        assert moved["width"] == pytest.approx(before["width"] + 1)
        await press(tab, "Enter")
        # Second picture: delete all that was suggested, put a box of our own.
        await tab.until("app.index === 1 && stage.picture !== null")
        for key in ("j", "x", "Delete", "d"):
            await press(tab, key)
        assert await tab.run(f"{BOXES}.map((box) => [box.label, box.suggested])") == [["pedestrian", False]]
        await press(tab, "Enter")
        # Third: nobody here.
        await tab.until("app.index === 2 && stage.picture !== null")
        for key in ("j", "x", "x", "Enter"):
            await press(tab, key)
        await saved(tab)
        assert await tab.run("document.getElementById('count').textContent") == "3 of 3 done"
        assert "Thank you" in await tab.run("document.getElementById('hint').textContent")

    on_page(server, tmp_path / "profile", scenario)
    found = import_answers(world.uri, ImportSettings(page=True), silent)
    assert [len(vote.boxes) for vote in sorted(found.votes, key=lambda vote: -len(vote.boxes))] == [2, 1, 0]
    assert sorted(box.ignore for vote in found.votes for box in vote.boxes) == [False, False, True]
    assert all(vote.seconds is not None and vote.seconds >= 0 for vote in found.votes)


def test_boxes_are_drawn_moved_and_resized_by_mouse(world: World, server: ReviewServer, tmp_path: Path) -> None:
    async def scenario(tab: Tab) -> None:
        await press(tab, "j")
        await press(tab, "x")
        await press(tab, "x")
        await drag(tab, (100, 60), (150, 180))
        [box] = await tab.run(BOXES)
        assert [box[name] for name in ("x", "y", "width", "height")] == pytest.approx([100, 60, 50, 120], abs=1)
        await drag(tab, (125, 120), (145, 110))
        [box] = await tab.run(BOXES)
        assert [box[name] for name in ("x", "y", "width", "height")] == pytest.approx([120, 50, 50, 120], abs=1)
        await drag(tab, (170, 170), (200, 200))
        [box] = await tab.run(BOXES)
        assert [box[name] for name in ("x", "y", "width", "height")] == pytest.approx([120, 50, 80, 150], abs=1)
        # Dragged over the border it is cut there; a click that moves nothing changes nothing.
        await drag(tab, (200, 200), (900, 900))
        [box] = await tab.run(BOXES)
        assert (box["x"] + box["width"], box["y"] + box["height"]) == (320, 240)
        steps = await tab.run("modelOf(now()).past.length")
        await drag(tab, (200, 150), (200, 150))
        assert await tab.run("modelOf(now()).past.length") == steps
        # Zoomed in, the mouse still means the same pixels.
        await press(tab, "z")
        await press(tab, "+")
        await drag(tab, (200, 150), (190, 145))
        [box] = await tab.run(BOXES)
        assert [box[name] for name in ("x", "y")] == pytest.approx([110, 45], abs=1)
        await saved(tab)

    on_page(server, tmp_path / "profile", scenario)
    [draft] = drafts_of(world, "ada").values()
    assert not draft.done
    assert len(draft.vote.boxes) == 1


def test_the_page_goes_on_where_the_person_was(world: World, server: ReviewServer, tmp_path: Path) -> None:
    async def first(tab: Tab) -> None:
        await press(tab, "Enter")
        await tab.until("app.index === 1 && stage.picture !== null")
        await press(tab, "j")
        await press(tab, "i")
        await saved(tab)

    async def second(tab: Tab) -> None:
        assert await tab.run("app.index") == 1
        assert await tab.run(f"{BOXES}.map((box) => box.label)") == ["ignore", "pedestrian"]
        assert await tab.run("document.getElementById('count').textContent") == "1 of 3 done"
        assert await tab.run("[...document.querySelectorAll('#strip li')].map((one) => one.className)") == [
            "done",
            "started",
            "",
        ]

    on_page(server, tmp_path / "one", first)
    on_page(server, tmp_path / "two", second)


def test_two_people_do_not_see_each_others_boxes(world: World, server: ReviewServer, tmp_path: Path) -> None:
    async def ada(tab: Tab) -> None:
        for key in ("j", "x", "x", "Enter"):
            await press(tab, key)
        await saved(tab)

    async def bob(tab: Tab) -> None:
        assert await tab.run(f"{BOXES}.length") == 2
        assert await tab.run("document.getElementById('count').textContent") == "0 of 3 done"
        await press(tab, "Enter")
        await saved(tab)

    on_page(server, tmp_path / "one", ada)
    on_page(server, tmp_path / "two", bob, "/?annotator=bob")
    assert sorted(len(draft.vote.boxes) for name in ("ada", "bob") for draft in drafts_of(world, name).values()) == [
        0,
        2,
    ]


def test_what_cannot_be_saved_is_said_and_saved_later(world: World, server: ReviewServer, tmp_path: Path) -> None:
    async def scenario(tab: Tab) -> None:
        await tab.run("window.realFetch = window.fetch; window.fetch = () => Promise.reject(new Error('gone')); 1")
        await press(tab, "j")
        await press(tab, "x")
        await tab.until("document.getElementById('saved').textContent.startsWith('not saved')")
        assert "cannot be reached" in await tab.run("document.getElementById('message').textContent")
        await tab.run("window.fetch = window.realFetch; 1")
        await saved(tab)
        assert await tab.run("document.getElementById('message').hidden")

    on_page(server, tmp_path / "profile", scenario)
    assert [len(draft.vote.boxes) for draft in drafts_of(world, "ada").values()] == [1]


def test_another_window_of_the_same_person_is_noticed(world: World, server: ReviewServer, tmp_path: Path) -> None:
    async def scenario(tab: Tab) -> None:
        other = """fetch(`/api/v1/answers/ada/${now().picture_id}`, {method: "PUT",
          headers: {"Content-Type": "application/json", "X-Belisha-Review": "1"},
          body: JSON.stringify({boxes: [], done: false, revision: 0})}).then((response) => response.status)"""
        assert await tab.run(other) == 200
        await press(tab, "j")
        await press(tab, "i")
        await tab.until("document.getElementById('message').textContent.includes('another window')")
        assert await tab.run(f"{BOXES}.length") == 0

    on_page(server, tmp_path / "profile", scenario)


def test_an_adjudicator_comes_to_what_is_disputed(world: World, tmp_path: Path) -> None:
    desk = ReviewServer(world.uri, PageSettings(port=0)).desk
    for picture in desk.queue("ada")["pictures"]:
        boxes = [{name: one[name] for name in ("x", "y", "width", "height", "label")} for one in picture["suggestions"]]
        for name, drawn in (("ada", boxes), ("bob", boxes), ("cyd", [*boxes, {**boxes[0], "x": 1, "y": 1}])):
            desk.save(name, picture["picture_id"], {"boxes": drawn, "done": True, "revision": 0})
    assert import_answers(world.uri, ImportSettings(page=True), silent).to_json()["disputed_boxes"] == 3

    async def scenario(tab: Tab) -> None:
        assert await tab.run(f"{BOXES}.map((box) => box.suggested)") == [True, False, False]
        assert await tab.run("modelOf(now()).current.tag") == "disputed"
        for index in range(3):
            await tab.until(f"app.index === {index} && stage.picture !== null")
            await press(tab, "x")
            await press(tab, "Enter")
        await saved(tab)

    with serving(ReviewServer(world.uri, PageSettings(port=0, adjudicate=True))) as server:
        on_page(server, tmp_path / "profile", scenario, "/?annotator=judge")
    found = import_answers(world.uri, ImportSettings(page=True), silent)
    assert {(one.truth.method, one.truth.disputed, len(one.boxes)) for one in found.reviewed} == {("adjudicated", 0, 2)}


def test_a_name_is_asked_for_and_everything_has_a_name(world: World, server: ReviewServer, tmp_path: Path) -> None:
    async def scenario(tab: Tab) -> None:
        assert await tab.run("document.getElementById('nameDialog').open")
        assert not await tab.run("document.getElementById('name').checkValidity()")
        await tab.run("document.getElementById('name').value = '../ada'; 1")
        assert not await tab.run("document.getElementById('name').checkValidity()")
        await tab.run(
            "document.getElementById('name').value = 'grace'; document.getElementById('nameForm').requestSubmit(); 1"
        )
        await tab.until("document.querySelectorAll('#strip li').length === 3")
        assert await tab.run("document.getElementById('who').textContent") == "grace"
        await press(tab, "?")
        assert await tab.run("document.getElementById('help').open")
        await press(tab, "Escape")
        tree = await tab.send("Accessibility.getFullAXTree")
        unnamed = [
            one for one in tree["nodes"]
            if one.get("role", {}).get("value") in ("button", "image", "img", "textbox", "progressbar")
            and not one.get("ignored") and not one.get("name", {}).get("value")
        ]  # fmt: skip
        assert not unnamed

    on_page(server, tmp_path / "profile", scenario, "/", dark=True, width_px=1000)


def test_an_empty_queue_says_so(tmp_path: Path) -> None:
    (tmp_path / "storage").mkdir()

    async def scenario(tab: Tab) -> None:
        await tab.run("begin('ada'); document.getElementById('nameDialog').close(); 1")
        await tab.until("!document.getElementById('empty').hidden")
        await press(tab, "n")
        await press(tab, "Enter")

    with serving(ReviewServer(str(tmp_path / "storage"), PageSettings(port=0))) as server:
        on_page(server, tmp_path / "profile", scenario, "/")
