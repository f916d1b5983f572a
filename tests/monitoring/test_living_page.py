"""The page of plots in a real browser, before the real stack and models that serve."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.browser import Tab, chromium, open_tab
from tests.monitoring.living import Living, until

pytestmark = pytest.mark.xdist_group("monitoring")
_SHOTS = os.environ.get("BELISHA_TEST_SCREENSHOTS")
ARTICLE = "[...document.querySelectorAll('article')].find((one) => one.querySelector('h3').textContent === {title})"


def on_page(live: Living, profile: Path, scenario: Any, path: str = "/", **look: Any) -> None:
    chromium()
    page = live.stack.addresses.page

    async def run() -> None:
        async with open_tab(page + path, profile, **look) as tab:
            await tab.until("document.body.dataset.drawn")
            await scenario(tab)
            troubles = [one for one in tab.events if one["method"] in ("Runtime.exceptionThrown", "Log.entryAdded")]
            assert not troubles, troubles
            asked = [
                one["params"]["request"]["url"] for one in tab.events if one["method"] == "Network.requestWillBeSent"
            ]
            assert asked
            assert all(url.startswith((page, "data:", "about:")) for url in asked), asked

    asyncio.run(run())


def article(title: str) -> str:
    return ARTICLE.replace("{title}", json.dumps(title))


def test_four_dashboards_are_drawn_from_what_prometheus_knows(live: Living, tmp_path: Path) -> None:
    until(lambda: len(live.query("ab:latency_seconds:p95")) == 2)

    async def scenario(tab: Tab) -> None:
        # The world is young: its last minute fills the plots.
        await tab.run(
            "(() => { const r = document.getElementById('range'); r.value = 60; r.dispatchEvent(new Event('change')); })()"
        )
        await tab.until("document.body.dataset.drawn")
        roles = await tab.run(f"{article('Roles')}.textContent")
        assert "champion v1" in roles
        assert "challenger v2" in roles
        for name in ("release", "drift", "loop", "serving"):
            await tab.run(
                f"document.querySelectorAll('#tabs button')[{('release', 'drift', 'loop', 'serving').index(name)}].click()"
            )
            await tab.until(f"document.body.dataset.drawn === '{name}'")
            empty = await tab.run(
                "[...document.querySelectorAll('article')].filter((one) => one.querySelector('.empty'))"
                ".map((one) => one.querySelector('h3').textContent)"
            )
            assert set(empty) <= {"GPU", "GPU memory"}, (name, empty)
            await tab.screenshot(_shots(tmp_path) / f"{name}.png")
        unnamed = [
            one for one in (await tab.send("Accessibility.getFullAXTree"))["nodes"]
            if one.get("role", {}).get("value") in ("button", "tab", "combobox", "image") and not one.get("ignored")
            and not one.get("name", {}).get("value")
        ]  # fmt: skip
        assert not unnamed

    on_page(live, tmp_path / "profile", scenario, width_px=1500, height_px=1000)


def test_lines_are_where_the_values_are_and_both_models_look_apart(live: Living, tmp_path: Path) -> None:
    async def scenario(tab: Tab) -> None:
        await tab.until(f"{article('Split')}.querySelectorAll('path.series').length === 4")
        strokes = await tab.run(
            f"[...{article('Split')}.querySelectorAll('path.series')].map((one) => one.getAttribute('stroke'))"
        )
        assert sorted(strokes) == ["var(--challenger)"] * 2 + ["var(--champion)"] * 2
        asked_for = await tab.run(
            f"[...{article('Split')}.querySelectorAll('.legend span')].map((one) => one.textContent)"
        )
        assert {text for text in asked_for if "asked for" in text} == {
            "champion v1 asked for 50 %", "challenger v2 asked for 50 %",
        }  # fmt: skip
        # A share of one half is drawn at the middle of the axis's own labels.
        lies = await tab.run(f"""(() => {{
            const panel = {article("Split")}, y = (one) => one.getBoundingClientRect();
            const labels = [...panel.querySelectorAll('text')].filter((one) => one.textContent.endsWith('%'));
            const at = (text) => y(labels.find((one) => one.textContent === text));
            const path = [...panel.querySelectorAll('path.series')].at(-1).getBoundingClientRect();
            const middle = (box) => box.top + box.height / 2;
            return [middle(at('0 %')), middle(path), labels.map((one) => [parseFloat(one.textContent), middle(y(one))])];
        }})()""")
        zero, line, labels = lies
        top_value, top = max(labels)
        assert line == pytest.approx(zero + (top - zero) * 50 / top_value, abs=6)

    on_page(live, tmp_path, scenario, width_px=1500)


def test_a_narrow_dark_page_and_an_alert_with_its_runbook(live: Living, tmp_path: Path) -> None:
    live.jobs.drift = True
    until(lambda: "BelishaDriftConfirmed" in live.alerts(), live.alerts)

    async def scenario(tab: Tab) -> None:
        assert await tab.run("document.querySelector('#tabs [aria-selected=true]').textContent") == "Drift"
        await tab.until("!!document.querySelector('#alerts .warning')")
        text = await tab.run("document.querySelector('#alerts').textContent")
        assert text.startswith("BelishaDriftConfirmed Enough of the last windows of belisha")
        assert await tab.run("document.documentElement.scrollWidth <= innerWidth")
        await tab.screenshot(_shots(tmp_path) / "narrow.png")
        await tab.run("document.querySelector('#alerts a').click()")
        await tab.until("document.title === 'BelishaDriftConfirmed' && document.body.textContent.includes('## Fix')")

    on_page(live, tmp_path / "profile", scenario, "/d/belisha-drift", width_px=420, dark=True)
    live.jobs.drift = False
    until(lambda: not live.alerts(), live.alerts)


def test_the_server_passes_on_only_what_reads(live: Living) -> None:
    page = live.stack.addresses.page
    for path in ("/api/v1/admin/tsdb/snapshot", "/runbooks/..%2Falertmanager", "/runbooks/Nothing", "/-/quit"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(page + path, timeout=30)
        assert refused.value.code == 404, path


def _shots(folder: Path) -> Path:
    """Where screenshots go; a person who wants to look at them names a folder."""
    shots = Path(_SHOTS or folder)
    shots.mkdir(parents=True, exist_ok=True)
    return shots
