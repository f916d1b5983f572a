"""Retraining put together: from an alert in the ledger to a run at KFP, people asked in between; the verbs on top."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from belisha.components.retrain.kfp_trigger import KfpTrigger
from belisha.components.retrain.policy import Step
from belisha.components.retrain.run_records import Stage, retrain_runs
from belisha.components.shared.errors import InputError
from belisha.components.shared.ledger import Ledger, LedgerState
from belisha.components.shared.progress import silent
from belisha.components.shared.registry import open_registry
from belisha.components.shared.review_queue import REVIEWED_DATASET_PREFIX, Pick, read_batches
from belisha.components.shared.review_samples import Reason
from belisha.components.shared.storage import open_store
from belisha.retraining.config import RetrainConfig, read_config
from belisha.retraining.kfp_access import client_of
from belisha.retraining.retraining import Retraining
from tests.components.retrain.retraining_world import Clock, alert, record_alert, set_state
from tests.components.review.queue_world import WINDOW, World
from tests.kfp_stub import API, KfpStub, serving

BELISHA = Path(sys.executable).with_name("belisha")
EAGER = {"on_alert": "retrain", "budget_runs": 10, "cooldown_hours": 0}


@pytest.fixture
def stub() -> Iterator[KfpStub]:
    with serving(KfpStub()) as running:
        yield running
        assert running.complaints == []


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = open_registry(str(tmp_path / "storage")).ledger
    set_state(ledger, LedgerState("v1"))
    return ledger


def retraining(tmp_path: Path, stub: KfpStub, **policy: object) -> Retraining:
    config = RetrainConfig.model_validate(
        {
            "policy": policy,
            "parameters": {"data_sources": ["s3://b/train.zip"], "train_epochs": 3},
            "kfp": {"endpoint": stub.url},
        }
    )
    client = client_of(config.kfp)
    client.upload_version("belisha-training", b"pipelineInfo: {name: p}\nroot: {dag: {tasks: {}}}\n")
    return Retraining(str(tmp_path / "storage"), KfpTrigger(client), config, clock=Clock())


def stages(ledger: Ledger) -> dict[str, Stage]:
    return {name: run.stage for name, run in retrain_runs(ledger.records()).items()}


def test_an_alert_becomes_a_run_with_the_reviewed_pictures_before_the_rest(
    tmp_path: Path, stub: KfpStub, ledger: Ledger
) -> None:
    drifted = record_alert(ledger, alert())
    open_store(str(tmp_path / "storage")).write(f"{REVIEWED_DATASET_PREFIX}/labels.json", b"{}")
    (outcome,) = retraining(tmp_path, stub, **EAGER).act_on_alert(silent)
    assert outcome.step is Step.START and outcome.cause.cause_id == drifted.cause_id
    (request,) = stub.sent("POST", f"{API}/runs")
    storage = f"file://{tmp_path}/storage"
    assert request.body["runtime_config"]["parameters"] == {
        "data_sources": [f"{storage}/review/dataset/reviewed", "s3://b/train.zip"],
        "train_epochs": 3,
        "storage_uri": storage,
        "run_id": f"retrain-{drifted.cause_id}",
    }
    assert retraining(tmp_path, stub, **EAGER).act_on_alert(silent)[-1].step is Step.WAIT
    assert len(stub.runs) == 1


def test_without_an_alert_a_check_still_takes_up_what_waits(tmp_path: Path, stub: KfpStub, ledger: Ledger) -> None:
    set_state(ledger, LedgerState("v1", "v2", 0.1))
    assert retraining(tmp_path, stub, **EAGER).weekly(silent)[-1].step is Step.DEFER
    set_state(ledger, LedgerState("v1"))
    (outcome,) = retraining(tmp_path, stub, **EAGER).act_on_alert(silent)
    assert outcome.step is Step.START and outcome.cause.cause_id == "weekly-2026-W47"


def test_people_are_asked_once_with_a_batch_of_the_causes_name(tmp_path: Path, stub: KfpStub, ledger: Ledger) -> None:
    world = World(tmp_path / "storage")
    for seed in range(12):
        world.keep(seed, reasons={Reason.UNIFORM: 0.1})
    world.log()
    begin, end = WINDOW
    drifted = alert()
    strata = tuple(replace(one, camera="north", daylight="any", begin=begin, end=end) for one in drifted.strata)
    drifted = record_alert(ledger, replace(drifted, strata=strata))
    for _ in range(2):
        outcomes = retraining(tmp_path, stub).act_on_alert(silent)
        assert stages(ledger) == {drifted.cause_id: Stage.ASKED}
    assert outcomes[-1].step is Step.WAIT and stub.runs == {}
    (batch,) = read_batches(open_store(str(tmp_path / "storage")))
    assert batch.key == drifted.cause_id and len(batch.items) == 12
    assert {item.pick for item in batch.items} == {Pick.UNIFORM}


def test_every_check_tells_prometheus(
    tmp_path: Path, stub: KfpStub, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed: list[tuple[str, str]] = []

    class Pushgateway(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            pushed.append((self.path, self.rfile.read(int(self.headers["Content-Length"])).decode()))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Pushgateway) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("BELISHA_PUSHGATEWAY", f"http://127.0.0.1:{server.server_port}")
        retraining(tmp_path, stub).weekly(silent)
        server.shutdown()
    ((path, text),) = pushed
    assert path == "/metrics/job/belisha-retrain/deployment_name/belisha"
    assert "belisha_retrain_running 1.0" in text and 'start_timestamp_seconds{cause="weekly"} 1.79' in text


def test_a_pushgateway_that_is_away_hides_nothing(
    tmp_path: Path, stub: KfpStub, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BELISHA_PUSHGATEWAY", "http://127.0.0.1:9")
    notes: list[str] = []
    (outcome,) = retraining(tmp_path, stub).weekly(lambda event: notes.append(event.note))
    assert outcome.step is Step.START
    assert any("did not take the metrics" in note for note in notes)


def test_an_alert_of_another_deployment_is_left_alone(tmp_path: Path, stub: KfpStub, ledger: Ledger) -> None:
    record_alert(ledger, replace(alert(), deployment_name="shop"))
    whole = retraining(tmp_path, stub, **EAGER)
    assert whole.act_on_alert(silent) == []
    shop = replace(whole, config=whole.config.model_copy(update={"deployment_name": "shop"}))
    assert shop.act_on_alert(silent)[-1].step is Step.START


def test_a_covered_lens_trains_nobody(tmp_path: Path, stub: KfpStub, ledger: Ledger) -> None:
    drifted = record_alert(ledger, alert(medians={"dark_ratio": 1.0}))
    (outcome,) = retraining(tmp_path, stub, **EAGER).act_on_alert(silent)
    assert outcome.step is Step.DECLINE and "lens is covered" in outcome.sentence
    assert stages(ledger) == {drifted.cause_id: Stage.DECLINED} and stub.runs == {}


def test_its_end_is_settled_by_the_next_check(tmp_path: Path, stub: KfpStub, ledger: Ledger) -> None:
    retraining(tmp_path, stub, **EAGER).weekly(silent)
    stub.set_state("retrain-weekly-2026-W47", "FAILED", "no GPU")
    outcomes = retraining(tmp_path, stub, **EAGER).act_on_alert(silent)
    assert "no GPU" in outcomes[0].sentence
    assert stages(ledger) == {"weekly-2026-W47": Stage.FAILED}


@pytest.mark.parametrize(
    ("case", "parameters", "reviewed", "words"),
    [
        ("nothing to train on", {}, False, "nothing says what to train on"),
        ("unknown parameter", {"data_sources": ["x"], "train_epoch": 3}, False, "did you mean train_epochs"),
        ("one format for all", {"data_sources": ["x"], "data_format": "yolo"}, True, "data_format cannot hold"),
    ],
)
def test_parameters_that_cannot_work_start_nothing(
    case: str, parameters: dict[str, Any], reviewed: bool, words: str, tmp_path: Path, stub: KfpStub, ledger: Ledger
) -> None:
    if reviewed:
        open_store(str(tmp_path / "storage")).write(f"{REVIEWED_DATASET_PREFIX}/labels.json", b"{}")
    whole = retraining(tmp_path, stub)
    whole = replace(whole, config=whole.config.model_copy(update={"parameters": parameters}))
    with pytest.raises(InputError, match=words):
        whole.weekly(silent)
    assert stub.runs == {} and stages(ledger) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("policy: {budget: 3}", "budget is no setting of the policy"),
        ("policy: {on_alert: panic}", "policy.on_alert"),
        ("polices: {}", "polices"),
        ("parameters: [1]", "parameters"),
        ("[1, 2]", "valid dictionary"),
        ("a: [", "is no YAML"),
        ("kfp: {endpoint: 5}", "kfp.endpoint"),
    ],
)
def test_a_mistake_in_the_file_is_named(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "retrain.yaml").write_text(text)
    with pytest.raises(InputError, match=words):
        read_config(tmp_path / "retrain.yaml")


def test_the_files_policy_is_checked_by_the_policy_itself() -> None:
    with pytest.raises(InputError, match="review_pictures is 7"):
        RetrainConfig.model_validate({"policy": {"review_pictures": 7}})


# ---- the verbs


def belisha(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BELISHA), *words], capture_output=True, text=True, timeout=120, env={**os.environ, **environment}
    )


def test_the_verbs_upload_submit_schedule_wait_and_list(tmp_path: Path, stub: KfpStub) -> None:
    at = {"BELISHA_KFP_ENDPOINT": stub.url}
    first = json.loads(belisha("pipeline", "upload", "--json", **at).stdout)
    assert first["uploaded"] is True and first["warnings"] == []
    assert json.loads(belisha("pipeline", "upload", "--json", **at).stdout)["uploaded"] is False
    parameters = ["--set", "storage_uri=s3://b", "--set", "train_epochs=3"]
    done = belisha("pipeline", "submit", "--name", "one", *parameters, "--json", **at)
    run = json.loads(done.stdout)
    assert (run["name"], run["state"]) == ("one", "PENDING"), done.stderr
    stub.set_state("one", "CANCELED")
    waited = belisha("pipeline", "wait", run["run_id"], **at)
    assert waited.returncode == 1 and "ended CANCELED" in waited.stderr
    listed = json.loads(belisha("pipeline", "list", "--json", **at).stdout)
    assert [one["name"] for one in listed["runs"]] == ["one"] and listed["server"]["version"] == "2.17.0"
    five = belisha("pipeline", "schedule", "--cron", "0 3 * * 1", *parameters, **at)
    assert five.returncode == 2 and "most likely '0 0 3 * * 1'" in five.stderr
    assert belisha("pipeline", "schedule", "--cron", "0 0 3 * * 1", *parameters, **at).returncode == 0
    assert len(stub.schedules) == 1


def test_submitting_without_caches_sends_the_pipeline_itself(stub: KfpStub) -> None:
    done = belisha("pipeline", "submit", "--no-cache", "--set", "storage_uri=s3://b", BELISHA_KFP_ENDPOINT=stub.url)
    assert done.returncode == 0, done.stderr
    (request,) = stub.sent("POST", f"{API}/runs")
    tasks = request.body["pipeline_spec"]["pipeline_spec"]["root"]["dag"]["tasks"]
    assert all(task["cachingOptions"] == {} for task in tasks.values())


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["pipeline", "list"], 2, "where Kubeflow Pipelines is"),
        (["pipeline", "list", "--kfp-endpoint", "http://127.0.0.1:9"], 75, "got no answer"),
        (["pipeline", "submit", "--kfp-endpoint", "http://127.0.0.1:9"], 2, "the run needs a storage"),
        (["retrain", "weekly", "--storage", "store", "--trigger", "argo"], 2, "none of local and kfp"),
        (["retrain", "weekly", "--storage", "store"], 2, "nothing says what to train on"),
        (["retrain", "status", "--storage", "nowhere"], 2, "there is no registry"),
        (["retrain", "start", "--storage", "store", "--cause", " ", "--data", "x"], 2, "needs a reason"),
    ],
)
def test_mistakes_are_one_sentence(words: list[str], code: int, sentence: str, tmp_path: Path) -> None:
    done = subprocess.run([str(BELISHA), *words], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert (done.returncode, sentence in done.stderr.replace("\n", " ")) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


def test_the_weekly_verb_starts_one_run_and_status_shows_it(tmp_path: Path, stub: KfpStub, ledger: Ledger) -> None:
    retraining(tmp_path, stub)
    config = tmp_path / "retrain.yaml"
    config.write_text(f"kfp: {{endpoint: '{stub.url}'}}\nparameters: {{data_sources: ['s3://b/train.zip']}}\n")
    words = ["--storage", str(tmp_path / "storage"), "--trigger", "kfp", "--config", str(config)]
    for step in ("start", "wait"):
        done = belisha("retrain", "weekly", *words, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["outcomes"][-1]["step"] == step
    assert len(stub.runs) == 1
    stub.set_state(next(iter(stub.runs.values()))["display_name"], "SUCCEEDED")
    settled = json.loads(belisha("retrain", "settle", *words, "--json").stdout)
    assert settled["runs"][0]["stage"] == "succeeded"
    shown = belisha("retrain", "status", "--storage", str(tmp_path / "storage"))
    assert "succeeded" in shown.stdout and "0 running" in shown.stderr


def test_waiting_ends_with_the_runs_end_and_its_exit_code(tmp_path: Path, ledger: Ledger) -> None:
    """A local run whose data cannot be read fails by itself; who waits is told so."""
    (tmp_path / "empty").mkdir()
    words = [
        "--storage",
        str(tmp_path / "storage"),
        "--data",
        str(tmp_path / "empty"),
        "--cause",
        "new lamps",
        "--wait",
    ]
    done = belisha("retrain", "start", *words)
    assert done.returncode == 1, done.stderr
    assert "was started" in done.stderr and "no label format is recognised" in done.stderr.splitlines()[-1]
    again = belisha("retrain", "start", *words, "--json")
    assert again.returncode == 1 and json.loads(again.stdout)["runs"][0]["stage"] == "failed"
