"""Runs on a KFP API that is slow, away, loses answers, or lets a request arrive late."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from belisha.components.retrain.kfp_trigger import KfpTarget, KfpTrigger
from belisha.components.retrain.trigger import NotStartedError, RunRequest, RunStatus
from belisha.components.shared.kfp_client import KfpClient, KfpError, KfpTransport
from belisha.components.shared.kfp_client.transport import Patience
from tests.kfp_stub import API, Fault, KfpStub, serving

QUICK = Patience(connect_seconds=2, read_seconds=2, answer_seconds=2, backoff_seconds=0.001)
NAME = "retrain-weekly-2026-W47"
REQUEST = RunRequest(NAME, "the weekly run", {"storage_uri": "s3://b", "run_id": NAME})
PACKAGE = b"pipelineInfo: {name: p}\nroot: {dag: {tasks: {}}}\n"


@pytest.fixture
def stub() -> Iterator[KfpStub]:
    with serving(KfpStub()) as running:
        client_of(running).upload_version("belisha-training", PACKAGE)
        yield running
        assert running.complaints == []


def client_of(stub: KfpStub) -> KfpClient:
    return KfpClient(KfpTransport(stub.url, patience=QUICK))


def trigger_of(stub: KfpStub) -> KfpTrigger:
    return KfpTrigger(client_of(stub), KfpTarget(pipeline_root="s3://b/root", service_account="pipeline-runner"))


def test_a_run_is_started_found_and_followed_to_its_end(stub: KfpStub) -> None:
    trigger = trigger_of(stub)
    assert trigger.find(REQUEST.name) is None
    started = trigger.start(REQUEST)
    assert started.status is RunStatus.RUNNING and started.url.endswith(f"/#/runs/details/{started.external_id}")
    assert trigger.find(REQUEST.name) == trigger.look(started.external_id) == started
    (request,) = stub.sent("POST", f"{API}/runs")
    assert request.body["runtime_config"] == {"parameters": REQUEST.parameters, "pipeline_root": "s3://b/root"}
    assert request.body["service_account"] == "pipeline-runner"
    stub.set_state(REQUEST.name, "SUCCEEDED")
    ended = trigger.look(started.external_id)
    assert ended is not None and ended.status is RunStatus.SUCCEEDED


@pytest.mark.parametrize("state", ["FAILED", "CANCELED", "SKIPPED"])
def test_every_bad_end_is_told(state: str, stub: KfpStub) -> None:
    trigger = trigger_of(stub)
    started = trigger.start(REQUEST)
    stub.set_state(REQUEST.name, state, "out of memory")
    ended = trigger.look(started.external_id)
    assert ended is not None and ended.status is RunStatus.FAILED
    assert state in ended.sentence and "out of memory" in ended.sentence


@pytest.mark.parametrize(
    "state", ["PENDING", "RUNNING", "CANCELING", "PAUSED", "RUNTIME_STATE_UNSPECIFIED", "NEW_WORD"]
)
def test_what_is_no_end_goes_on(state: str, stub: KfpStub) -> None:
    trigger = trigger_of(stub)
    started = trigger.start(REQUEST)
    stub.set_state(REQUEST.name, state)
    found = trigger.look(started.external_id)
    assert found is not None and found.status is RunStatus.RUNNING


def test_a_run_that_was_deleted_is_gone(stub: KfpStub) -> None:
    assert trigger_of(stub).look("run-99") is None


@pytest.mark.parametrize("status", [0, 500, 502])
def test_a_lost_answer_is_looked_up(status: int, stub: KfpStub) -> None:
    stub.faults.append(Fault("POST", f"{API}/runs", status=status, applied=True))
    assert trigger_of(stub).start(REQUEST).status is RunStatus.RUNNING
    assert len(stub.runs) == 1


@pytest.mark.parametrize("status", [0, 503])
def test_a_start_that_may_come_to_life_later_keeps_its_claim(status: int, stub: KfpStub) -> None:
    stub.faults.append(Fault("POST", f"{API}/runs", times=9, status=status))
    with pytest.raises(KfpError) as failed:
        trigger_of(stub).start(REQUEST)
    assert failed.value.maybe_done


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        (f"{API}/runs", "POST", 429),
        (f"{API}/runs", "POST", 400),
        (f"{API}/runs", "POST", 401),
        (f"{API}/experiments", "GET", 503),
        (f"{API}/pipelines/names/.*", "GET", 403),
    ],
)
def test_a_start_that_surely_failed_says_so(path: str, method: str, status: int, stub: KfpStub) -> None:
    stub.faults.append(Fault(method, path, times=99, status=status))
    with pytest.raises(NotStartedError):
        trigger_of(stub).start(REQUEST)
    assert stub.runs == {}


def test_without_an_upload_nothing_is_started() -> None:
    with serving(KfpStub()) as empty, pytest.raises(NotStartedError, match="belisha pipeline upload"):
        trigger_of(empty).start(REQUEST)


def test_of_two_runs_the_older_stays_and_everybody_keeps_the_same(stub: KfpStub) -> None:
    """A request that the network held back arrives after its claim was taken over and the run was started again."""
    stub.faults.append(Fault("POST", f"{API}/runs", delay_seconds=0.4, passed_on=True))
    held_back = threading.Thread(target=lambda: trigger_of(stub).start(REQUEST))
    held_back.start()
    while not stub.sent("POST", f"{API}/runs"):
        time.sleep(0.005)
    first = trigger_of(stub).start(REQUEST)
    held_back.join()
    assert len(stub.runs) == 2
    assert [run["run_id"] for run in stub.live_runs(REQUEST.name)] == [first.external_id]
    assert trigger_of(stub).find(REQUEST.name) == trigger_of(stub).look(first.external_id)


def test_a_run_that_a_person_stopped_is_not_started_again(stub: KfpStub) -> None:
    trigger = trigger_of(stub)
    trigger.start(REQUEST)
    stub.set_state(REQUEST.name, "CANCELED")
    found = trigger.find(REQUEST.name)
    assert found is not None and found.status is RunStatus.FAILED


def test_the_servers_clock_counts(stub: KfpStub) -> None:
    before = trigger_of(stub).now()
    stub.clock_hours = 48
    after = trigger_of(stub).now()
    assert before is not None and after is not None and 47 < (after - before).total_seconds() / 3600 < 49
