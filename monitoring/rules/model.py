"""What a rule is, and how it becomes Prometheus' YAML."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from belisha.monitoring.settings import MonitoringSettings


@dataclass(frozen=True, slots=True)
class Recording:
    """A series that is computed.

    Attributes:
        record: its name, `level:metric:operation`.
        expr: PromQL.
        labels: that are added.
    """

    record: str
    expr: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def to_rule(self) -> dict[str, Any]:
        """As an entry of a rule group."""
        labels = {"labels": dict(self.labels)} if self.labels else {}
        return {"record": self.record, "expr": tidy(self.expr), **labels}


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that a person must know of.

    Attributes:
        name: also of its runbook.
        expr: PromQL; its result has the labels namespace and deployment_name where there is one.
        severity: critical pages, warning makes a ticket, info waits to be looked at.
        dashboard: uid of the dashboard that shows it.
        summary: one line.
        description: object, value and threshold.
        twin: the alert that fires when this one's data is missing; empty for a twin.
        for_seconds: how long it must hold.
        keep_seconds: how long it goes on firing afterwards, so that it does not flap.
        labels: besides the severity.
    """

    name: str
    expr: str
    severity: str
    dashboard: str
    summary: str
    description: str
    twin: str = ""
    for_seconds: float = 0
    keep_seconds: float = 0
    labels: Mapping[str, str] = field(default_factory=dict)

    def to_rule(self, settings: MonitoringSettings) -> dict[str, Any]:
        """As an entry of a rule group."""
        keep = {"keep_firing_for": settings.duration(self.keep_seconds)} if self.keep_seconds else {}
        return {
            "alert": self.name,
            "expr": tidy(self.expr),
            "for": settings.duration(self.for_seconds) if self.for_seconds else "0s",
            **keep,
            "labels": {"severity": self.severity, **self.labels},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "runbook_url": f"{settings.runbook_url}/{self.name}",
                "dashboard_url": f"{settings.grafana_url}/d/{self.dashboard}?{_VARIABLES}",
            },
        }


_VARIABLES = "var-namespace={{ $labels.namespace }}&var-deployment={{ $labels.deployment_name }}"


def tidy(expr: str) -> str:
    """PromQL without the indentation of the Python around it."""
    return textwrap.dedent(expr).strip()
