"""`kubectl belisha` as a user meets it: tables, JSON, YAML, dry runs, watching, exit codes, over a real API server's HTTP."""

from __future__ import annotations

import base64
import importlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from belisha.kubectl import main as plugin
from belisha.kubectl.drift_job import job_of
from tests.kube.api_server import Key, KubeServer
from tests.kube.release_world import actions, applier, template, template_text
from tests.kube.seldon_world import SELDON, SeldonWorld
from tests.release_folders import release_one

CONFIG_MAPS, SECRETS = "/api/v1/namespaces/ml/configmaps", "/api/v1/namespaces/ml/secrets"
CRON_JOBS, JOBS = "/apis/batch/v1/namespaces/ml/cronjobs", "/apis/batch/v1/namespaces/ml/jobs"


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A registry with champion v1 and challenger v2."""
    monkeypatch.setenv("BELISHA_ACTOR", "ann")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("BELISHA_STORAGE_URI", raising=False)
    uri = str(tmp_path / "storage")
    release_one(tmp_path, uri, gain=1.0)
    release_one(tmp_path, uri, gain=0.9, champion="v1")
    return uri


@pytest.fixture
def run(server: KubeServer, storage: str, tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the plugin against the server, with a kubeconfig and the chart's ConfigMap."""
    kubeconfig = tmp_path / "kubeconfig"
    context = {"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "ml"}}
    clusters = [{"name": "c", "cluster": {"server": server.url}}]
    value = {
        "contexts": [context],
        "clusters": clusters,
        "users": [{"name": "u", "user": {}}],
        "current-context": "here",
    }
    kubeconfig.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **value}))
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    put_template(server, storage)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["kubectl-belisha", *arguments])
        with pytest.raises(SystemExit) as stopped:
            plugin.main()
        captured = capsys.readouterr()
        return int(stopped.value.code or 0), captured.out, captured.err

    return call


def put_template(server: KubeServer, storage: str, name: str = "belisha") -> None:
    labels = {"app.kubernetes.io/part-of": "belisha"}
    text = template_text(storage_uri=storage)
    body = {"metadata": {"labels": labels}, "data": {"release-template.json": text}}
    server.write(Key(CONFIG_MAPS, f"{name}-release-template"), body, create=True)


def serve(server: KubeServer, storage: str) -> None:
    """The release controller does its part."""
    applier(server, storage, shape=template(storage_uri=storage)).apply()


def test_status_shows_what_is_wanted_and_what_is(
    server: KubeServer, world: SeldonWorld, storage: str, run: Any
) -> None:
    code, out, err = run("status")
    assert code == 3 and "next: v1 is started as champion" in err
    serve(server, storage)
    code, out, err = run("status", "-n", "ml")
    assert code == 0 and "PASS: v1 100 % and v2 0 % of requests" in err
    assert [line.split()[:4] for line in out.splitlines()[1:3]] == [
        ["v1", "champion", "100", "%"],
        ["v2", "challenger", "0", "%"],
    ]
    assert "applied: PASS at" in err


def test_status_for_programs(server: KubeServer, world: SeldonWorld, storage: str, run: Any) -> None:
    serve(server, storage)
    _, out, _ = run("status", "-o", "json")
    value = json.loads(out)
    assert (value["champion"], value["challenger"], value["verdict"]) == ("v1", "v2", "PASS")
    assert [(one["version"], one["mesh_percent"], one["ready_replicas"]) for one in value["predictors"]] == [
        ("v1", 100, 1), ("v2", 0, 1),
    ]  # fmt: skip
    _, out, _ = run("status", "-o", "yaml")
    assert yaml.safe_load(out) == value


def test_a_crashing_predictor_is_in_the_status(server: KubeServer, world: SeldonWorld, storage: str, run: Any) -> None:
    serve(server, storage)
    world.broken.add("y-v2")
    world.settle()
    code, out, err = run("status")
    assert code == 1 and "0 of 1 replicas of y-v2 are ready" in err and "CrashLoopBackOff" in out


def test_watch_ends_when_all_is_well_or_the_time_is_up(
    server: KubeServer, world: SeldonWorld, storage: str, run: Any
) -> None:
    code, _, err = run("status", "--watch", "--timeout", "0.01")
    assert code == 3 and "INCONCLUSIVE" in err
    serve(server, storage)
    assert run("status", "--watch")[0] == 0


