"""The real thing: the stack watches real predictors under load; plots are drawn, things break, the right alert comes, no other.

The tests share one world, which takes a quarter of a minute to start, and run in this order; all but the last leave it healthy.
They stand in one module so that the world ends with them.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from belisha.components.drift.step import freeze_reference
from belisha.components.shared.loop_metrics import Job
from belisha.components.shared.progress import silent
from belisha.components.shared.storage import open_store
from tests.browser import Tab, chromium, open_tab
from tests.components.drift.drift_log import NOON, end_of, log_table, write_log
from tests.monitoring.living import Living, living, until
from tests.monitoring.panels import dashboard, fill, targets
from tests.serving_world import make_world, png

pytestmark = pytest.mark.xdist_group("monitoring")


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    with living(tmp_path_factory.mktemp("living")) as found:
        yield found


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


# No GPU here: tests/monitoring/test_dashboards.py tries these two on series as NVIDIA's exporter writes them.
ELSEWHERE = {"serving / GPU", "serving / GPU memory"}
VARIABLES = {"__rate_interval": "8s", "__range": "1m"}


def fires_alone(live: Living, name: str) -> None:
    """Wait for an alert at Alertmanager; then no other is there."""
    until(lambda: name in live.alerts(), lambda: (name, live.alerts()))
    assert live.alerts() == {name}
    until(lambda: any(one["labels"]["alertname"] == name for one in live.told()), live.told)


def heals(live: Living) -> None:
    until(lambda: not live.alerts(), live.alerts)


def test_every_query_of_every_panel_returns_data_and_nothing_fires(live: Living) -> None:
    queries = {f"{one.where}: {one.legend}": one.filled(VARIABLES) for one in targets() if one.where not in ELSEWHERE}
    queries["events"] = fill(dashboard("release")["annotations"]["list"][0]["expr"])
    until(
        lambda: all(live.query(expr) for expr in queries.values()),
        lambda: [where for where, expr in queries.items() if not live.query(expr)],
    )
    figures = {one["metric"]["role"]: float(one["value"][1]) for one in live.query("ab:requests:rate5m")}
    assert set(figures) == {"champion", "challenger"}
    assert min(figures.values()) > 1
    assert live.value('ab:source:info{source="gateway", model_version="v1"}') == 1
    rules = [rule for group in live.rules() for rule in group["rules"]]
    assert {rule["health"] for rule in rules} == {"ok"}, [rule.get("lastError") for rule in rules]
    assert live.alerts() == set()


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Street:
    """A champion's reference, then a log that turns dark, and one that is as it was."""
    root = tmp_path_factory.mktemp("street")
    storage = str(make_world(root, models=1, pictures=1).storage)
    store = open_store(storage)
    known = log_table(1000, seed=1, begin=NOON - timedelta(hours=2))
    write_log(store, known)
    freeze_reference(storage, "", 1.0, silent, min_pictures=600, until=end_of(known))
    night = log_table(300, seed=2, shift={"brightness": -4.0})
    day = log_table(300, seed=3, begin=NOON + timedelta(hours=1))
    for number, table in enumerate((night, day)):
        write_log(store, table, writer=f"host-{number + 2}")
    return Street(storage, end_of(night), end_of(day))


@dataclass(frozen=True)
class Street:
    """A storage with a request log, and when its night and the day after it end."""

    storage: str
    night: datetime
    day: datetime

    def check(self, live: Living, until: datetime) -> str:
        """The verdict of the real drift check, which pushes to the real Pushgateway."""
        options = ["--window", "100", "--min-window", "50", "--min-reference", "600", "--job", "--json"]
        command = [sys.executable, "-m", "belisha.cli.main", "drift", "check", "--storage", self.storage, *options]
        environment = {**os.environ, "BELISHA_PUSHGATEWAY": live.stack.addresses.pushgateway}
        done = subprocess.run(
            [*command, "--until", f"{until:%Y-%m-%dT%H:%M:%S%z}"], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["verdict"])


def test_night_is_seen_and_the_drift_that_a_check_confirms_is_told(live: Living, street: Street) -> None:
    brightness = 'sum(rate(belisha_picture_statistic_sum{statistic="brightness"}[8s])) / '
    brightness += 'sum(rate(belisha_picture_statistic_count{statistic="brightness"}[8s]))'
    until(lambda: live.value(brightness) > 0)
    by_day = live.value(brightness)
    live.clients.pictures = [png(np.full((96, 96, 3), 4, np.uint8))]
    until(lambda: live.value(brightness) < by_day / 4, lambda: (by_day, live.value(brightness)))
    live.jobs.stopped = {Job.DRIFT}
    assert street.check(live, street.night) == "drift"
    fires_alone(live, "BelishaDriftConfirmed")
    scores = {one["metric"]["feature"]: float(one["value"][1]) for one in live.query("belisha_drift_score")}
    assert max(scores, key=lambda feature: scores[feature]) == "brightness"
    assert scores["brightness"] > live.value("belisha_drift_bound")
    told = next(one for one in live.told() if one["labels"]["alertname"] == "BelishaDriftConfirmed")
    assert told["receiver"] == "ticket"
    assert told["annotations"]["runbook_url"] == f"{live.stack.addresses.page}/runbooks/BelishaDriftConfirmed"
    live.clients.pictures = list(live.world.pictures)
    assert street.check(live, street.day) == "no_drift"
    live.jobs.stopped = set()
    heals(live)


def test_a_drift_job_that_stops_is_missed(live: Living) -> None:
    live.jobs.stopped = {Job.DRIFT}
    fires_alone(live, "BelishaDriftCheckStale")
    live.jobs.stopped = set()
    heals(live)


def test_a_slow_challenger_is_told_from_the_champion(live: Living) -> None:
    with live.slowed("v2"):
        fires_alone(live, "BelishaChallengerSlower")
        assert live.value('ab:latency_seconds:p95{role="challenger"}') > live.value(
            'ab:latency_seconds:p95{role="champion"}'
        )
    heals(live)


def test_a_predictor_that_dies_and_cannot_come_back_is_told(live: Living) -> None:
    """Its model in the store is damaged, so that whoever starts it again refuses to serve it."""
    shutil.rmtree(live.cache)
    damaged = live.world.storage / "registry/models/v2/model/model.onnx"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    os.killpg(live.pid("v2"), signal.SIGKILL)
    answered = live.clients.answered
    fires_alone(live, "BelishaPredictorAbsent")
    until(lambda: live.clients.answered > answered + 20)
    broken = {"BelishaDriftConfirmed", "BelishaDriftCheckStale", "BelishaChallengerSlower", "BelishaPredictorAbsent"}
    others = [one for one in live.told() if one["labels"]["alertname"] not in broken]
    assert not others, "these four were broken, and nobody was told of anything else"
