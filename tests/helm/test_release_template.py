"""helm and the controller put the same SeldonDeployment together, and the hook asks the ledger only for what is new."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from belisha.cli.main import _register_verbs as register_verbs
from belisha.cli.main import app
from belisha.components.release.release_template import Mode, parse_release_template
from belisha.components.release.seldon_deployment import placements, seldon_deployment
from belisha.components.route.router import RouteDeniedError, TrafficRouter
from belisha.components.route.routing import Caller
from belisha.components.serve.launcher import _NUMBERS, _TEXTS
from belisha.components.shared.ledger import LedgerState
from belisha.retraining.config import KfpConfig, RetrainConfig
from tests.helm import seldon_rules
from tests.helm.rendering import Object, documents, kinds, merged, one, pod_specs, release_template_text

CASES: dict[str, tuple[dict[str, Any], LedgerState]] = {
    "alone": ({}, LedgerState("v7")),
    "split": ({"release": {"challenger": {"version": "v8", "traffic": 20}}}, LedgerState("v7", "v8", 0.2)),
    "idle": ({"release": {"challenger": {"version": "v8"}}}, LedgerState("v7", "v8", 0.0)),
    "all to the challenger": (
        {"release": {"challenger": {"version": "v8", "traffic": 100}}},
        LedgerState("v7", "v8", 1.0),
    ),
    "shadow": (
        {"release": {"challenger": {"version": "v8"}, "shadowPercent": 25}},
        LedgerState("v7", "v8", 0.0),
    ),
    "autoscaled gpu": (
        {"serving": {"autoscaling": {"enabled": True}, "gpu": {"count": 2}}, "mesh": {"istio": {"retries": 3}}},
        LedgerState("v7"),
    ),
    "other names": (
        {"fullnameOverride": "crossing", "security": {"runAsUser": None}, "storage": {"existingSecret": ""}},
        LedgerState("v7"),
    ),
}


def from_ledger(values: dict[str, Any], state: LedgerState, **also: Any) -> Object:
    texts = [
        it["data"]["release-template.json"] for it in documents(values) if "release-template.json" in it.get("data", {})
    ]
    template = parse_release_template(texts[0])
    return seldon_deployment(placements(state, template), template, **also)


def from_helm(values: dict[str, Any]) -> Object:
    return one(
        documents(merged(values, {"release": {"mode": "manifest", "champion": {"version": "v7"}}})), "SeldonDeployment"
    )


@pytest.mark.parametrize(("values", "state"), CASES.values(), ids=CASES.keys())
def test_both_ways_give_one_object(values: dict[str, Any], state: LedgerState) -> None:
    by_ledger, by_helm = from_ledger(values, state), from_helm(values)
    assert by_ledger["spec"] == by_helm["spec"]
    for key in ("name", "namespace"):
        assert by_ledger["metadata"][key] == by_helm["metadata"][key]
    roles = {
        key: text
        for key, text in by_ledger["metadata"]["annotations"].items()
        if key.endswith(("champion", "challenger"))
    }
    assert by_helm["metadata"]["annotations"] == roles


@settings(max_examples=40)
@given(percent=st.integers(0, 100), shadow=st.integers(0, 100), versions=st.permutations([1, 9, 10, 100_000]))
def test_both_ways_give_one_object_whatever_the_shares(percent: int, shadow: int, versions: list[int]) -> None:
    champion, challenger = (f"v{number}" for number in versions[:2])
    release = {
        "champion": {"version": champion},
        "challenger": {"version": challenger, "traffic": percent},
        "shadowPercent": shadow,
    }
    by_helm = one(documents({"release": {**release, "mode": "manifest"}}), "SeldonDeployment")
    by_ledger = from_ledger({"release": {"shadowPercent": shadow}}, LedgerState(champion, challenger, percent / 100))
    assert by_ledger["spec"] == by_helm["spec"]
    assert seldon_rules.violations(by_helm) == []


def test_both_ways_give_one_graph_but_for_where_the_shares_come_from() -> None:
    values = {"router": {"enabled": True}, "release": {"challenger": {"version": "v8", "traffic": 30}}}
    by_ledger, by_helm = from_ledger(values, LedgerState("v7", "v8", 0.3)), from_helm(values)
    graphs = [it["spec"]["predictors"][0]["graph"] for it in (by_ledger, by_helm)]
    follows, fixed = (
        {
            it["name"]: it["value"]
            for it in graph.pop("parameters")
            if it["name"] not in ("policy_path", "follow_seconds")
        }
        for graph in graphs
    )
    assert follows == {"children": "v7,v8", "storage_uri": "s3://bucket/belisha"}
    assert fixed == {"children": "v7,v8", "challenger_traffic_ratio": "0.3"}
    assert by_ledger["spec"] == by_helm["spec"]


def test_run_ids_stand_in_annotations_of_the_object_alone() -> None:
    values = {"release": {"champion": {"runId": "run-7"}, "challenger": {"version": "v8", "runId": "run-8"}}}
    by_helm = from_helm(values)
    by_ledger = from_ledger({}, LedgerState("v7", "v8"), run_ids={"v7": "run-7", "v8": "run-8"}, record_number=3)
    written = [it["metadata"]["annotations"]["belisha.dev/run-ids"].replace(" ", "") for it in (by_helm, by_ledger)]
    assert written == ['{"v7":"run-7","v8":"run-8"}'] * 2
    assert "run-7" not in str(by_helm["spec"]) + str(by_ledger["spec"])


def test_parameters_are_those_that_the_code_takes() -> None:
    template = parse_release_template(release_template_text({"router": {"enabled": True}}))
    detector = {it["name"] for it in template.detector.graph["parameters"]}
    assert detector <= {*_TEXTS, *_NUMBERS}
    assert template.router is not None
    router = {it["name"] for it in template.router.graph["parameters"]}
    assert router <= set(TrafficRouter.__init__.__annotations__)
    assert template.mode is Mode.ROUTER


@pytest.mark.parametrize(
    ("limits", "serving", "concurrency"),
    [
        ({"cpu": "2"}, {}, "2"),
        ({"cpu": "500m"}, {}, "1"),
        ({"cpu": "2500m"}, {}, "3"),
        ({"cpu": "1.5"}, {}, "2"),
        ({"cpu": 4}, {"threads": 2}, "2"),
        ({"cpu": "1"}, {"threads": 4}, "1"),
        ({"cpu": "8"}, {"concurrency": 3}, "3"),
        ({"cpu": None}, {}, "0"),
    ],
)
def test_no_more_pictures_at_once_than_the_limit_has_cpus(
    limits: dict[str, Any], serving: dict[str, Any], concurrency: str
) -> None:
    values = {"serving": {"resources": {"limits": limits}, **serving}}
    template = parse_release_template(release_template_text(values))
    assert {it["name"]: it["value"] for it in template.detector.graph["parameters"]}["concurrency"] == concurrency


def test_a_promotion_restarts_no_pod() -> None:
    before, after = from_ledger({}, LedgerState("v7", "v8", 0.5)), from_ledger({}, LedgerState("v8"))
    trial = {**before["spec"]["predictors"][1], "traffic": 100}
    assert after["spec"]["predictors"] == [trial]


_MANIFEST = {"release": {"mode": "manifest", "champion": {"version": "v7"}}}


def _on(*keys: str, switch: bool = True) -> dict[str, Any]:
    return {keys[0]: {keys[1]: {"enabled": switch}}}


def hook(values: dict[str, Any]) -> list[Object]:
    return [it for it in documents(values) if it["kind"] == "Job"]


def test_without_a_wish_there_is_no_hook() -> None:
    assert hook({}) == []
    assert hook({"release": {"mode": "manifest", "champion": {"version": "v7"}, "challenger": {"version": "v8"}}}) == []


@pytest.mark.parametrize(
    ("release", "words"),
    [
        ({"challenger": {"traffic": 25}}, ["--challenger-traffic", "25"]),
        ({"challenger": {"traffic": 0}}, ["--challenger-traffic", "0"]),
        ({"challenger": {"version": "v8", "traffic": 5}}, ["--challenger", "v8", "--challenger-traffic", "5"]),
        ({"champion": {"version": "v8"}}, ["--champion", "v8"]),
    ],
    ids=["share", "share of nothing", "share of a version", "promotion"],
)
def test_hook_hands_the_wish_over(release: dict[str, Any], words: list[str]) -> None:
    [job] = hook({"release": release})
    args = job["spec"]["template"]["spec"]["containers"][0]["args"]
    assert args == ["apply-values", "--source", "helm/ml/belisha", "--revision", "3", *words]
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "post-install,pre-upgrade,pre-rollback"


def test_a_changed_template_starts_the_controller_again_and_a_wish_does_not() -> None:
    def checksum(values: dict[str, Any]) -> str:
        controller = one(documents(values), "Deployment", "belisha-controller")
        return controller["spec"]["template"]["metadata"]["annotations"]["checksum/release-template"]

    assert checksum({}) == checksum({"release": {"challenger": {"traffic": 25}}})
    assert checksum({}) != checksum({"serving": {"replicas": 2}})


@pytest.mark.parametrize(
    ("values", "present", "absent"),
    [
        ({}, "Deployment/belisha-controller", "SeldonDeployment/belisha"),
        ({}, "PodDisruptionBudget/belisha-predictors", "PodMonitor/belisha-predictors"),
        (_MANIFEST, "SeldonDeployment/belisha", "Deployment/belisha-controller"),
        (_MANIFEST, "ServiceAccount/belisha-serving", "ServiceAccount/belisha-controller"),
        ({"exporter": {"enabled": False}}, "CronJob/belisha-drift", "Deployment/belisha-exporter"),
        ({"drift": {"enabled": False}}, "CronJob/belisha-review", "CronJob/belisha-drift"),
        (
            _on("serving", "podDisruptionBudget", switch=False),
            "Role/belisha-controller",
            "PodDisruptionBudget/belisha-predictors",
        ),
        (_on("monitoring", "podMonitor"), "PodMonitor/belisha-exporter", "PrometheusRule/belisha-rules-belisha"),
        (_on("monitoring", "prometheusRule"), "PrometheusRule/belisha-rules-belisha", "PodMonitor/belisha-predictors"),
        ({"networkPolicy": {"enabled": True}}, "NetworkPolicy/belisha-predictors", "ConfigMap/belisha-policy"),
        ({"router": {"enabled": True}}, "ConfigMap/belisha-policy", "NetworkPolicy/belisha-predictors"),
        ({"kfp": {"rbac": {"create": True}}}, "RoleBinding/belisha-pipelines", "Job/belisha-apply-values"),
    ],
)
def test_switches(values: dict[str, Any], present: str, absent: str) -> None:
    found = kinds(documents(values))
    assert present in found
    assert absent not in found


def test_labels_that_operators_select_by() -> None:
    labels = {"release": "kube-prometheus-stack"}
    monitoring = {name: {"enabled": True, "labels": labels} for name in ("podMonitor", "prometheusRule")}
    found = [it for it in documents({"monitoring": monitoring}) if it["kind"] in ("PodMonitor", "PrometheusRule")]
    assert {it["kind"] for it in found} == {"PodMonitor", "PrometheusRule"}
    assert all(it["metadata"]["labels"]["release"] == "kube-prometheus-stack" for it in found)


def test_ports_that_are_scraped_are_ports_of_the_pods() -> None:
    """Seldon adds ports that are missing and numbers them by a predictor's place; those of metrics must not move."""
    found = documents({"monitoring": {"podMonitor": {"enabled": True}}, "router": {"enabled": True}})
    template = parse_release_template(release_template_text({"router": {"enabled": True}}))
    assert template.router is not None
    wanted = {it["port"] for it in one(found, "PodMonitor", "belisha-predictors")["spec"]["podMetricsEndpoints"]}
    for node in (template.detector, template.router):
        [container] = node.component["spec"]["containers"]
        assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
            "metrics": 6000,
            "metrics-belisha": 6001,
        }
        assert wanted == {port["name"] for port in container["ports"]}
    exporter = one(found, "Deployment", "belisha-exporter")["spec"]["template"]["spec"]["containers"][0]
    assert [port["name"] for port in exporter["ports"]] == ["metrics"]


