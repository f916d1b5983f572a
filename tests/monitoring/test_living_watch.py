"""The real thing: the stack watches real predictors under load; things break; the right alert comes, and no other.

The tests share one world with those of the page and run in this order, each leaving it healthy but for the last.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import pytest

from belisha.components.drift.step import freeze_reference
from belisha.components.shared.loop_metrics import Job
from belisha.components.shared.progress import silent
from belisha.components.shared.storage import open_store
from tests.components.drift.drift_log import NOON, end_of, log_table, write_log
from tests.monitoring.living import Living, until
from tests.monitoring.panels import dashboard, fill, targets
from tests.serving_world import make_world, png

pytestmark = pytest.mark.xdist_group("monitoring")
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