def test_split_records_and_the_controller_follows(
    server: KubeServer, world: SeldonWorld, storage: str, run: Any
) -> None:
    serve(server, storage)
    code, out, err = run("split", "80/20", "--reason", "first real requests", "-o", "json")
    assert code == 0 and json.loads(out)["challenger_traffic_ratio"] == 0.2 and "v2 answers 20% of requests" in err
    serve(server, storage)
    assert world.weights() == {"y-v1": 80, "y-v2": 20}
    code, _, err = run("split", "80/20")
    assert code == 0 and "already" in err


@pytest.mark.parametrize("shares", ["80/30", "80", "80/20/0", "-5/105", "a/b", "80/ 20"])
def test_a_split_that_is_none_is_refused(world: SeldonWorld, run: Any, storage: str, shares: str) -> None:
    before = actions(storage)
    code, _, err = run("split", "--", shares)
    assert code == 2 and "such as 80/20" in err and actions(storage) == before


def test_promote_and_rollback(server: KubeServer, world: SeldonWorld, storage: str, run: Any) -> None:
    serve(server, storage)
    code, _, err = run("promote", "--reason", "won")
    assert code == 0 and "v2 became champion" in err
    serve(server, storage)
    assert world.weights() == {"y-v2": 100}
    code, _, err = run("rollback")
    assert code == 0 and "v1 is champion again" in err
    code, _, err = run("rollback", "--expect-record", "1")
    assert code == 2 and "expected 1" in err


@pytest.mark.parametrize("kind", ["client", "server"])
@pytest.mark.parametrize("verb", [("split", "70/30"), ("promote",), ("rollback",)], ids=lambda verb: verb[0])
def test_a_dry_run_shows_the_first_write_and_changes_nothing(
    server: KubeServer, world: SeldonWorld, storage: str, run: Any, verb: tuple[str, ...], kind: str
) -> None:
    serve(server, storage)
    before, records, writes = server.read(Key(SELDON, "belisha")), actions(storage), len(server.writes())
    code, out, err = run(*verb, f"--dry-run={kind}")
    assert code == 0 and f"(dry run, {kind})" in err
    assert yaml.safe_load(out)["kind"] == "SeldonDeployment"
    assert (server.read(Key(SELDON, "belisha")), actions(storage), len(server.writes())) == (before, records, writes)


def test_a_dry_run_on_the_server_asks_the_webhook(
    server: KubeServer, world: SeldonWorld, storage: str, run: Any
) -> None:
    serve(server, storage)
    server.fail(422, "Invalid", method="PUT", path="seldondeployments")
    code, _, err = run("promote", "--dry-run=server")
    assert code == 2 and "ordered Invalid" in err
    assert run("promote", "--dry-run=client")[0] == 0


def test_history(world: SeldonWorld, storage: str, run: Any) -> None:
    _, out, _ = run("history", "--last", "2", "-o", "yaml")
    records = yaml.safe_load(out)["records"]
    assert [(one["action"], one["actor"], one["challenger"]) for one in records] == [
        ("register", "ann", None), ("challenge", "ann", "v2"),
    ]  # fmt: skip
    _, out, _ = run("history")
    assert "challenge" in out and "without traffic" in out


def test_two_releases_need_a_name(server: KubeServer, world: SeldonWorld, storage: str, run: Any) -> None:
    put_template(server, storage, "other")
    code, _, err = run("history")
    assert code == 2 and "belisha, other" in err
    assert run("history", "--name", "belisha")[0] == 0
    code, _, err = run("history", "-n", "elsewhere")
    assert code == 2 and "has no ConfigMap" in err


