"""What promtool needs to judge rules and queries: a small world of series, and its answers."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from belisha.monitoring.rules.document import groups

NAMESPACE, DEPLOYMENT = "prod", "crossing"
MINUTES = 240
_WHERE = f'namespace="{NAMESPACE}", deployment_name="{DEPLOYMENT}"'
Series = dict[str, str]
# Rules over more than half an hour.
_LONG = re.compile(r"rate(1h|2h|6h|1d|3d)")


def promtool() -> str:
    """Its path; a failure where it is missing, for CI installs it."""
    found = shutil.which("promtool")
    if found is None:
        pytest.fail("promtool is not installed: it comes with the package prometheus")
    return found


def series(name: str, labels: str = "") -> str:
    """A series of the deployment."""
    return f"{name}{{{_WHERE}{', ' + labels if labels else ''}}}"


def steady(value: float, minutes: int = MINUTES) -> str:
    return f"{value:g}x{minutes}"


def growing(per_minute: float, minutes: int = MINUTES) -> str:
    return f"0+{per_minute:g}x{minutes}"


def counted(version: str, per_minute: float, *, failed_ratio: float = 0.0, slow_ratio: float = 0.0) -> Series:
    """What Seldon's executor counts for a predictor: requests by code, and latency with half the answers under 50 ms."""
    of = f'predictor_name="p-{version}", service="predictions"'
    name = "seldon_api_executor_server_requests_seconds"
    edges = {"0.05": 0.5, "0.1": 0.9, "0.5": 1 - slow_ratio, "+Inf": 1.0}
    return {
        series(f"{name}_count", f'{of}, code="200"'): growing(per_minute * (1 - failed_ratio)),
        series(f"{name}_count", f'{of}, code="500"'): growing(per_minute * failed_ratio),
        **{
            series(f"{name}_bucket", f'{of}, code="200", le="{edge}"'): growing(
                per_minute * min(ratio, 1 - slow_ratio) if edge != "+Inf" else per_minute
            )
            for edge, ratio in edges.items()
        },
    }


def model(version: str, result: str = "ready") -> Series:
    """What a predictor says of its model."""
    of = f'predictor_name="p-{version}", model_version="{version}"'
    loads = {one: steady(float(one == result)) for one in ("ready", "golden_mismatch", "failed")}
    return {
        series("belisha_model_info", f'{of}, runtime="onnxruntime"'): steady(1),
        **{series("belisha_model_load", f'{of}, result="{one}"'): value for one, value in loads.items()},
        series("belisha_request_log_dropped_total", f'{of}, reason="queue_full"'): steady(0),
    }


def role(version: str, name: str, ratio: float) -> Series:
    """What the exporter says of a version."""
    return {
        series("belisha_ledger_role_info", f'model_version="{version}", role="{name}"'): steady(1),
        series("belisha_ledger_traffic_ratio", f'model_version="{version}"'): steady(ratio),
    }


LOOP = {
    series("belisha_drift_last_success_timestamp_seconds"): growing(60),
    series("belisha_drift_alert"): steady(0),
    series("belisha_experiment_last_success_timestamp_seconds"): growing(60),
    series("belisha_experiment_verdict", 'verdict="STOP"'): steady(0),
    series("belisha_retrain_last_start_timestamp_seconds", 'cause="drift"'): steady(0),
    series("belisha_retrain_last_success_timestamp_seconds"): steady(60),
    series("belisha_retrain_last_failure_timestamp_seconds"): steady(0),
    series("belisha_retrain_running"): steady(0),
    series("belisha_review_queue_pictures"): steady(3),
    series("belisha_review_queue_oldest_timestamp_seconds"): steady(0),
}


def healthy(**options: float) -> Series:
    """A champion with four fifths of ten requests a second, a challenger with the rest, and a loop that lives."""
    return {
        series("belisha_ledger_readable"): steady(1),
        **role("v1", "champion", 0.8), **role("v2", "challenger", 0.2), **model("v1"), **model("v2"),
        **counted("v1", 480), **counted("v2", 120), **LOOP,
    }  # fmt: skip


