"""Running the compiled pipeline on this machine: watched, stoppable, and going on where a killed run stopped.

Going on costs little because every step is its own memory: pictures are content-addressed, training continues from its last
checkpoint, baselines and releases are recognised by their digests. So a run is simply executed again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from belisha.components.shared import errors
from belisha.components.shared.errors import BelishaError, InputError
from belisha.components.shared.files import canonical_json, sha256_hex, write_json
from belisha.components.shared.progress import PROGRESS_FILE_VARIABLE, ProgressSink, read_events
from belisha.pipelines.run_folder import RunFolder

_POLL_SECONDS = 0.2
_SECONDS_TO_STOP = 10.0
# What kfp.local prints after a step's traceback is far shorter.
_TAIL_BYTES = 65_536
_ERROR_LINE = re.compile(r"belisha\.components\.shared\.(?:\w+\.)*(\w+Error): (.+)")
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
# kfp.local replaces this text by the interpreter's path wherever it finds it, in paths and parameters alike.
_REWRITTEN_BY_KFP = "python3"


class RunFailedError(BelishaError):
    """A step failed; the sentence is the step's own."""

    def __init__(self, sentence: str, exit_code: int) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


def run_id_of(arguments: dict[str, Any]) -> str:
    """Name of a run: the same arguments are the same run, so that starting it again goes on with it."""
    return f"run-{sha256_hex(canonical_json(arguments))[:12]}"


def run_locally(workdir: Path, arguments: dict[str, Any], progress: ProgressSink, run_id: str = "") -> RunFolder:
    """Execute the committed pipeline with these arguments and wait for its end.

    Args:
        workdir: everything of the run lies below it; made when missing.
        arguments: the pipeline's parameters, without `run_id`.
        progress: told of every step's progress.
        run_id: name of the run; by default one that follows from the arguments.

    Returns:
        The run's folder with the outputs of every step.

    Raises:
        InputError: the arguments cannot be used, or another run is going on in `workdir`.
        RunFailedError: a step failed; carries that step's sentence and exit code.
    """
    workdir = workdir.absolute()
    _refuse_rewritten_text(workdir, arguments)
    run_id = run_id or run_id_of(arguments)
    folder = RunFolder(workdir / "runs" / run_id)
    folder.root.mkdir(parents=True, exist_ok=True)
    with _only_run_in(workdir):
        _end_leftovers(folder)
        folder.events_file.unlink(missing_ok=True)
        write_json(folder.arguments_file, {**arguments, "run_id": run_id})
        exit_code = _execute(folder, progress)
    if exit_code != 0:
        raise _failure(folder, exit_code)
    return folder


def _refuse_rewritten_text(workdir: Path, arguments: dict[str, Any]) -> None:
    for name, value in {"workdir": str(workdir), **arguments}.items():
        if _REWRITTEN_BY_KFP in str(value):
            raise InputError(
                f"{name} is {value!r}, but kfp.local rewrites the text {_REWRITTEN_BY_KFP!r}: use another path or name"
            )


@contextlib.contextmanager
def _only_run_in(workdir: Path) -> Iterator[None]:
    with (workdir / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(
                f"another run is going on in {workdir}: wait for its end or use another --workdir"
            ) from None
        yield


def _end_leftovers(folder: RunFolder) -> None:
    """Kill what a killed run left running: its steps know their run by the progress file in their environment."""
    left = [process for process in psutil.process_iter() if _belongs_to(process, folder)]
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=_SECONDS_TO_STOP)


def _belongs_to(process: psutil.Process, folder: RunFolder) -> bool:
    try:
        return process.pid != os.getpid() and process.environ().get(PROGRESS_FILE_VARIABLE) == str(folder.events_file)
    except psutil.Error:
        return False


def _execute(folder: RunFolder, progress: ProgressSink) -> int:
    environment = {
        **os.environ,
        PROGRESS_FILE_VARIABLE: str(folder.events_file),
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8:backslashreplace",
    }
    command = [sys.executable, "-m", "belisha.pipelines.local_child", str(folder.root)]
    with folder.log_file.open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True)
        try:
            return _follow(child, folder, progress)
        finally:
            _stop_group(child)


def _follow(child: subprocess.Popen[bytes], folder: RunFolder, progress: ProgressSink) -> int:
    """Report progress until the pipeline ends, or until a step has failed in a way that trying again cannot mend."""
    offset = 0
    while True:
        exit_code = child.poll()
        events, offset = read_events(folder.events_file, offset)
        for event in events:
            progress(event)
        failure = _failure_in(folder)
        if failure is not None and failure.exit_code != errors.EXIT_RETRY:
            return failure.exit_code
        if exit_code is not None:
            return exit_code
        time.sleep(_POLL_SECONDS)


def _stop_group(child: subprocess.Popen[bytes]) -> None:
    """End the pipeline and the step it is in: signalling the child alone would leave the step running."""
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal_number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=_SECONDS_TO_STOP)
            return


def _failure(folder: RunFolder, exit_code: int) -> RunFailedError:
    return _failure_in(folder) or RunFailedError(
        f"the pipeline ended with exit code {exit_code}: read the end of {folder.log_file}", errors.EXIT_FAILED
    )


def _failure_in(folder: RunFolder) -> RunFailedError | None:
    """The last error of ours near the end of the log: the final line of a step's traceback."""
    with folder.log_file.open("rb") as stream:
        stream.seek(max(0, stream.seek(0, os.SEEK_END) - _TAIL_BYTES))
        tail = stream.read().decode(errors="replace")
    found = _ERROR_LINE.findall(_ANSI.sub("", tail))
    if not found:
        return None
    name, sentence = found[-1]
    kind = getattr(errors, name, BelishaError)
    return RunFailedError(f"{sentence} (log: {folder.log_file})", kind.exit_code)
