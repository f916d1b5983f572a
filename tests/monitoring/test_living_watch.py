"""The real thing: the stack watches real predictors under load; things break; the right alert comes, and no other.

The tests share one world with those of the page and run in this order, each leaving it healthy but for the last.
"""

from __future__ import annotations

import os
import shutil
import signal

import numpy as np
import pytest

from belisha.components.shared.loop_metrics import Job
from tests.monitoring.living import Living, until
from tests.monitoring.panels import dashboard, fill, targets
from tests.serving_world import png

pytestmark = pytest.mark.xdist_group("monitoring")
# No GPU here: tests/monitoring/test_dashboards.py tries these two on series as NVIDIA's exporter writes them.
ELSEWHERE = {"serving / GPU", "serving / GPU memory"}
VARIABLES = {"__rate_interval": "4s", "__range": "1m"}


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
    assert live.alerts() == set()


def test_night_is_seen_and_confirmed_drift_is_told(live: Living) -> None:
    brightness = 'sum(rate(belisha_picture_statistic_sum{statistic="brightness"}[4s])) / '
    brightness += 'sum(rate(belisha_picture_statistic_count{statistic="brightness"}[4s]))'
    by_day = live.value(brightness)
    live.clients.pictures = [png(np.full((96, 96, 3), 4, np.uint8))]
    until(lambda: live.value(brightness) < by_day / 4, lambda: (by_day, live.value(brightness)))
    live.jobs.drift = True
    fires_alone(live, "BelishaDriftConfirmed")
    told = next(one for one in live.told() if one["labels"]["alertname"] == "BelishaDriftConfirmed")
    assert told["receiver"] == "ticket"
    assert told["annotations"]["runbook_url"] == f"{live.stack.addresses.page}/runbooks/BelishaDriftConfirmed"
    live.clients.pictures, live.jobs.drift = list(live.world.pictures), False
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
    assert {one["labels"]["alertname"] for one in live.told() if one["status"] == "firing"} == {
        "BelishaDriftConfirmed", "BelishaDriftCheckStale", "BelishaChallengerSlower", "BelishaPredictorAbsent",
    }, "these were broken, and nobody was told of anything else"  # fmt: skip
