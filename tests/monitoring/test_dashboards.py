"""Dashboards keep the rules of Grafana's own linter, and a few of ours; every query is PromQL."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.monitoring.panels import NAMES, Target, dashboard, fill, panels, targets
from tests.monitoring.promtool import judge, promtool

TARGETS = targets()
# Units as Grafana spells them; those that the panels use.
UNITS = {"bytes", "cps", "dateTimeAsIso", "none", "percentunit", "reqps", "s", "short", "wps"}
COUNTER = re.compile(r"\b(\w+_(?:total|sum|count|bucket))\b(?=[{\[])")
SELECTOR = re.compile(r"([A-Za-z_:][\w:]*)\{([^}]*)\}")


def test_there_are_panels() -> None:
    assert len(TARGETS) > 60
    assert {one.dashboard for one in TARGETS} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_dashboard_keeps_the_linters_rules(name: str) -> None:
    found = dashboard(name)
    assert found["uid"] == f"belisha-{name}"
    assert found["editable"] is False
    assert found["title"].startswith("Belisha / ")
    assert found["description"].endswith(".")
    variables = {one["name"]: one for one in found["templating"]["list"]}
    assert list(variables) == ["datasource", "namespace", "deployment", "model"]
    assert variables["datasource"]["query"] == "prometheus"
    for variable in ("namespace", "deployment", "model"):
        assert variables[variable]["refresh"] == 2, "refreshed when the time range changes"
        assert variables[variable]["datasource"]["uid"] == "${datasource}"
        assert variables[variable]["allValue"] == ".*"
    others = {one["url"]: one for one in found["links"]}
    assert set(others) == {f"/d/belisha-{other}" for other in NAMES if other != name}
    assert all(one["keepTime"] and one["includeVars"] for one in others.values())
    events = found["annotations"]["list"][0]
    assert events["datasource"]["uid"] == "${datasource}"
    assert events["useValueForTime"]
    titles = [panel["title"] for panel in panels(name)]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("name", NAMES)
def test_every_panel_says_what_it_shows_in_which_unit(name: str) -> None:
    for panel in panels(name):
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["targets"], panel["title"]
        assert all(one["legendFormat"] and one["datasource"]["uid"] == "${datasource}" for one in panel["targets"])
        references = [one["refId"] for one in panel["targets"]]
        assert len(set(references)) == len(references)
        position = panel["gridPos"]
        assert position["x"] + position["w"] <= 24


@pytest.mark.parametrize("target", TARGETS, ids=lambda one: f"{one.where}: {one.legend}")
def test_query_matches_on_the_variables_and_wraps_counters(target: Target) -> None:
    selectors = SELECTOR.findall(target.expr)
    assert selectors, target.expr
    for metric, matchers in selectors:
        assert 'namespace=~"$namespace"' in matchers, metric
        if not metric.startswith("DCGM_"):
            assert 'deployment_name=~"$deployment"' in matchers, metric
    for found in COUNTER.finditer(target.expr):
        before = target.expr[: found.start()]
        assert before.endswith(("rate(", "increase(")), f"{found[1]} is a counter"
    assert "irate(" not in target.expr
    for window in re.findall(r"\[([^\]]+)\]", target.expr):
        assert window in ("$__rate_interval", "$__range"), "a fixed window is empty at another scrape interval"


def test_figures_of_the_comparison_name_both_arms() -> None:
    by_role = [one for one in TARGETS if "{{role}}" in one.legend]
    assert len([one for one in by_role if one.dashboard == "release"]) >= 12
    for one in by_role:
        assert "ab:" in one.expr, "the role comes from the ledger"


def test_every_query_is_promql(tmp_path: Path) -> None:
    queries = [(one.where, one.filled()) for one in TARGETS]
    queries += [(f"{name} events", fill(dashboard(name)["annotations"]["list"][0]["expr"])) for name in NAMES]
    rules = [{"record": f"query:{number}", "expr": expr} for number, (_, expr) in enumerate(queries)]
    path = tmp_path / "queries.yaml"
    path.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    done = subprocess.run([promtool(), "check", "rules", "--lint=none", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_would_find_a_query_that_does_not_parse(tmp_path: Path) -> None:
    path = tmp_path / "queries.yaml"
    path.write_text(json.dumps({"groups": [{"name": "g", "rules": [{"record": "x", "expr": "sum(rate(up[5m])"}]}]}))
    assert subprocess.run([promtool(), "check", "rules", path], capture_output=True).returncode != 0


def test_gpu_panels_read_what_nvidias_exporter_writes(tmp_path: Path) -> None:
    labels = (
        'gpu="0", UUID="GPU-1", modelName="NVIDIA A10", namespace="prod", pod="crossing-v1-0", container="detector"'
    )
    expected = {"GPU": ("DCGM_FI_DEV_GPU_UTIL", 37, 0.37), "GPU memory": ("DCGM_FI_DEV_FB_USED", 2048, 2**31)}
    queries = {one.panel["title"]: one.filled() for one in TARGETS}
    test = {
        "interval": "1m",
        "input_series": [{"series": f"{name}{{{labels}}}", "values": f"{raw}x5"} for name, raw, _ in expected.values()],
        "promql_expr_test": [
            {"expr": queries[title], "eval_time": "5m", "exp_samples": [{"labels": f"{{{labels}}}", "value": value}]}
            for title, (_, _, value) in expected.items()
        ],
    }
    done = judge(tmp_path, [test])
    assert done.returncode == 0, done.stdout + done.stderr
