"""Checks of monitoring: does a Prometheus select our monitors and rules, and do the series that alerts need exist."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from belisha.components.release.realised_split import query_prometheus
from belisha.components.shared.errors import ClusterError
from belisha.components.shared.kube_api import Json
from belisha.kubectl.doctor.checks import Finding, Patient, check, failed, passed, unsure

_GROUP = "monitoring.coreos.com"
_SELECTORS = {
    "podmonitors": ("PodMonitor", "podMonitorSelector", "podMonitorNamespaceSelector", "podMonitor"),
    "servicemonitors": (
        "ServiceMonitor",
        "serviceMonitorSelector",
        "serviceMonitorNamespaceSelector",
        "serviceMonitor",
    ),
    "prometheusrules": ("PrometheusRule", "ruleSelector", "ruleNamespaceSelector", "prometheusRule"),
}
_SERIES = {
    'seldon_api_executor_server_requests_seconds_count{{deployment_name="{name}"}}': "requests of Seldon's executor",
    'belisha_ledger_readable{{deployment_name="{name}"}}': "the ledger's exporter",
    'belisha_drift_last_success_timestamp_seconds{{deployment_name="{name}"}}': "the drift check",
}


@check("monitors")
def monitors(patient: Patient) -> Iterator[Finding]:
    """Each of our monitors and rules is selected by some Prometheus of the operator."""
    servers = patient.api.list(patient.resource(_GROUP, "v1", "prometheuses", ""))
    if not servers:
        yield unsure(
            "monitors", "the Prometheus operator has no Prometheus here", "scrape by annotations, or install one"
        )
        return
    for plural, (kind, selector, namespaces, value) in _SELECTORS.items():
        for monitor in patient.api.list(
            patient.resource(_GROUP, "v1", plural), labels="app.kubernetes.io/part-of=belisha"
        ):
            name = f"{kind} {monitor['metadata']['name']}"
            chosen = [one for one in servers if _selects(patient, one, monitor, selector, namespaces)]
            if chosen:
                yield passed("monitors", f"{name} is selected by {_names(chosen)}")
            else:
                wanted = json.dumps((servers[0]["spec"].get(selector) or {}).get("matchLabels") or {})
                advice = f"set {value}.additionalLabels of the chart to {wanted}"
                yield failed("monitors", f"{name} is selected by none of {_names(servers)}", advice)


def _selects(patient: Patient, server: Json, monitor: Json, selector: str, namespaces: str) -> bool:
    chosen = server["spec"].get(selector)
    if chosen is None or not matches(chosen, monitor["metadata"].get("labels") or {}):
        return False
    where = server["spec"].get(namespaces)
    if where is None:
        return bool(server["metadata"]["namespace"] == patient.place.namespace)
    namespace = patient.api.get(patient.resource("", "v1", "namespaces", ""), patient.place.namespace) or {}
    return matches(where, (namespace.get("metadata") or {}).get("labels") or {})


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a Kubernetes label selector takes these labels; an empty one takes all."""
    exact = all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())
    return exact and all(_holds(one, labels) for one in selector.get("matchExpressions") or [])


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, operator, values = expression["key"], expression["operator"], expression.get("values") or []
    held = {
        "In": labels.get(key) in values,
        "NotIn": labels.get(key) not in values,
        "Exists": key in labels,
        "DoesNotExist": key not in labels,
    }
    return held[operator]


@check("series")
def series(patient: Patient) -> Iterator[Finding]:
    """The series behind dashboards and alerts exist: a monitor that is selected may still find nothing."""
    for query, meaning in _SERIES.items():
        text = query.format(name=patient.place.name)
        found = _query(patient, text)
        if found is None:
            yield unsure("series", "there is no Prometheus to ask", "give --prometheus URL")
            return
        if found:
            yield passed("series", f"Prometheus has {meaning} ({len(found)} series)")
        else:
            advice = "check the monitor's selection, the network policies, and whether mutual TLS keeps Prometheus out"
            yield failed("series", f"Prometheus has no {text}: nothing of {meaning}", advice)


def _query(patient: Patient, query: str) -> list[dict[str, Any]] | None:
    """An instant query of the server named, else of the operator's through the API server; None when there is none."""
    if patient.prometheus:
        return query_prometheus(patient.prometheus, query)
    servers = patient.api.list(patient.resource(_GROUP, "v1", "prometheuses", ""))
    if not servers:
        return None
    namespace = servers[0]["metadata"]["namespace"]
    path = f"/api/v1/namespaces/{namespace}/services/prometheus-operated:9090/proxy/api/v1/query?query={quote(query)}"
    answer = patient.api.get_path(path)
    if answer is None:
        raise ClusterError(f"Service {namespace}/prometheus-operated does not answer: give --prometheus URL")
    return list((answer.get("data") or {}).get("result") or [])


def _names(servers: list[Json]) -> str:
    return ", ".join(f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in servers)
