"""A parent for one predictor that leaves nothing behind: run as a script, `python -I guard.py GRACE_SECONDS COMMAND…`.

It ends its command, and everything that this has started, when its standard input closes. The operating system closes it
when whoever holds the other end stops the predictor or dies, be it by SIGKILL. It imports nothing of ours, so that it is up
at once and small.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36
_POLL_SECONDS = 0.05


def main(grace_seconds: float, command: list[str]) -> int:
    """Run the command to its end or to the end of standard input; returns its exit code (negative for a signal)."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # The group's own signals are meant for the predictor; the guard has to outlive it.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        # Should the guard itself be killed, the kernel ends the predictor.
        preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0),  # noqa: PLW1509 - no thread runs yet
    )
    threading.Thread(target=_end_with_parent, args=(grace_seconds,), daemon=True).start()
    return _reap(child.pid, grace_seconds)


def _end_with_parent(grace_seconds: float) -> None:
    while sys.stdin.buffer.read(1):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(grace_seconds)
    os.killpg(0, signal.SIGKILL)


def _reap(pid: int, grace_seconds: float) -> int:
    """Collect every descendant; once the command has ended, the others get the grace to follow."""
    code, deadline = 0, float("inf")
    while True:
        try:
            ended, status = os.waitpid(-1, 0 if deadline == float("inf") else os.WNOHANG)
        except ChildProcessError:
            return code
        if ended == pid:
            code, deadline = os.waitstatus_to_exitcode(status), time.monotonic() + grace_seconds
            os.killpg(0, signal.SIGTERM)
        if not ended:
            time.sleep(_POLL_SECONDS)
        if time.monotonic() > deadline:
            os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(abs(main(float(sys.argv[1]), sys.argv[2:])))
