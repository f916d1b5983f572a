"""The doctor: each check on a cluster that is well, and on one with exactly that trouble."""

from __future__ import annotations

import base64
import dataclasses
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from belisha.components.shared.errors import ContractError, InputError
from belisha.components.shared.verdict import Verdict
from belisha.kubectl.doctor.certificate import certificates_of, not_after
from belisha.kubectl.doctor.checks import Finding, Patient
from belisha.kubectl.doctor.examination import examine
from belisha.kubectl.doctor.watching import matches
from belisha.kubectl.place import place_in
from tests.kube.api_server import Key, KubeServer
from tests.kube.release_world import api_of, applier, decide, template, template_text
from tests.kube.seldon_world import SeldonWorld

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DEPLOYMENTS, CRON_JOBS = "/apis/apps/v1/namespaces/{}/deployments", "/apis/batch/v1/namespaces/ml/cronjobs"
MONITORS = "/apis/monitoring.coreos.com/v1/namespaces/ml/podmonitors"
PROMETHEUSES = "/apis/monitoring.coreos.com/v1/namespaces/monitoring/prometheuses"
KFP = "/api/v1/namespaces/kubeflow/services/ml-pipeline:8888"
PROMETHEUS = "/api/v1/namespaces/monitoring/services/prometheus-operated:9090"
WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], str]:
    """A self-signed certificate that ends so many days from now, as PEM."""
    folder = tmp_path_factory.mktemp("certificates")

    def make(days: int) -> str:
        path = folder / f"{days}.pem"
        if not path.exists():
            key = folder / "key.pem"
            command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
            names = ["-keyout", str(key), "-out", str(path), "-subj", "/CN=seldon-webhook-service"]
            subprocess.run([*command, "-days", str(days), *names], check=True, capture_output=True)
        return path.read_text()

    return make


class Hospital:
    """A cluster that is well, and ways to make it ill."""

    def __init__(self, server: KubeServer, storage: str, certificate: str) -> None:
        self.server, self.storage = server, storage
        server.groups["admissionregistration.k8s.io"] = "v1"
        self.put(
            "/api/v1/namespaces/ml/configmaps",
            "belisha-release-template",
            data={"release-template.json": template_text()},
        )
        self.put("/api/v1/namespaces", "ml", labels={"team": "roads"})
        self.put("/api/v1/namespaces/ml/secrets", "belisha-storage", data={"AWS_ACCESS_KEY_ID": ""})
        operator = {"name": "manager", "image": "docker.io/seldonio/seldon-core-operator:1.17.1", "env": []}
        self.deployment("seldon-system", "seldon-controller-manager", operator)
        self.deployment("ml", "belisha-controller", {"name": "controller", "image": "belisha/release:1"})
        bundle = {"name": "v1.seldon", "clientConfig": {"caBundle": base64.b64encode(certificate.encode()).decode()}}
        self.put(WEBHOOKS, "seldon-validating-webhook-configuration", webhooks=[bundle])
        times = {"lastScheduleTime": "2026-11-21T11:07:00Z", "lastSuccessfulTime": "2026-11-21T11:08:00Z"}
        for part in ("drift", "experiment", "review", "retrain"):
            self.put(CRON_JOBS, f"belisha-{part}", spec={"schedule": "7 * * * *"}, status=times)
        server.pages["/version"] = {"minor": "27", "gitVersion": "v1.27.3"}
        server.pages[f"{KFP}/proxy/apis/v2beta1/healthz"] = {"multi_user": False}
        server.pages[f"{PROMETHEUS}/proxy/api/v1/query"] = {"data": {"result": [{"metric": {}, "value": [0, "1"]}]}}
        part_of = {"app.kubernetes.io/part-of": "belisha", "release": "kps"}
        self.put(MONITORS, "belisha-predictors", labels=part_of)
        selectors = {"podMonitorSelector": {"matchLabels": {"release": "kps"}}, "podMonitorNamespaceSelector": {}}
        self.put(PROMETHEUSES, "main", spec=selectors, namespace="monitoring")

    def put(
        self, collection: str, name: str, *, labels: Any = None, namespace: str = "ml", status: Any = None, **more: Any
    ) -> None:
        key = Key(collection, name)
        body = {"metadata": {"name": name, "namespace": namespace, "labels": labels or {}}, **more}
        self.server.write(key, body, create=self.server.read(key) is None)
        if status is not None:
            self.server.write(key, {"metadata": {}, "status": status}, status=True)

    def deployment(self, namespace: str, name: str, container: Any, *, ready: int = 1) -> None:
        spec = {"template": {"spec": {"containers": [container]}}}
        labels = {"seldon-deployment-id": "", "seldon-app": ""}
        status = {"readyReplicas": ready}
        self.put(DEPLOYMENTS.format(namespace), name, spec=spec, labels=labels, namespace=namespace, status=status)

    def examine(self, *only: str) -> list[Finding]:
        place = place_in(api_of(self.server), "ml", "belisha", self.storage, {})
        return list(examine(Patient(place, now=NOW), only=only))


