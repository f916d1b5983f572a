"""The web page in a real browser, before two real models."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from belisha.components.route.gateway import GatewaySettings, Sample
from belisha.components.shared.progress import silent
from belisha.serving.serve import ServeOptions, Serving, serving
from tests.browser import Tab, chromium, open_tab
from tests.serving_world import World, make_world

ARTICLES = "[...document.querySelectorAll('#answers article')]"
ROWS = """(one) => [...one.querySelectorAll('tbody tr')].map(
  (row) => [...row.cells].map((cell) => Number(cell.textContent)))"""
BRIGHT_PIXELS = """(one) => {
  const canvas = one.querySelector('canvas');
  const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  return [...data].filter((value, place) => place % 4 === 1 && value > 60).length;
}"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("page"))


def on_page(world: World, profile: Path, scenario: Any, **look: Any) -> None:
    """Serve the world, open its page, and run a scenario on it."""
    chromium()
    samples = [Sample(f"bright {number}", data, "image/png") for number, data in enumerate(world.pictures[:2])]
    options = ServeOptions(
        str(world.storage), GatewaySettings(port=0, max_body_bytes=200_000, patience_seconds=1), samples=samples,
        cache_dir=world.storage.parent / "cache", runtime="onnxruntime",
    )  # fmt: skip

    async def run() -> None:
        async with serving(options, silent) as running, open_tab(running.url, profile, **look) as tab:
            await tab.until("document.querySelectorAll('#samples button').length === 2")
            await scenario(running, tab)
            troubles = [one for one in tab.events if one["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")]
            assert not [one for one in troubles if "status of 4" not in json.dumps(one)], troubles
            asked = [
                one["params"]["request"]["url"] for one in tab.events if one["method"] == "Network.requestWillBeSent"
            ]
            assert asked
            assert all(url.startswith((running.url, "data:", "blob:", "about:")) for url in asked), asked

    asyncio.run(run())


def test_a_sample_picked_by_keyboard_shows_both_models(world: World, tmp_path: Path) -> None:
    async def scenario(running: Serving, tab: Tab) -> None:
        assert "champion v1: 100 %" in await tab.run("document.getElementById('split').textContent")
        for _ in range(2):
            await tab.key("Tab")
        assert "bright 0" in await tab.run("document.activeElement.textContent")
        await tab.key("Enter")
        await tab.until(f"{ARTICLES}.length === 2")
        heads = await tab.run(f"{ARTICLES}.map((one) => one.querySelector('.head').textContent)")
        assert heads[0].startswith("Championv1")
        assert heads[1].startswith("Challengerv2")
        assert all(head.endswith(" ms") for head in heads)
        rows = await tab.run(f"{ARTICLES}.map({ROWS})")
        for version, found in zip(("v1", "v2"), rows, strict=True):
            expected = [
                [round(score, 3), x, y, width, height] for x, y, width, height, score in world.answers[version][0]
            ]
            assert found == [pytest.approx(row, abs=2e-3) for row in expected]
        # The picture and its boxes are really painted: the canvas is neither empty nor the bare picture.
        painted = await tab.run(f"{ARTICLES}.map({BRIGHT_PIXELS})")
        assert min(painted) > 500
        await tab.run(
            "(() => { const s = document.getElementById('least'); s.value = 0.99; s.dispatchEvent(new Event('input')); })()"
        )
        assert await tab.run(f"{ARTICLES}.every((one) => one.textContent.includes('No pedestrian found.'))")

    on_page(world, tmp_path, scenario)


def test_a_file_is_answered_and_rubbish_is_a_sentence(world: World, tmp_path: Path) -> None:
    picture, rubbish, huge = tmp_path / "street.png", tmp_path / "rubbish.jpg", tmp_path / "huge.jpg"
    picture.write_bytes(world.pictures[3])
    rubbish.write_bytes(b"this is no picture <script>alert(1)</script>")
    huge.write_bytes(bytes(300_000))

    async def scenario(running: Serving, tab: Tab) -> None:
        async def give(path: Path) -> None:
            node = (await tab.send("DOM.getDocument"))["root"]["nodeId"]
            found = await tab.send("DOM.querySelector", nodeId=node, selector="#file")
            await tab.send("DOM.setFileInputFiles", nodeId=found["nodeId"], files=[str(path)])

        await give(picture)
        await tab.until(f"{ARTICLES}.length === 2")
        assert "street.png: champion v1 found 3" in await tab.run("document.getElementById('status').textContent")
        for path, words in ((rubbish, "not a JPEG"), (huge, "larger than the 200000 bytes")):
            await give(path)
            await tab.until(f"document.getElementById('message').textContent.includes('{words}')")
            assert await tab.run("!document.getElementById('message').hidden")
            assert not await tab.run(f"{ARTICLES}.length")

    on_page(world, tmp_path / "profile", scenario)


def test_the_page_says_who_serves_now(world: World, tmp_path: Path) -> None:
    from belisha.components.route.traffic import split_traffic

    async def scenario(running: Serving, tab: Tab) -> None:
        await asyncio.to_thread(split_traffic, str(world.storage), 0.25, reason="")
        await tab.until("document.getElementById('split').textContent.includes('challenger v2: 25 %')")
        names = await tab.send("Accessibility.getFullAXTree")
        unnamed = [
            one for one in names["nodes"]
            if one.get("role", {}).get("value") in ("button", "slider", "image") and not one.get("ignored")
            and not one.get("name", {}).get("value")
        ]  # fmt: skip
        assert not unnamed

    on_page(world, tmp_path, scenario, dark=True, width_px=420)
