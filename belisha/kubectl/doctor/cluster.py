"""Checks of the cluster: API server, kinds, Seldon's operator and its webhook, the controller, what serves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from belisha.components.release.rollout_status import status_of
from belisha.components.shared.kube_api import Json
from belisha.components.shared.verdict import Verdict
from belisha.kubectl.doctor.certificate import certificates_of, not_after, pem_of_base64
from belisha.kubectl.doctor.checks import Finding, Patient, check, failed, passed, unsure
from belisha.kubectl.release_view import controller_of

SELDON_VERSION = "1.17.1"
_OLDEST_MINOR, _NEWEST_MINOR = 23, 27
_SOON_DAYS = 30
_NEW_CERTIFICATE = "run `helm upgrade` of Seldon, which makes a new one, or use cert-manager"
# Group: what it gives, what to do without it, and whether nothing works without it.
_KINDS = {
    "machinelearning.seldon.io": ("SeldonDeployment", "install Seldon Core 1.17.1, see manifests/README.md", True),
    "monitoring.coreos.com": ("PodMonitor, PrometheusRule", "install the Prometheus operator, or go without", False),
}


@check("api-server")
def api_server(patient: Patient) -> Iterator[Finding]:
    """The API server answers and is of a version that Seldon's operator was made for."""
    found = patient.api.get_path("/version") or {}
    minor = re.match(r"\d+", str(found.get("minor", "")))
    version = str(found.get("gitVersion", "of an unknown version"))
    if minor is None or not _OLDEST_MINOR <= int(minor[0]) <= _NEWEST_MINOR:
        made_for = f"1.{_OLDEST_MINOR} to 1.{_NEWEST_MINOR}"
        sentence = f"Kubernetes is {version}, Seldon Core {SELDON_VERSION} was released for {made_for}"
        yield unsure("api-server", sentence, "try an upgrade of Kubernetes on a test cluster first")
    else:
        yield passed("api-server", f"Kubernetes {version} answers at {patient.api.server}")


@check("kinds")
def kinds(patient: Patient) -> Iterator[Finding]:
    """The kinds of other projects are there."""
    for group, (kind, advice, needed) in _KINDS.items():
        if patient.api.get_path(f"/apis/{group}") is not None:
            yield passed("kinds", f"the cluster knows {kind}")
        else:
            yield (failed if needed else unsure)("kinds", f"the cluster does not know {kind}", advice)
    meshes = [name for name, group in _MESHES.items() if patient.api.get_path(f"/apis/{group}") is not None]
    if meshes:
        yield passed("kinds", f"requests are split by {' or '.join(meshes)}")
    else:
        yield failed(
            "kinds", "there is neither Istio nor Ambassador", "install one, or turn router.enabled on in the chart"
        )


_MESHES = {"Istio": "networking.istio.io", "Ambassador": "getambassador.io"}


@check("seldon-operator")
def seldon_operator(patient: Patient) -> Iterator[Finding]:
    """Seldon's operator runs, in a version that may be used, with the settings that keep 100/0 what it says."""
    operators = [
        one for one in patient.api.list(patient.resource("apps", "v1", "deployments", "")) if _is_operator(one)
    ]
    if not operators:
        yield failed("seldon-operator", "no Deployment runs Seldon's operator", "install Seldon Core 1.17.1")
    for operator in operators:
        yield from _operator_findings(operator)


def _is_operator(deployment: Json) -> bool:
    return any("seldon-core-operator" in str(one.get("image", "")) for one in _containers(deployment))


def _operator_findings(operator: Json) -> Iterator[Finding]:
    name = f"{operator['metadata']['namespace']}/{operator['metadata']['name']}"
    if not (operator.get("status") or {}).get("readyReplicas"):
        yield failed(
            "seldon-operator", f"{name} is not ready", f"look at `kubectl logs -n {name.replace('/', ' deploy/')}`"
        )
    for container in _containers(operator):
        tag = str(container.get("image", "")).rpartition(":")[2]
        if tag != SELDON_VERSION:
            sentence = f"{name} runs {tag}, this platform was tried with {SELDON_VERSION}"
            yield unsure("seldon-operator", sentence, "1.18 and later are under the Business Source License: mind it")
        else:
            yield passed("seldon-operator", f"{name} runs {tag}")
        variables = {str(one.get("name")): str(one.get("value", "")) for one in container.get("env") or []}
        if variables.get("AMBASSADOR_ENABLED") == "true" and variables.get("AMBASSADOR_VERSION", "v1") == "v1":
            sentence = f"{name} writes Ambassador v1, which drops a weight of 0: 100/0 is served as 50/50"
            yield failed("seldon-operator", sentence, "install Seldon with ambassador.version=v2")


def _containers(deployment: Json) -> list[Json]:
    return list(((deployment["spec"].get("template") or {}).get("spec") or {}).get("containers") or [])


@check("webhook-certificate")
def webhook_certificate(patient: Patient) -> Iterator[Finding]:
    """Seldon's webhook refuses everything once its certificate has ended, which it does after a year."""
    where = patient.resource("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations", "")
    found = [one for one in patient.api.list(where) if "seldon" in one["metadata"]["name"]]
    if not found:
        sentence = "Seldon's webhook is not registered: mistakes are found by its operator only"
        yield unsure("webhook-certificate", sentence, "install Seldon with its webhook")
    for configuration in found:
        for webhook in configuration.get("webhooks") or []:
            bundle = (webhook.get("clientConfig") or {}).get("caBundle")
            ends = [not_after(der) for der in certificates_of(pem_of_base64(bundle))] if bundle else []
            yield _certificate_finding(str(webhook["name"]), ends, patient.now)


def _certificate_finding(name: str, ends: list[datetime], now: datetime) -> Finding:
    if not ends:
        return unsure(
            "webhook-certificate", f"{name} has no certificate bundle", "let cert-manager or Seldon's chart write it"
        )
    days = (min(ends) - now).days
    if days < 0:
        sentence = f"the certificate of {name} ended {-days} days ago: nothing can be released"
        return failed("webhook-certificate", sentence, _NEW_CERTIFICATE)
    if days < _SOON_DAYS:
        sentence = f"the certificate of {name} ends in {days} days"
        return unsure("webhook-certificate", sentence, _NEW_CERTIFICATE)
    return passed("webhook-certificate", f"the certificate of {name} holds for {days} days")


@check("controller")
def controller(patient: Patient) -> Iterator[Finding]:
    """The release controller runs."""
    name = patient.own("controller")
    found = patient.api.get(patient.resource("apps", "v1", "deployments"), name)
    if found is None:
        sentence = f"there is no Deployment {name}: the ledger is not applied"
        yield failed("controller", sentence, "install the chart with release.mode=controller")
    elif not (found.get("status") or {}).get("readyReplicas"):
        advice = f"look at `kubectl logs -n {patient.place.namespace} deploy/{name}`"
        yield failed("controller", f"{name} is not ready: the ledger is not applied", advice)
    else:
        yield passed("controller", f"{name} runs")


@check("serving")
def serving(patient: Patient) -> Iterator[Finding]:
    """The cluster serves what the ledger says."""
    look = controller_of(patient.place).look()
    status = status_of(look)
    for gate in status.gates:
        advice = "" if gate.verdict is Verdict.PASS else "see `kubectl belisha status --watch`"
        yield Finding("serving", gate.verdict, gate.sentence, advice)