@pytest.fixture
def hospital(server: KubeServer, tmp_path: Path, certificate: Callable[[int], str]) -> Hospital:
    world, storage = SeldonWorld(server), str(tmp_path / "storage")
    decide(storage, "v1")
    applier(server, storage, shape=template()).apply()
    # The world stands still from here on: these objects are not Seldon's.
    server.looked = lambda: None
    assert world.weights() == {"y-v1": 100}
    days = (NOW - datetime.now(UTC)).days + 300
    return Hospital(server, storage, certificate(max(days, 60)))


def worst_of(findings: list[Finding]) -> Verdict:
    return max((finding.verdict for finding in findings), key=lambda verdict: verdict.severity)


def test_a_cluster_that_is_well_needs_nothing_done(hospital: Hospital) -> None:
    findings = hospital.examine()
    assert [finding for finding in findings if finding.verdict is not Verdict.PASS] == []
    assert {finding.check for finding in findings} == {
        "api-server", "kinds", "seldon-operator", "webhook-certificate", "controller", "serving", "cron-jobs", "kfp",
        "storage", "ledger", "monitors", "series",
    }  # fmt: skip


def test_every_finding_that_is_not_well_says_what_to_do(server: KubeServer, hospital: Hospital) -> None:
    server.groups, server.pages = {}, {}
    for finding in hospital.examine():
        assert finding.advice or finding.verdict is Verdict.PASS, finding


def ill(name: str, check: str, verdict: Verdict, said: str, make: Callable[[Hospital], None]) -> Any:
    return pytest.param(check, verdict, said, make, id=name)


def without_group(name: str) -> Callable[[Hospital], None]:
    return lambda it: it.server.groups.__delitem__(name) and None


def operator(image: str, **variables: str) -> Callable[[Hospital], None]:
    env = [{"name": name, "value": value} for name, value in variables.items()]
    container = {"name": "manager", "image": image, "env": env}
    return lambda it: it.deployment("seldon-system", "seldon-controller-manager", container)


def cron(spec: Any, **status: str) -> Callable[[Hospital], None]:
    return lambda it: it.put(CRON_JOBS, "belisha-drift", spec={"schedule": "7 * * * *", **spec}, status=status)


