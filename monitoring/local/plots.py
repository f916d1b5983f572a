"""The committed dashboards as the page draws them: the same queries, without Grafana's variables."""

from __future__ import annotations

import json
import re
from typing import Any

from belisha.monitoring.local.configuration import FOLDER

NAMES = ("release", "drift", "loop", "serving")
_KINDS = {"timeseries": "lines", "stat": "number", "state-timeline": "states"}
_EVERYTHING = {"namespace": ".*", "deployment": ".*", "model": ".*"}
_SCRAPES_IN_A_RATE = 4


def plots(scrape_seconds: float) -> list[dict[str, Any]]:
    """Title, description and panels of each dashboard, as JSON values."""
    variables = {**_EVERYTHING, "__rate_interval": f"{round(1000 * _SCRAPES_IN_A_RATE * scrape_seconds)}ms"}
    return [_dashboard(name, variables) for name in NAMES]


def _dashboard(name: str, variables: dict[str, str]) -> dict[str, Any]:
    found = json.loads((FOLDER / f"dashboards/{name}.json").read_text(encoding="utf-8"))
    panels = [_panel(panel, variables) for panel in found["panels"]]
    return {
        "name": name,
        "title": found["title"].rsplit("/")[-1].strip(),
        "about": found["description"],
        "panels": panels,
    }


def _panel(panel: dict[str, Any], variables: dict[str, str]) -> dict[str, Any]:
    if panel["type"] == "row":
        return {"kind": "heading", "title": panel["title"]}
    field = panel["fieldConfig"]["defaults"]
    steps = field.get("thresholds", {}).get("steps", [])
    return {
        "kind": _KINDS[panel["type"]],
        "title": panel["title"],
        "description": panel["description"],
        "unit": field["unit"],
        "width": panel["gridPos"]["w"],
        "least": field.get("min"),
        "bounds": [step["value"] for step in steps if step.get("value") is not None],
        "targets": [
            {"expr": filled(one["expr"], variables), "legend": one["legendFormat"]} for one in panel["targets"]
        ],
    }


def filled(expr: str, variables: dict[str, str]) -> str:
    """PromQL with our values for Grafana's variables; `$__range` is left for the page, which knows the time shown."""
    return re.sub(r"\$(\w+)", lambda found: variables.get(found[1], found[0]), expr)