def test_retraining_is_told_in_words_that_the_code_takes() -> None:
    values = {
        "fullnameOverride": "crossing",
        "kfp": {"token": {"projected": True}, "namespace": "team-a", "serviceAccountName": "runner"},
        "retrain": {"policy": {"maxF1Drop": 0.1, "onAlert": "retrain"}, "parameters": {"train_epochs": 80}},
    }
    config = one(documents(values), "ConfigMap", "crossing-retrain")
    told = RetrainConfig.model_validate(yaml.safe_load(config["data"]["retrain.yaml"]))
    assert told.deployment_name == "crossing"
    assert told.policy.max_f1_drop == 0.1
    assert told.parameters == {"train_epochs": 80}
    assert (told.kfp.namespace, told.kfp.service_account) == ("team-a", "runner")
    plain = one(documents({}), "ConfigMap", "belisha-retrain")
    told = RetrainConfig.model_validate(yaml.safe_load(plain["data"]["retrain.yaml"]))
    assert told == RetrainConfig(kfp=KfpConfig(endpoint="http://ml-pipeline.kubeflow:8888"))


def test_every_command_of_a_pod_is_one_that_exists() -> None:
    """Options are asked of the command line itself."""
    values = {
        "monitoring": {"prometheusUrl": "http://p:9090"},
        "release": {"challenger": {"traffic": 5}},
        "drift": {"act": "kfp", "mode": "textbook"},
    }
    if not app.registered_commands:
        register_verbs()
    for it in documents(values):
        for _, spec in pod_specs(it):
            for container in spec["containers"]:
                if container["command"] == ["belisha"]:
                    assert_parses(container["args"])


