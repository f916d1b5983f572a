"""The four dashboards as Grafana imports them."""

from __future__ import annotations

from collections.abc import Mapping

from belisha.monitoring.dashboards import drift, loop, release, serving
from belisha.monitoring.dashboards.parts import dashboard_json

_MODULES = {"release": release, "drift": drift, "loop": loop, "serving": serving}


def dashboards() -> Mapping[str, str]:
    """JSON of every dashboard by its name."""
    return {name: dashboard_json(name, module.DESCRIPTION, module.rows()) for name, module in _MODULES.items()}
