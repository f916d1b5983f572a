"""What is generated inside the chart equals its source, and the values' schema is as strict as it says."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from belisha.pipelines.training import STORAGE_VARIABLES
from tests.helm.rendering import CHART, documents, one

ROOT = CHART.parents[1]


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("chart_files", ROOT / "scripts" / "chart_files.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def schema() -> dict[str, Any]:
    return json.loads((CHART / "values.schema.json").read_text())


def values() -> dict[str, Any]:
    return yaml.safe_load((CHART / "values.yaml").read_text())


def test_generated_files_equal_their_source() -> None:
    files = script().generated_files()
    told = "run `python scripts/chart_files.py`"
    assert {path: text for path, text in files.items() if not path.is_file() or path.read_text() != text} == {}, told
    assert script().stale_files() == [], told


def nodes(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        yield path, node
        for key, value in node.items():
            yield from nodes(value, f"{path}/{key}")


def test_every_object_of_the_schema_is_closed() -> None:
    """Only these are handed through: pieces of Kubernetes', what other code checks, a parent chart's values."""
    free = {f"/properties/{path}" for path in ("router/properties/policy", "retrain/properties/parameters", "global")}
    open_objects = {
        path for path, node in nodes(schema()) if node.get("type") == "object" and "additionalProperties" not in node
    } - free
    assert {
        path for path in open_objects if "affinity" not in path and "topologySpreadConstraints" not in path
    } == set()


def test_every_value_has_a_meaning() -> None:
    unexplained = [
        f"{path}/{name}"
        for path, node in nodes(schema()["properties"])
        for name, child in node.get("properties", {}).items()
        if "description" not in child and "$ref" not in child
    ]
    assert unexplained == []


def test_defaults_are_complete() -> None:
    """values.yaml shows every value that the schema knows."""

    def missing(node: dict[str, Any], default: Any, path: str) -> Iterator[str]:
        for name, child in node.get("properties", {}).items():
            if not isinstance(default, dict) or name not in default:
                yield f"{path}.{name}"
            else:
                yield from missing(child, default[name], f"{path}.{name}")

    assert list(missing(schema(), values(), "")) == []


def test_secret_keys_are_those_of_the_pipeline() -> None:
    assert values()["storage"]["secretKeys"] == list(STORAGE_VARIABLES)


def test_dashboards_and_rules_come_from_monitoring() -> None:
    found = documents({"monitoring": {"dashboards": {"enabled": True}, "prometheusRule": {"enabled": True}}})
    shown = {name: text for it in found if it["kind"] == "ConfigMap" for name, text in it["data"].items()}
    for path in (ROOT / "monitoring" / "dashboards").glob("*.json"):
        assert json.loads(shown[path.name]) == json.loads(path.read_text())
    rules = yaml.safe_load((ROOT / "monitoring" / "rules" / "belisha.rules.yaml").read_text())
    assert one(found, "PrometheusRule", "belisha-rules-belisha")["spec"]["groups"] == rules["groups"]


def test_chart_holds_no_file_of_templates_in_excess() -> None:
    """Every dashboard ConfigMap is small enough for the API server."""
    assert all(path.stat().st_size < 900_000 for path in Path(CHART).rglob("*") if path.is_file())


def test_alerts_point_to_the_installations_own_addresses() -> None:
    rules = {
        "enabled": True,
        "grafanaUrl": "https://see.example.org/grafana",
        "runbooksUrl": "https://wiki.example.org/run",
    }
    [rule] = [it for it in documents({"monitoring": {"prometheusRule": rules}}) if it["kind"] == "PrometheusRule"]
    alerts = [it for group in rule["spec"]["groups"] for it in group["rules"] if "alert" in it]
    assert alerts
    for alert in alerts:
        assert alert["annotations"]["runbook_url"].startswith("https://wiki.example.org/run/")
        assert alert["annotations"]["dashboard_url"].startswith("https://see.example.org/grafana/d/")