def assert_parses(args: list[str]) -> None:
    command: Any = typer.main.get_command(app)
    words = list(args)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    context = command.make_context(command.name, [*words, "--storage", "memory://x"])
    assert context.params["storage"] == "memory://x"


@pytest.mark.parametrize("mode", ["controller", "manifest"])
def test_a_router_starts_with_the_charts_policy_and_parameters(mode: str, tmp_path: Path) -> None:
    policy = {"experiment": "autumn", "sticky_by": "client", "rules": [{"name": "closed", "deny": "not now"}]}
    release = {"mode": mode, "champion": {"version": "v7"}, "challenger": {"version": "v8", "traffic": 30}}
    found = documents({"router": {"enabled": True, "policy": policy}, "release": release})
    (tmp_path / "policy.yaml").write_text(one(found, "ConfigMap", "belisha-policy")["data"]["policy.yaml"])
    values = {"router": {"enabled": True}, "release": {"challenger": {"version": "v8", "traffic": 30}}}
    body = from_helm(values) if mode == "manifest" else from_ledger(values, LedgerState("v7", "v8", 0.3))
    readers = {"STRING": str, "FLOAT": float, "INT": int}
    given = {
        it["name"]: readers[it["type"]](it["value"]) for it in body["spec"]["predictors"][0]["graph"]["parameters"]
    }
    router = TrafficRouter(**{**given, "policy_path": str(tmp_path / "policy.yaml")})
    assert [target.version for target in router.targets] == ["v7", "v8"]
    with pytest.raises(RouteDeniedError, match="not now"):
        router.decide(Caller("request-1"), datetime.now(UTC))
    if mode == "manifest":
        assert [target.traffic_ratio for target in router.targets] == [0.7, 0.3]