def test_the_ledger_of_a_storage_that_is_named_needs_no_cluster(
    storage: str, run: Any, world: SeldonWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Where git is the state there is no ConfigMap to find: changes are recorded all the same."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert run("split", "90/10", "--storage", storage)[0] == 0
    assert run("promote", "--storage", storage)[0] == 0
    assert run("history", "--storage", storage)[0] == 0
    assert actions(storage)[-2:] == ["traffic", "promote"]
    assert run("rollback", "--storage", storage, "--dry-run=client")[0] == 2


def test_access_to_the_storage_comes_from_the_charts_secret(
    server: KubeServer, world: SeldonWorld, storage: str, tmp_path: Path
) -> None:
    from belisha.kubectl.place import place_in
    from tests.kube.release_world import api_of

    reference = {"name": "AWS_SECRET_ACCESS_KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    variables = [{"name": "BELISHA_STORAGE_URI", "value": "s3://bucket/x"}, reference]
    detector = {"graph": {"name": "d"}, "component": {"spec": {"containers": [{"name": "d", "env": variables}]}}}
    text = template_text(detector=detector)
    server.write(
        Key(CONFIG_MAPS, "b-release-template"), {"metadata": {}, "data": {"release-template.json": text}}, create=True
    )
    secret = {"metadata": {}, "data": {"k": base64.b64encode(b"very secret").decode()}}
    server.write(Key(SECRETS, "s"), secret, create=True)
    environment: dict[str, str] = {}
    place = place_in(api_of(server), "ml", "b", "", environment)
    assert place.storage_uri == "s3://bucket/x" and environment == {"AWS_SECRET_ACCESS_KEY": "very secret"}
    own = {"AWS_SECRET_ACCESS_KEY": "mine"}
    place_in(api_of(server), "ml", "b", "", own)
    assert own == {"AWS_SECRET_ACCESS_KEY": "mine"}


def test_drift_check_makes_a_job_of_the_charts_cron_job(
    server: KubeServer, world: SeldonWorld, storage: str, run: Any
) -> None:
    code, _, err = run("drift", "check")
    assert code == 2 and "has no CronJob belisha-drift" in err
    pod = {"template": {"spec": {"containers": [{"name": "drift", "image": "belisha/drift:1"}]}}}
    cron_job = {"metadata": {"namespace": "ml"}, "spec": {"schedule": "7 * * * *", "jobTemplate": {"spec": pod}}}
    server.write(Key(CRON_JOBS, "belisha-drift"), cron_job, create=True)
    code, out, _ = run("drift", "check", "--dry-run=client")
    assert code == 0 and yaml.safe_load(out)["spec"] == pod and not server.objects("/jobs")

    def finish(key: Key) -> None:
        body = server.read(key)
        if key.collection == JOBS and body and "status" not in body:
            status = {"conditions": [{"type": "Complete", "status": "True"}]}
            server.write(key, {"metadata": {}, "status": status}, status=True)

    server.changed = finish
    code, _, err = run("drift", "check", "--watch")
    assert code == 0 and "is complete" in err
    (job,) = server.objects("/jobs")
    assert job["metadata"]["ownerReferences"][0]["name"] == "belisha-drift"


def test_the_job_of_a_long_name_leaves_room_for_its_pods() -> None:
    cron_job = {"metadata": {"name": "x" * 60}, "spec": {"jobTemplate": {"spec": {}}}}
    assert len(job_of(cron_job, "by-hand-abcde")["metadata"]["name"]) <= 63


def test_no_cluster_is_a_sentence(
    run: Any, world: SeldonWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code, _, err = run("status", "--context", "elsewhere")
    assert code == 2 and "no cluster to talk to" in err
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    code, _, err = run("status")
    assert code == 2 and "set KUBECONFIG" in err


def test_a_cluster_that_does_not_answer_may_be_tried_again(server: KubeServer, world: SeldonWorld, run: Any) -> None:
    server.fail(503, "ServiceUnavailable", times=9)
    code, _, err = run("status")
    assert code == 75 and "try again" in err


@pytest.mark.parametrize(
    ("words", "some"),
    [
        ([""], {"status", "split", "promote", "rollback", "history", "doctor", "drift"}),
        (["ro"], {"rollback"}),
        (["drift", ""], {"check"}),
        (["split", "80/20", "--dry"], {"--dry-run"}),
        (["status", "--"], {"--namespace", "--output", "--watch"}),
    ],
)
def test_completion(words: list[str], some: set[str]) -> None:
    assert some <= set(plugin.candidates(words))


def test_completion_is_what_kubectl_reads() -> None:
    code = "import sys; sys.argv = ['kubectl_complete-belisha', 'hi']; import belisha.kubectl.main as m; m.complete()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines() == ["history", ":4"]


@pytest.mark.parametrize("verb", ["status", "split", "promote", "rollback", "history", "doctor", "drift check"])
def test_every_verb_has_examples_as_kubectl_is_called(verb: str, run: Any, world: SeldonWorld) -> None:
    code, out, _ = run(*verb.split(), "--help")
    assert code == 0 and f"kubectl belisha {verb}" in out


@pytest.mark.parametrize("script", ["kubectl-belisha", "kubectl_complete-belisha"])
def test_kubectl_finds_a_script_of_that_very_name(script: str) -> None:
    scripts = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = scripts[script].partition(":")
    assert callable(getattr(importlib.import_module(module), function))
