"""The stack on one machine: what it is told, what it refuses, and that nothing outlives it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest
import yaml

from belisha.components.shared.errors import InputError
from belisha.monitoring.local.configuration import FOLDER, Addresses, alertmanager_config, prometheus_config
from belisha.monitoring.local.plots import plots
from belisha.monitoring.local.programs import find_programs
from belisha.monitoring.settings import HOUR, MonitoringSettings
from tests.monitoring.living import until
from tests.release_folders import release_one

ADDRESSES = Addresses(*(f"http://127.0.0.1:{port}" for port in (8090, 8080, 9090, 9091, 9093)))


def test_programs_are_found_by_debians_names_and_their_makers() -> None:
    debian = find_programs({"prometheus": "/p", "prometheus-pushgateway": "/g", "prometheus-alertmanager": "/a"}.get)
    plain = find_programs({"prometheus": "/p", "pushgateway": "/g", "alertmanager": "/a"}.get)
    assert debian == plain


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ({}, "prometheus and prometheus-pushgateway and prometheus-alertmanager are not installed"),
        ({"prometheus": "/p", "pushgateway": "/g"}, "prometheus-alertmanager is not installed: run `apt-get install"),
    ],
)
def test_a_missing_program_is_told_with_the_way_to_get_it(there: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        find_programs(there.get)


def test_prometheus_scrapes_all_parts_and_keeps_what_jobs_say(tmp_path: Path) -> None:
    text = prometheus_config(
        ADDRESSES, tmp_path / "rules.yaml", MonitoringSettings(), scrape_seconds=5, deployment_name="crossing"
    )
    jobs = {one["job_name"]: one for one in yaml.safe_load(text)["scrape_configs"]}
    assert jobs["belisha-gateway"]["static_configs"] == [
        {"targets": ["127.0.0.1:8080"], "labels": {"deployment_name": "crossing"}}
    ]
    assert jobs["belisha-predictor"]["http_sd_configs"][0]["url"] == "http://127.0.0.1:8090/targets"
    assert jobs["belisha-ledger"]["static_configs"] == [{"targets": ["127.0.0.1:8090"]}]
    assert jobs["belisha-pushgateway"]["honor_labels"]
    path = tmp_path / "prometheus.yaml"
    path.write_text(text)
    (tmp_path / "rules.yaml").write_text("groups: []")
    done = subprocess.run(["promtool", "check", "config", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alertmanager_tells_the_page_by_the_committed_routes(tmp_path: Path) -> None:
    committed = yaml.safe_load((FOLDER / "alertmanager.yaml").read_text())
    found = yaml.safe_load(alertmanager_config(ADDRESSES, MonitoringSettings()))
    assert [one["matchers"] for one in found["route"]["routes"]] == [
        one["matchers"] for one in committed["route"]["routes"]
    ]
    assert found["inhibit_rules"] == committed["inhibit_rules"]
    urls = {one["name"]: one["webhook_configs"][0]["url"] for one in found["receivers"]}
    assert urls["page"] == "http://127.0.0.1:8090/notifications/page"
    path = tmp_path / "alertmanager.yaml"
    path.write_text(yaml.safe_dump(found))
    done = subprocess.run(["amtool", "check-config", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("seconds", "scale", "text"),
    [
        (300, 1, "5m"),
        (86400, 1, "1d"),
        (90, 1, "90s"),
        (300, 0.01, "3s"),
        (30, 0.01, "300ms"),
        (0.001, 0.01, "1ms"),
    ],
)
def test_times_are_written_as_promql_reads_them(seconds: float, scale: float, text: str) -> None:
    assert MonitoringSettings(time_scale=scale).duration(seconds) == text


def test_ages_are_scaled_like_windows() -> None:
    assert MonitoringSettings(time_scale=0.01).seconds(3 * HOUR) == "108"


def test_the_page_draws_every_panel_without_grafanas_variables() -> None:
    found = plots(5)
    assert [one["name"] for one in found] == ["release", "drift", "loop", "serving"]
    panels = [panel for one in found for panel in one["panels"] if panel["kind"] != "heading"]
    assert len(panels) > 40
    for panel in panels:
        assert panel["kind"] in ("lines", "number", "states")
        for target in panel["targets"]:
            assert "$" not in target["expr"].replace("$__range", "")
    assert any("[20000ms]" in target["expr"] for panel in panels for target in panel["targets"])


def monitor(tmp_path: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "belisha.cli.main", "monitor", "--storage", str(tmp_path / "storage"), "--json"]
    return subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def free(*names: str) -> list[str]:
    return [word for name in names for word in (f"--{name}", "0")]


ALL_FREE = free("port", "prometheus-port", "pushgateway-port", "alertmanager-port")


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_it_runs_until_told_to_stop_and_leaves_nothing_behind(tmp_path: Path, end: int) -> None:
    release_one(tmp_path, str(tmp_path / "storage"))
    process = monitor(tmp_path, *ALL_FREE)
    try:
        assert process.stdout is not None
        addresses = json.loads(process.stdout.readline())
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 6, "three programs, each below its guard"
        page = urllib.request.urlopen(addresses["page"] + "/metrics").read().decode()
        assert 'belisha_ledger_role_info{deployment_name="belisha",model_version="v1",role="champion"} 1.0' in page
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(addresses["page"] + "/targets")
        assert refused.value.code == 503, "nobody serves: Prometheus keeps what it knows"
        os.kill(process.pid, end)
        code = process.wait(60)
        assert code == (0 if end == signal.SIGTERM else -signal.SIGKILL)
        until(lambda: not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in family))
    finally:
        process.kill()
        process.communicate()


def test_what_it_cannot_do_is_a_sentence(tmp_path: Path) -> None:
    nothing = monitor(tmp_path, *ALL_FREE)
    assert "there is no registry" in nothing.communicate(timeout=60)[1]
    assert nothing.returncode == 2
    release_one(tmp_path, str(tmp_path / "storage"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused = monitor(tmp_path, *ALL_FREE[:2], "--prometheus-port", port, *ALL_FREE[4:])
        assert f"cannot listen on 127.0.0.1:{port}" in refused.communicate(timeout=60)[1]
    assert refused.returncode == 2