def gateway(version: str, name: str, per_minute: float, *, failures: float = 0.0) -> Series:
    """What the gateway of one machine counts; its series have no namespace."""
    where = f'deployment_name="{DEPLOYMENT}", model_version="{version}", role="{name}"'
    return {
        f'belisha_gateway_requests_total{{{where}, outcome="answered"}}': growing(per_minute),
        f'belisha_gateway_failures_total{{{where}, reason="status"}}': growing(failures),
        f"belisha_gateway_drawn_total{{{where}}}": growing(per_minute),
        **{
            f'belisha_gateway_seconds_bucket{{{where}, stage="total", le="{edge}"}}': growing(per_minute * ratio)
            for edge, ratio in {"0.05": 0.5, "0.5": 1.0, "+Inf": 1.0}.items()
        },
        f'belisha_gateway_seconds_count{{{where}, stage="total"}}': growing(per_minute),
    }


def on_one_machine(world: Mapping[str, str]) -> Series:
    """The same without Kubernetes' label."""
    return {name.replace(f'namespace="{NAMESPACE}", ', ""): values for name, values in world.items()}


@dataclass(frozen=True)
class Fired:
    """An alert that is expected: its labels besides severity, and the sentence it says."""

    name: str
    severity: str
    description: str
    labels: Mapping[str, str] = field(default_factory=dict)
    local: bool = False


def alert_names(only: Sequence[str] = ()) -> list[str]:
    """Names of all alerts, or of those in some groups."""
    kept = [group for group in groups() if not only or group["name"] in only]
    return sorted({rule["alert"] for group in kept for rule in group["rules"] if "alert" in rule})


def _rule_of(fired: Fired) -> dict[str, Any]:
    rules = [rule for group in groups() for rule in group["rules"] if rule.get("alert") == fired.name]
    same = [rule for rule in rules if rule["labels"]["severity"] == fired.severity]
    return next(rule for rule in same if rule["labels"].get("window") in (None, fired.labels.get("window")))


def expected(fired: Fired) -> dict[str, Any]:
    """As promtool wants it: every label and annotation, literally."""
    rule = _rule_of(fired)
    own = {} if fired.name == "BelishaLedgerSeriesAbsent" else {"deployment_name": DEPLOYMENT}
    labels = {**({} if fired.local or not own else {"namespace": NAMESPACE}), **own, **fired.labels}
    filled = {
        name: re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels.get(found[1], ""), text)
        for name, text in rule["annotations"].items()
    }
    return {
        "exp_labels": {"severity": fired.severity, **labels},
        "exp_annotations": {**filled, "description": fired.description},
    }


def alert_test(
    name: str, world: Mapping[str, str], at: str, fired: Sequence[Fired], interval: str = "1m", only: Sequence[str] = ()
) -> dict[str, Any]:
    """One test in which exactly these alerts fire, and none of all the others."""
    return {
        "name": name,
        "interval": interval,
        "input_series": [{"series": one, "values": values} for one, values in world.items()],
        "alert_rule_test": [
            {"eval_time": at, "alertname": alert, "exp_alerts": [expected(one) for one in fired if one.name == alert]}
            for alert in alert_names(only)
        ],
    }


def judge(
    folder: Path,
    tests: Iterable[dict[str, Any]],
    *,
    interval: str = "1m",
    only: Sequence[str] = (),
    budgets: bool = True,
) -> subprocess.CompletedProcess[str]:
    """promtool's word on tests of the generated rules."""
    kept = [group for group in groups() if not only or group["name"] in only]
    if not budgets:
        kept = [{**group, "rules": [rule for rule in group["rules"] if not _LONG.search(str(rule))]} for group in kept]
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": kept}, sort_keys=False))
    document = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": interval,
        "group_eval_order": [group["name"] for group in kept],
        "tests": list(tests),
    }
    (folder / "tests.yaml").write_text(yaml.safe_dump(document, sort_keys=False, width=10_000))
    return subprocess.run(
        [promtool(), "test", "rules", "tests.yaml"], cwd=folder, capture_output=True, text=True, timeout=300
    )


def parses(expr: str, folder: Path) -> str:
    """promtool's complaint about PromQL; empty for none."""
    path = folder / "one.yaml"
    path.write_text(json.dumps({"groups": [{"name": "g", "rules": [{"record": "x", "expr": expr}]}]}))
    done = subprocess.run([promtool(), "check", "rules", str(path)], capture_output=True, text=True)
    return "" if done.returncode == 0 else done.stdout + done.stderr
