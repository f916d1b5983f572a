"""All rules as the one file that Prometheus loads and the chart includes as a PrometheusRule."""

from __future__ import annotations

from typing import Any

import yaml

from belisha.monitoring.rules import recording
from belisha.monitoring.rules.loop_alerts import loop_alerts
from belisha.monitoring.rules.model import Alert, Recording
from belisha.monitoring.rules.serving_alerts import serving_alerts
from belisha.monitoring.settings import MonitoringSettings

_HEAD = """\
# Generated from monitoring/rules/*.py by `python -m belisha.monitoring.generate`: change those, not this.
# Addresses below runbooks.belisha.example and grafana.belisha.example are put right where the rules are installed.
"""


def alerts(settings: MonitoringSettings | None = None) -> list[Alert]:
    """Every alert; one name may stand for several severities."""
    settings = settings or MonitoringSettings()
    return [*serving_alerts(settings), *loop_alerts(settings)]


def groups(settings: MonitoringSettings | None = None) -> list[dict[str, Any]]:
    """Rule groups as values: what joins comes first, and what follows reads it."""
    settings = settings or MonitoringSettings()
    recorded = {
        "belisha-joined": recording.joined(settings),
        "belisha-short": recording.short(settings),
        "belisha-long": recording.long(settings),
        "belisha-compared": recording.compared(settings),
    }
    interval = settings.duration(settings.interval_seconds)
    rules = {name: [one.to_rule() for one in found] for name, found in recorded.items()}
    rules["belisha-serving-alerts"] = [one.to_rule(settings) for one in serving_alerts(settings)]
    rules["belisha-loop-alerts"] = [one.to_rule(settings) for one in loop_alerts(settings)]
    return [{"name": name, "interval": interval, "rules": found} for name, found in rules.items()]


def rules_text(settings: MonitoringSettings | None = None) -> str:
    """The file."""
    return _HEAD + yaml.dump(
        {"groups": groups(settings)}, Dumper=_Dumper, sort_keys=False, width=10_000, allow_unicode=True
    )


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, so that PromQL is read as it was written."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)

__all__ = ["Alert", "Recording", "alerts", "groups", "rules_text"]
