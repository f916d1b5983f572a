"""What Prometheus and Alertmanager are told on one machine: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from belisha.monitoring.settings import MINUTE, MonitoringSettings

FOLDER = Path(__file__).resolve().parents[1]
_SLOWEST_REFRESH_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything listens, as `http://host:port`.

    Attributes:
        page: our own server: the page, the ledger's metrics, the list of predictors, and the place for notifications.
        gateway: what `belisha serve` answers on.
        prometheus, pushgateway, alertmanager: the programs.
    """

    page: str
    gateway: str
    prometheus: str
    pushgateway: str
    alertmanager: str


def prometheus_config(
    addresses: Addresses, rules: Path, settings: MonitoringSettings, *, scrape_seconds: float, deployment_name: str
) -> str:
    """The file of Prometheus.

    Args:
        addresses: of all parts.
        rules: file of rules.
        settings: their time scale.
        scrape_seconds: between two scrapes.
        deployment_name: label that the gateway's series lack.
    """
    interval = MonitoringSettings().duration(scrape_seconds)
    refresh = MonitoringSettings().duration(min(scrape_seconds, _SLOWEST_REFRESH_SECONDS))
    return _text(
        {
            "global": {
                "scrape_interval": interval,
                "evaluation_interval": settings.duration(settings.interval_seconds),
            },
            "rule_files": [str(rules)],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [_place(addresses.alertmanager)]}]}]},
            "scrape_configs": [
                _job("belisha-gateway", addresses.gateway, labels={"deployment_name": deployment_name}),
                {
                    "job_name": "belisha-predictor",
                    "http_sd_configs": [{"url": f"{addresses.page}/targets", "refresh_interval": refresh}],
                },
                _job("belisha-ledger", addresses.page),
                # What a job has pushed keeps the labels that the job gave it.
                {**_job("belisha-pushgateway", addresses.pushgateway), "honor_labels": True},
            ],
        }
    )


def _job(name: str, address: str, labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    target = {"targets": [_place(address)], **({"labels": dict(labels)} if labels else {})}
    return {"job_name": name, "static_configs": [target]}


def alertmanager_config(addresses: Addresses, settings: MonitoringSettings) -> str:
    """The committed routes, with every receiver telling our own page, and pauses on the settings' time scale."""
    config: dict[str, Any] = yaml.safe_load((FOLDER / "alertmanager.yaml").read_text(encoding="utf-8"))
    route = config["route"]
    route |= {"group_wait": settings.duration(MINUTE / 2), "group_interval": settings.duration(5 * MINUTE)}
    for child in route["routes"]:
        child.pop("group_wait", None)
    for receiver in config["receivers"]:
        url = f"{addresses.page}/notifications/{receiver['name']}"
        receiver["webhook_configs"] = [{"url": url, "send_resolved": True}]
    return _text(config)


def _place(address: str) -> str:
    return urlsplit(address).netloc


def _text(config: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(config), sort_keys=False)
