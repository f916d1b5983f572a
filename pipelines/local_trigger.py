"""Retraining on this machine: a process of its own a run, which outlives whoever started it.

A run's folder has its name, so a second start meets the first: the process that works on a run holds a lock on a file in there
for as long as it lives, which the kernel lets go when it dies, however it dies. Nothing rests on process ids or clocks.

    <workdir>/runs/<name>/request.json   what was asked for; written once, later requests of that name change nothing
                          owner.lock     held by the process that works on it
                          outcome.json   how it ended; written last
                          retrain.log    what that process says
                          report.html    for people
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from belisha.components.retrain.trigger import NotStartedError, RunRequest, RunStatus, StartedRun
from belisha.components.shared.errors import EXIT_FAILED, ContractError, InputError
from belisha.components.shared.files import read_json, write_json

REQUEST_SCHEMA = "belisha.retrain_request/1"
OUTCOME_SCHEMA = "belisha.retrain_outcome/1"
_SECONDS_TO_BEGIN = 60.0
_POLL_SECONDS = 0.02
_TRIES = 20


@dataclass(frozen=True, slots=True)
class LocalRun:
    """The folder of one run."""

    folder: Path

    @property
    def request_file(self) -> Path:
        """What was asked for."""
        return self.folder / "request.json"

    @property
    def lock_file(self) -> Path:
        """Held by who works on it."""
        return self.folder / "owner.lock"

    @property
    def outcome_file(self) -> Path:
        """How it ended."""
        return self.folder / "outcome.json"

    @property
    def log_file(self) -> Path:
        """What its process says."""
        return self.folder / "retrain.log"

    @property
    def report_file(self) -> Path:
        """For people."""
        return self.folder / "report.html"

    @contextlib.contextmanager
    def owned(self) -> Iterator[bool]:
        """Hold the run's lock while the block runs; False when somebody else does."""
        with self.lock_file.open("a") as lock:
            yield any(_taken(lock) for _ in range(_TRIES))

    def is_owned(self) -> bool:
        """Whether a living process works on it; asking takes no lock from anybody for longer than a moment."""
        if not self.lock_file.exists():
            return False
        with self.lock_file.open("a") as lock:
            try:
                # A shared lock: two who ask at the same moment do not take each other for the owner.
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def end(self, status: RunStatus, sentence: str) -> None:
        """Write how it ended."""
        write_json(self.outcome_file, {"schema": OUTCOME_SCHEMA, "status": status.value, "sentence": sentence})


def _taken(lock: IO[str]) -> bool:
    """Whether the lock is ours now; somebody who only asks holds it for a moment, so it is tried more than once."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(_POLL_SECONDS)
        return False
    return True


class LocalTrigger:
    """A `Trigger` that starts `belisha.pipelines.retrain_process` in a session of its own.

    Args:
        workdir: everything of its runs lies below it; made when missing.
    """

    kind = "local"
    # Starting a run twice is harmless here; a few seconds keep two checks from doing the same work.
    lease_seconds = 10.0

    def __init__(self, workdir: Path) -> None:
        self._workdir = workdir.absolute()

    def folder(self, name: str) -> LocalRun:
        """Where a run of that name lies."""
        return LocalRun(self._workdir / "runs" / name)

    def now(self) -> datetime | None:
        """None: nothing but this machine's clock is at hand, and nothing rests on it."""
        return None

    def find(self, name: str) -> StartedRun | None:
        """The run of that name; None when it was never asked for. Raises ContractError on damage."""
        run = self.folder(name)
        if not run.request_file.exists():
            return None
        # The order matters: a process writes its outcome before it lets go.
        owned = run.is_owned()
        if run.outcome_file.exists():
            outcome = read_json(run.outcome_file, schema=OUTCOME_SCHEMA)
            shown = run.report_file if run.report_file.exists() else run.folder
            return StartedRun(name, RunStatus(outcome["status"]), str(outcome["sentence"]), str(shown))
        return StartedRun(name, RunStatus.RUNNING if owned else RunStatus.STOPPED, url=str(run.folder))

    def look(self, external_id: str) -> StartedRun | None:
        """As `find`: a run's id is its name."""
        return self.find(external_id)

    def start(self, request: RunRequest) -> StartedRun:
        """Start a process for the run, or see that one works on it; raises NotStartedError."""
        run = self.folder(request.name)
        try:
            run.folder.mkdir(parents=True, exist_ok=True)
            if not run.request_file.exists():
                value = {"schema": REQUEST_SCHEMA, "name": request.name, "reason": request.reason}
                write_json(run.request_file, {**value, "parameters": request.parameters})
            process = self._process(run)
        except OSError as error:
            raise NotStartedError(
                f"{run.folder} could not be written ({error.strerror}): make room or use another --workdir"
            ) from None
        return self._begun(run, process, request.name)

    def _process(self, run: LocalRun) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "belisha.pipelines.retrain_process", str(run.folder)]
        with run.log_file.open("ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, env=dict(os.environ)
            )

    def _begun(self, run: LocalRun, process: subprocess.Popen[bytes], name: str) -> StartedRun:
        """Wait until somebody works on the run, or has ended it."""
        deadline = time.monotonic() + _SECONDS_TO_BEGIN
        while time.monotonic() < deadline:
            found = self.find(name)
            if found is not None and found.status is not RunStatus.STOPPED:
                return found
            if process.poll() is not None and not run.is_owned() and not run.outcome_file.exists():
                break
            time.sleep(_POLL_SECONDS)
        raise NotStartedError(f"the run's process ended at once: read {run.log_file}", EXIT_FAILED)


def read_request(run: LocalRun) -> RunRequest:
    """What was asked for; raises ContractError."""
    value = read_json(run.request_file, schema=REQUEST_SCHEMA)
    try:
        return RunRequest(str(value["name"]), str(value["reason"]), dict(value["parameters"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ContractError(
            f"{run.request_file} is not understood ({error}): delete the folder and ask again"
        ) from None


def default_workdir(storage_uri: str) -> Path:
    """Where retraining keeps its runs when nobody says: beside a local storage; raises InputError for another storage."""
    from belisha.components.shared.storage import local_path, scheme_of

    if scheme_of(storage_uri) != "file":
        raise InputError(f"a local run needs a folder on this machine, {storage_uri} is none: give --workdir")
    return local_path(storage_uri).parent / "retraining"


def arguments_of(request: RunRequest) -> tuple[dict[str, Any], str]:
    """The pipeline's arguments without `run_id`, and that."""
    arguments = {name: value for name, value in request.parameters.items() if name != "run_id"}
    return arguments, request.name
