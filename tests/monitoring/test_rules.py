"""Every alert before promtool: it fires where it must, and no other fires with it; it is silent, also just below its bound."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from belisha.monitoring.generate import FOLDER, generated
from belisha.monitoring.rules.document import alerts, groups
from tests.monitoring.promtool import (
    Fired,
    Series,
    alert_names,
    alert_test,
    counted,
    gateway,
    growing,
    healthy,
    judge,
    on_one_machine,
    promtool,
    series,
)
from tests.monitoring.rule_cases import (
    BUDGETS,
    FAILS_MORE,
    FAST,
    PRESENCE,
    SERVING,
    SLOWER,
    burn,
    split_off,
)
from tests.monitoring.rule_cases_loop import LOOP, SLOW_STEPS

LOOP_GROUPS = ("belisha-joined", "belisha-loop-alerts")
CASES = [case for table in (SERVING, PRESENCE) for cases in table.values() for case in cases]


def hourly(world: Mapping[str, str]) -> Series:
    """The loop's part of a world whose steps are hours: what grew by 60 seconds a minute grows by 3600 an hour."""
    kept = {name: values for name, values in world.items() if not name.startswith(("seldon", "belisha_request"))}
    return {name: values.replace("0+60x", "0+3600x") for name, values in kept.items()}