TROUBLES = [
    ill("no seldon", "kinds", Verdict.FAIL, "does not know SeldonDeployment", without_group("machinelearning.seldon.io")),
    ill("no mesh", "kinds", Verdict.FAIL, "neither Istio nor Ambassador", without_group("networking.istio.io")),
    ill("licence", "seldon-operator", Verdict.INCONCLUSIVE, "runs 1.18.2", operator("r/seldon-core-operator:1.18.2")),
    ill(
        "ambassador v1", "seldon-operator", Verdict.FAIL, "100/0 is served as 50/50",
        operator("r/seldon-core-operator:1.17.1", AMBASSADOR_ENABLED="true"),
    ),
    ill(
        "controller down", "controller", Verdict.FAIL, "is not ready",
        lambda it: it.deployment("ml", "belisha-controller", {"name": "c"}, ready=0),
    ),
    ill("suspended", "cron-jobs", Verdict.INCONCLUSIVE, "is suspended", cron({"suspend": True})),
    ill("never due", "cron-jobs", Verdict.INCONCLUSIVE, "was never due", cron({})),
    ill("never well", "cron-jobs", Verdict.FAIL, "never ended well", cron({}, lastScheduleTime="2026-11-21T11:07:00Z")),
    ill(
        "long ago", "cron-jobs", Verdict.FAIL, "last ended well 3 days ago, and was due 2.9 h ago",
        cron({}, lastScheduleTime="2026-11-21T09:07:00Z", lastSuccessfulTime="2026-11-18T09:07:00Z"),
    ),
    ill(
        "kfp down", "kfp", Verdict.FAIL, "does not answer",
        lambda it: it.server.fail(503, "ServiceUnavailable", path="ml-pipeline"),
    ),
    ill(
        "no right to look", "kfp", Verdict.INCONCLUSIVE, "is not allowed",
        lambda it: it.server.fail(403, "Forbidden", path="ml-pipeline"),
    ),
    ill(
        "no kfp", "kfp", Verdict.FAIL, "there is no Service",
        lambda it: it.server.pages.pop(f"{KFP}/proxy/apis/v2beta1/healthz") and None,
    ),
    ill(
        "no series", "series", Verdict.FAIL, "nothing of requests of Seldon's executor",
        lambda it: it.server.pages.update({f"{PROMETHEUS}/proxy/api/v1/query": {"data": {"result": []}}}),
    ),
    ill(
        "not selected", "monitors", Verdict.FAIL, "is selected by none",
        lambda it: it.put(MONITORS, "belisha-predictors", labels={"app.kubernetes.io/part-of": "belisha"}),
    ),
    ill(
        "wrong namespace", "monitors", Verdict.FAIL, "is selected by none",
        lambda it: it.put(PROMETHEUSES, "main", spec={"podMonitorSelector": {}}, namespace="monitoring"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("check", "verdict", "said", "make"), TROUBLES)
def test_trouble_is_found(
    hospital: Hospital, check: str, verdict: Verdict, said: str, make: Callable[[Hospital], None]
) -> None:
    assert worst_of(hospital.examine(check)) is Verdict.PASS
    make(hospital)
    findings = hospital.examine(check)
    assert worst_of(findings) is verdict and any(said in one.sentence and one.advice for one in findings), findings


def test_an_end_of_the_webhooks_certificate_is_seen_coming(
    hospital: Hospital, certificate: Callable[[int], str]
) -> None:
    ends = not_after(certificates_of(certificate(60))[0])
    bundle = {"name": "w", "clientConfig": {"caBundle": base64.b64encode(certificate(60).encode()).decode()}}
    hospital.put(WEBHOOKS, "seldon-validating-webhook-configuration", webhooks=[bundle])
    place = place_in(api_of(hospital.server), "ml", "belisha", hospital.storage, {})
    found = {}
    for days_left in (40, 10, -2):
        patient = Patient(place, now=ends - timedelta(days=days_left))
        (finding,) = examine(patient, only=["webhook-certificate"])
        found[days_left] = finding.verdict
    assert found == {40: Verdict.PASS, 10: Verdict.INCONCLUSIVE, -2: Verdict.FAIL}


def test_a_secret_that_lacks_a_key(hospital: Hospital) -> None:
    place = place_in(api_of(hospital.server), "ml", "belisha", hospital.storage, {})
    reference = {"name": "A", "valueFrom": {"secretKeyRef": {"name": "belisha-storage", "key": "A"}}}
    component = {"spec": {"containers": [{"name": "d", "env": [reference]}]}}
    shape = dataclasses.replace(
        place.template, detector=dataclasses.replace(place.template.detector, component=component)
    )
    patient = Patient(dataclasses.replace(place, template=shape), now=NOW)
    (finding,) = examine(patient, only=["secrets"])
    assert finding.verdict is Verdict.FAIL and "lacks A" in finding.sentence


def test_a_store_that_is_away_is_an_error_of_its_check_alone(hospital: Hospital) -> None:
    place = place_in(api_of(hospital.server), "ml", "belisha", "http://127.0.0.1:9/x", {})
    (finding,) = examine(Patient(place, now=NOW), only=["storage"])
    assert finding.verdict is Verdict.ERROR and "127.0.0.1:9" in finding.sentence


def test_an_unknown_check_is_refused(hospital: Hospital) -> None:
    with pytest.raises(InputError, match="webhook-certificate"):
        hospital.examine("webhok")


@pytest.mark.parametrize(
    ("selector", "labels", "taken"),
    [
        ({}, {}, True),
        ({"matchLabels": {"a": "1"}}, {"a": "1", "b": "2"}, True),
        ({"matchLabels": {"a": "1"}}, {"a": "2"}, False),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}, {"a": "2"}, True),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["1"]}]}, {}, True),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, {}, False),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, {"a": ""}, False),
    ],
)
def test_selectors(selector: dict[str, Any], labels: dict[str, str], taken: bool) -> None:
    assert matches(selector, labels) is taken


@given(st.binary(max_size=200))
def test_bytes_that_are_no_certificate_are_refused(data: bytes) -> None:
    with pytest.raises(ContractError):
        not_after(data)


def test_a_certificates_end_is_what_openssl_says(certificate: Callable[[int], str]) -> None:
    pem = certificate(60)
    said = subprocess.run(
        ["openssl", "x509", "-enddate", "-noout"], input=pem, capture_output=True, text=True, check=True
    )
    wanted = datetime.strptime(said.stdout.strip(), "notAfter=%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)
    assert not_after(certificates_of(pem)[0]) == wanted
