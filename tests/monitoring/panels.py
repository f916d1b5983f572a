"""Dashboards as they are committed, and what their queries read like once Grafana has filled them in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from belisha.monitoring.generate import FOLDER

NAMES = ("release", "drift", "loop", "serving")
_VARIABLES = {
    "namespace": ".*",
    "deployment": ".*",
    "model": ".*",
    "__rate_interval": "1m",
    "__range": "1h",
    "datasource": "x",
}


@dataclass(frozen=True)
class Target:
    """One query of one panel."""

    dashboard: str
    panel: dict[str, Any]
    expr: str
    legend: str

    @property
    def where(self) -> str:
        return f"{self.dashboard} / {self.panel['title']}"

    def filled(self, variables: Mapping[str, str] = _VARIABLES) -> str:
        """PromQL without Grafana's variables."""
        return fill(self.expr, variables)


def fill(expr: str, variables: Mapping[str, str] = _VARIABLES) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda found: {**_VARIABLES, **variables}[found[1]], expr)


def dashboard(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"dashboards/{name}.json").read_text(encoding="utf-8"))


def panels(name: str) -> Iterator[dict[str, Any]]:
    """Panels without the headings."""
    yield from (panel for panel in dashboard(name)["panels"] if panel["type"] != "row")


def targets() -> list[Target]:
    return [
        Target(name, panel, one["expr"], one["legendFormat"])
        for name in NAMES
        for panel in panels(name)
        for one in panel["targets"]
    ]