def test_every_case_has_the_alerts_that_it_must_and_no_others(tmp_path: Path) -> None:
    """Budgets read windows of days, which take promtool long: the other cases go without them."""
    done = judge(tmp_path, [alert_test(case.what, case.world, case.at, case.fires) for case in CASES], budgets=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_budgets(tmp_path: Path) -> None:
    cases = [case for cases in BUDGETS.values() for case in cases]
    at = {case.what: "63m" if case.at == "45m" else case.at for case in cases}
    done = judge(tmp_path, [alert_test(case.what, case.world, at[case.what], case.fires) for case in cases])
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_loops_cases_before_the_loops_rules(tmp_path: Path) -> None:
    cases = [case for cases in LOOP.values() for case in cases]
    tests = [alert_test(case.what, case.world, case.at, case.fires, only=LOOP_GROUPS) for case in cases]
    done = judge(tmp_path, tests, only=LOOP_GROUPS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ages_of_days(tmp_path: Path) -> None:
    tests = [
        alert_test(case.what, hourly(case.world), case.at, case.fires, interval="1h", only=LOOP_GROUPS)
        for cases in SLOW_STEPS.values()
        for case in cases
    ]
    done = judge(tmp_path, tests, interval="1h", only=LOOP_GROUPS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_fires_in_one_case_is_silent_in_another_and_has_an_edge() -> None:
    for name in alert_names():
        cases = [case for table in (BUDGETS, SERVING, PRESENCE, LOOP, SLOW_STEPS) for case in table.get(name, [])]
        fires = [any(one.name == name for one in case.fires) for case in cases]
        assert True in fires, f"{name} never fires"
        assert False in fires, f"{name} is never silent"
        assert len(cases) >= (2 if name.endswith("SeriesAbsent") else 3), f"{name} has no edge"


def test_the_gateway_of_one_machine_gives_the_same_alerts(tmp_path: Path) -> None:
    base = on_one_machine({name: values for name, values in healthy().items() if not name.startswith("seldon")})
    well = {**base, **gateway("v1", "champion", 480), **gateway("v2", "challenger", 120)}
    fails = {**well, **gateway("v1", "champion", 384, failures=96)}
    shifted = {**base, **gateway("v1", "champion", 420), **gateway("v2", "challenger", 180)}
    local = [
        Fired(one.name, one.severity, one.description, one.labels, local=True) for one in (burn(*FAST), burn(*SLOWER))
    ]
    off = split_off("10%")
    tests = [
        alert_test("healthy", well, "45m", []),
        alert_test("the champion fails", fails, "45m", local),
        alert_test(
            "the split is off", shifted, "45m", [Fired(off.name, off.severity, off.description, off.labels, local=True)]
        ),
    ]
    done = judge(tmp_path, tests)
    assert done.returncode == 0, done.stdout + done.stderr


def by_predictors(version: str, per_minute: float, failed_ratio: float = 0.0) -> Series:
    """What a model counts itself inside a graph with a router, where the executor sees one predictor for all models."""
    of = f'predictor_name="graph", model_version="{version}"'
    stage = f'{of}, stage="total"'
    return {
        series("belisha_requests_total", f'{of}, outcome="ok", shadow="false"'): growing(
            per_minute * (1 - failed_ratio)
        ),
        series("belisha_requests_total", f'{of}, outcome="error", shadow="false"'): growing(per_minute * failed_ratio),
        series("belisha_requests_total", f'{of}, outcome="error", shadow="true"'): growing(per_minute),
        series("belisha_router_routes_total", f'{of}, drawn="true"'): growing(per_minute),
        **{
            series("belisha_stage_seconds_bucket", f'{stage}, le="{edge}"'): growing(per_minute * ratio)
            for edge, ratio in {"0.05": 0.5, "0.5": 1.0, "+Inf": 1.0}.items()
        },
        series("belisha_stage_seconds_count", stage): growing(per_minute),
    }


def in_one_graph(**models: Series) -> Series:
    """Two models behind a router: the executor counts one predictor, the models count themselves."""
    rest = {name: values for name, values in healthy().items() if not name.startswith("seldon")}
    graph = {name.replace("p-v1", "graph").replace("p-v2", "graph"): values for name, values in rest.items()}
    of_graph = {name.replace("p-v1", "graph"): values for name, values in counted("v1", 600).items()}
    return {**graph, **of_graph, **models["v1"], **models["v2"]}


def test_a_graph_with_a_router_is_judged_by_the_models_own_counters(tmp_path: Path) -> None:
    well = in_one_graph(v1=by_predictors("v1", 480), v2=by_predictors("v2", 120))
    fails = in_one_graph(v1=by_predictors("v1", 480), v2=by_predictors("v2", 120, failed_ratio=0.1))
    shifted = in_one_graph(v1=by_predictors("v1", 420), v2=by_predictors("v2", 180))
    tests = [
        alert_test("healthy", well, "45m", []),
        alert_test("the challenger fails", fails, "45m", [FAILS_MORE]),
        alert_test("the split is off", shifted, "45m", [split_off("10%")]),
    ]
    done = judge(tmp_path, tests, budgets=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_promotion_raises_no_alarm(tmp_path: Path) -> None:
    """Roles move, for a moment both hold, the old predictor goes, and the new champion's lines go on."""
    ended = {name: f"{values.split('x')[0]}x30 stale" for name, values in healthy().items() if "v1" in name}
    moved = {
        series("belisha_ledger_role_info", 'model_version="v2", role="challenger"'): "1x30 stale",
        series("belisha_ledger_role_info", 'model_version="v2", role="champion"'): "_x30 1x60",
        series("belisha_ledger_traffic_ratio", 'model_version="v2"'): "0.2x30 1x60",
    }
    world = {**healthy(), **ended, **moved}
    done = judge(tmp_path, [alert_test(at, world, at, []) for at in ("30m", "31m", "33m", "40m", "60m")], budgets=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_figures_by_role_are_right(tmp_path: Path) -> None:
    """What the panels read: rates, ratios, quantiles and shares, worked out by hand."""
    where = 'deployment_name="crossing", namespace="prod"'

    def sample(name: str, version: str, role_name: str, value: float) -> dict[str, object]:
        return {"labels": f'{name}{{{where}, model_version="{version}", role="{role_name}"}}', "value": value}

    expected = {
        "ab:requests:rate5m": (8, 2), "ab:errors:ratio_rate5m": (0.05, 0), "ab:slow:ratio_rate5m": (0, 0.1),
        # Half the answers come below 50 ms, nine tenths below 100 ms.
        "ab:latency_seconds:p50": (0.05, 0.05), "ab:latency_seconds:p95": (0.3, 0.5),
        "ab:traffic:ratio_increase10m": (0.8, 0.2), "ab:traffic_wanted:ratio": (0.8, 0.2),
    }  # fmt: skip
    world = {**healthy(), **counted("v1", 480, failed_ratio=0.05), **counted("v2", 120, slow_ratio=0.1)}
    test = {
        "name": "figures", "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in world.items()],
        "promql_expr_test": [
            {
                "expr": f"round({name}, 0.0001)", "eval_time": "45m",
                "exp_samples": [
                    {**sample("", "v1", "champion", champion)}, {**sample("", "v2", "challenger", challenger)},
                ],
            }
            for name, (champion, challenger) in expected.items()
        ],
    }  # fmt: skip
    done = judge(tmp_path, [test])
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_file_is_what_the_code_generates_and_promtool_finds_nothing_to_complain_of() -> None:
    for name, text in generated().items():
        assert (FOLDER / name).read_text(encoding="utf-8") == text, (
            f"run python -m belisha.monitoring.generate for {name}"
        )
    rules = FOLDER / "rules/belisha.rules.yaml"
    done = subprocess.run(
        [promtool(), "check", "rules", "--lint=all", "--lint-fatal", rules], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_says_what_to_do_and_has_a_twin_for_missing_data() -> None:
    known = {alert.name: alert for alert in alerts()}
    for rule in (rule for group in groups() for rule in group["rules"] if "alert" in rule):
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["for"]
        notes = rule["annotations"]
        assert notes["runbook_url"].endswith(f"/{rule['alert']}")
        assert notes["dashboard_url"].startswith("https://grafana.belisha.example/d/belisha-")
        assert "\n" not in notes["summary"]
    for alert in known.values():
        if alert.twin:
            assert alert.twin in known
            assert alert.twin.endswith("Absent")
        else:
            assert "absent(" in alert.expr or "unless" in alert.expr, alert.name


def test_alertmanager_routes_by_severity_and_deployment() -> None:
    amtool = shutil.which("amtool")
    if amtool is None:
        pytest.fail("amtool is not installed: it comes with the package prometheus-alertmanager")
    path = FOLDER / "alertmanager.yaml"
    done = subprocess.run([amtool, "check-config", path], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for severity, receiver in {"critical": "page", "warning": "ticket", "info": "log"}.items():
        for name in ("BelishaDriftConfirmed", "BelishaPredictorAbsent"):
            labels = [f"alertname={name}", f"severity={severity}", "deployment_name=crossing"]
            route = [
                amtool,
                "config",
                "routes",
                "test",
                f"--config.file={path}",
                f"--verify.receivers={receiver}",
                *labels,
            ]
            done = subprocess.run(route, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
    other = [amtool, "config", "routes", "test", f"--config.file={path}", "alertname=SomebodyElses"]
    assert subprocess.run(other, capture_output=True, text=True).stdout.strip() == "log"
