"""Who serves after each change of the ledger, and how a guard ends what it guards."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from belisha.components.shared.ledger import LedgerState
from belisha.serving.plan import Share, shares, wanted_versions
from belisha.serving.policy_file import PolicyFile
from belisha.serving.predictor_process import free_ports, guarded

ONE = (Share("v1", "champion", 1.0),)
TRIAL = (Share("v1", "champion", 0.75), Share("v2", "challenger", 0.25))


@pytest.mark.parametrize(
    ("state", "ready", "before", "expected"),
    [
        pytest.param(LedgerState(), {"v1"}, ONE, (), id="nobody is champion"),
        pytest.param(LedgerState("v1"), set(), (), (), id="nobody is ready yet"),
        pytest.param(LedgerState("v1"), {"v1"}, (), ONE, id="the champion alone"),
        pytest.param(LedgerState("v1", "v2", 0.25), {"v1"}, ONE, ONE, id="the challenger is not ready"),
        pytest.param(LedgerState("v1", "v2", 0.25), {"v1", "v2"}, ONE, TRIAL, id="both"),
        pytest.param(LedgerState("v2"), {"v1", "v2"}, TRIAL, (Share("v2", "champion", 1.0),), id="promoted"),
        pytest.param(LedgerState("v3"), {"v1", "v2"}, TRIAL, ONE, id="the one before goes on until the new is ready"),
        pytest.param(LedgerState("v3"), {"v3"}, ONE, (Share("v3", "champion", 1.0),), id="the one before is gone"),
    ],
)
def test_who_serves(
    state: LedgerState, ready: set[str], before: tuple[Share, ...], expected: tuple[Share, ...]
) -> None:
    assert shares(state, ready, before) == expected


def test_wanted_versions() -> None:
    assert wanted_versions(LedgerState("v1", "v2", 0.0)) == ("v1", "v2")
    assert wanted_versions(LedgerState()) == ()


def test_free_ports_differ() -> None:
    assert len(set(free_ports(5))) == 5


STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"])
open(sys.argv[1], "w").close()
time.sleep(600)
"""


def group(pgid: int) -> list[int]:
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(process.pid) == pgid and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


@pytest.mark.parametrize("way", ["closed", "guard killed", "command killed"])
def test_a_guard_leaves_nothing_behind(tmp_path: Path, way: str) -> None:
    process = guarded([sys.executable, "-c", STUBBORN, str(tmp_path / "up")], dict(os.environ), subprocess.DEVNULL, 0.3)
    try:
        while not (tmp_path / "up").exists():
            time.sleep(0.02)
        assert len(group(process.pid)) == 3
        assert process.stdin is not None
        if way == "closed":
            process.stdin.close()
        elif way == "guard killed":
            process.kill()
            # What is left is for the supervisor, which ends the group of a guard that has died.
            process.wait()
            os.killpg(process.pid, signal.SIGKILL)
        else:
            command = psutil.Process(process.pid).children()[0]
            command.kill()
        process.wait(20)
        deadline = time.monotonic() + 20
        while group(process.pid):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_a_policy_is_read_again_when_its_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("belisha.serving.policy_file._LOOK_SECONDS", -1.0)
    path = tmp_path / "policy.yaml"
    path.write_text("experiment: one\n")
    policy = PolicyFile(path)
    assert policy().experiment == "one"
    path.write_text("experiment: second\n")
    assert policy().experiment == "second"
    path.write_text("experiment: [nonsense\n")
    assert policy().experiment == "second"
    assert "until then the policy before goes on" in policy.trouble
    path.unlink()
    assert policy().experiment == "second"
