"""Retraining on this machine, in real processes: killed, raced, failing, and once for real."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from belisha.components.retrain.cause import manual_cause
from belisha.components.retrain.policy import Step
from belisha.components.retrain.retrainer import Retrainer
from belisha.components.retrain.run_records import Stage, retrain_runs
from belisha.components.retrain.trigger import NotStartedError, RunRequest, RunStatus
from belisha.components.shared.errors import ContractError, InputError
from belisha.components.shared.ledger import Action, Draft, Ledger, LedgerState
from belisha.components.shared.registry import open_registry
from belisha.pipelines.local_trigger import LocalTrigger, default_workdir

CAUSE = manual_cause("a test")
NAME = CAUSE.run_name


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = open_registry(str(tmp_path / "storage")).ledger
    ledger.append(lambda *_: Draft(Action.PROMOTE, "v1", "first", LedgerState("v1")))
    return ledger


@pytest.fixture(autouse=True)
def _leave_nothing(tmp_path: Path) -> Iterator[None]:
    """Whatever a test started ends with it."""
    yield
    for process in processes_of(tmp_path):
        with contextlib.suppress(psutil.Error):
            process.kill()


def processes_of(folder: Path) -> list[psutil.Process]:
    """Processes whose command line names the folder, this one's parents and itself left out."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and any(str(folder) in word for word in process.cmdline()):
                found.append(process)
    return found


def owners(folder: Path) -> list[psutil.Process]:
    return [process for process in processes_of(folder) if "belisha.pipelines.retrain_process" in process.cmdline()]


def request(tmp_path: Path, source: str) -> RunRequest:
    parameters = {"data_sources": [source], "storage_uri": str(tmp_path / "storage"), "run_id": NAME}
    return RunRequest(NAME, "a test", parameters)


def wait_until(condition: object, seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


def test_a_failing_run_is_told_with_its_own_sentence_and_recorded_by_itself(tmp_path: Path, ledger: Ledger) -> None:
    (tmp_path / "empty").mkdir()
    trigger = LocalTrigger(tmp_path / "work")
    parameters = request(tmp_path, str(tmp_path / "empty")).parameters
    outcome = Retrainer(ledger, trigger).act(CAUSE, parameters)
    assert outcome.step is Step.START and outcome.run is not None and outcome.run.stage is Stage.SUBMITTED
    wait_until(lambda: retrain_runs(ledger.records())[CAUSE.cause_id].stage is Stage.FAILED)
    run = retrain_runs(ledger.records())[CAUSE.cause_id]
    assert "no label format is recognised" in run.sentence
    again = trigger.start(request(tmp_path, "another"))
    assert again.status is RunStatus.FAILED, "a run that has ended is not begun anew"


# So many pictures that the run cannot end while the test looks at it.
LONG = "synthetic://streets?pictures=100000&seed=1"


def test_a_killed_run_is_stopped_and_the_next_check_goes_on_with_it(tmp_path: Path, ledger: Ledger) -> None:
    trigger = LocalTrigger(tmp_path / "work")
    trigger.lease_seconds = 0.0
    parameters = request(tmp_path, LONG).parameters
    Retrainer(ledger, trigger).act(CAUSE, parameters)
    wait_until(lambda: len(owners(tmp_path)) == 1)  # while it forks, its child looks like it
    (owner,) = owners(tmp_path)
    assert trigger.find(NAME).status is RunStatus.RUNNING  # type: ignore[union-attr]
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    wait_until(lambda: trigger.find(NAME).status is RunStatus.STOPPED)  # type: ignore[union-attr]
    (outcome,) = Retrainer(ledger, trigger).take_up(parameters)
    assert outcome.step is Step.START and outcome.run is not None and outcome.run.attempt == 2
    wait_until(lambda: len(owners(tmp_path)) == 1)


def test_starts_that_race_give_one_process(tmp_path: Path) -> None:
    trigger, found = LocalTrigger(tmp_path / "work"), []
    asked = request(tmp_path, LONG)
    threads = [threading.Thread(target=lambda: found.append(trigger.start(asked).status)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [RunStatus.RUNNING] * 3
    wait_until(lambda: len(owners(tmp_path)) == 1)


def test_what_was_never_asked_for_is_not_there(tmp_path: Path) -> None:
    assert LocalTrigger(tmp_path).find(NAME) is None


def test_a_folder_that_cannot_be_written_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "work").write_text("a file in the way")
    with pytest.raises(NotStartedError, match="could not be written"):
        LocalTrigger(tmp_path / "work").start(request(tmp_path, LONG))


def test_a_damaged_outcome_is_told(tmp_path: Path) -> None:
    run = LocalTrigger(tmp_path).folder(NAME)
    run.folder.mkdir(parents=True)
    run.request_file.write_text("{}")
    run.outcome_file.write_text("{")
    with pytest.raises(ContractError):
        LocalTrigger(tmp_path).find(NAME)


def test_asking_never_takes_the_lock_away(tmp_path: Path) -> None:
    run = LocalTrigger(tmp_path).folder(NAME)
    run.folder.mkdir(parents=True)
    with run.owned() as mine:
        assert mine and run.is_owned()
        with run.owned() as second:
            assert not second
    assert not run.is_owned()


def test_a_remote_storage_needs_a_workdir(tmp_path: Path) -> None:
    assert default_workdir(str(tmp_path / "storage")) == tmp_path / "retraining"
    with pytest.raises(InputError, match="--workdir"):
        default_workdir("s3://bucket/belisha")


@pytest.mark.training
@pytest.mark.xdist_group("local_run")
def test_a_whole_run_ends_with_its_verdict_and_a_page(tmp_path: Path) -> None:
    trigger, asked = LocalTrigger(tmp_path / "work"), request(tmp_path, "synthetic://streets?pictures=48&seed=5")
    small = {
        "train_epochs": 2,
        "train_image_size": 160,
        "train_batch": 8,
        "train_workers": 0,
        "gate_bootstrap_resamples": 200,
    }
    trigger.start(RunRequest(asked.name, asked.reason, {**asked.parameters, **small}))
    wait_until(lambda: trigger.find(NAME).status is not RunStatus.RUNNING, seconds=300)  # type: ignore[union-attr]
    found = trigger.find(NAME)
    assert found is not None and found.status is RunStatus.SUCCEEDED, found
    assert found.sentence.startswith(f"{NAME} ended ") and "v1" in found.sentence
    assert Path(found.url).read_text().count("data:image/") > 1
    records = open_registry(str(tmp_path / "storage")).ledger.records()
    assert {record.draft.run_id for record in records if record.draft.action is Action.REGISTER} == {NAME}
