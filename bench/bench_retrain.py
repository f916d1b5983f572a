"""Racing checks that are killed at random points: exactly one training run a cause, and none lost.

A round: two checks notice the same cause at the same moment and race, as real processes on one ledger on disk, against a KFP
API on loopback that answers slowly and loses one answer in ten. By lot one, both or none are killed by SIGKILL, at a moment
drawn from the time that a check takes. In half of the rounds their clocks are wrong by hours, days or a year as well, and in
some of those the server's clock, which tells a claim's age, jumps by a day while they race: then a living owner's claim may be
taken over, and a second run may have to be stopped. Then, one lease later, the next check comes and is left alone. After it
the cause must have one run that was not stopped, and the ledger must know it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

from scipy.stats import beta

from bench.retrain_worker import Check, prepare, read_back, work
from bench.table import BenchRow

ROUNDS = 200
_JUMPS_HOURS = (0.0, 0.0, -1.0, 1.0, -24.0, 24.0, 24.0 * 365)
# A check takes about so long on a quiet machine; kills are drawn from all of it and a little more.
_CHECK_SECONDS = 0.12
_LEASE_HOURS = 0.6
_LOST_ANSWERS = 0.1
_SERVER_JUMPS = 0.3


@dataclass
class Tally:
    """What the rounds came to."""

    rounds: int = 0
    exactly_one: int = 0
    lost: int = 0
    several: int = 0
    killed: int = 0
    taken_over: int = 0
    second_runs: int = 0


def run() -> list[BenchRow]:
    """Both kinds of clock, half of the rounds each."""
    tallies = {
        "right clocks": play(ROUNDS // 2, seed=1, jumps=False),
        "jumping clocks": play(ROUNDS // 2, seed=2, jumps=True),
    }
    rows = [_row(name, tally) for name, tally in tallies.items()]
    return [*rows, _whole(list(tallies.values()))]


def play(rounds: int, *, seed: int, jumps: bool) -> Tally:
    """Play rounds on a ledger and a KFP API of their own."""
    from tests.kfp_stub import KfpStub, serving

    lot, tally = random.Random(seed), Tally()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["bench.retrain_worker"])
    with tempfile.TemporaryDirectory(prefix="belisha-bench-") as folder, serving(KfpStub(page_size=100)) as stub:
        _provide(stub)
        ledger_uri = str(Path(folder) / "ledger")
        _finish(_started(context, prepare, ledger_uri))
        for number in range(rounds):
            _play_round(context, stub, Path(folder), f"manual-race-{number}", lot, tally, jumps=jumps)
            if (number + 1) % 20 == 0:
                print(f"retrain: {number + 1} of {rounds} rounds", file=sys.stderr, flush=True)
    return tally


def _play_round(context, stub, folder: Path, cause_id: str, lot: random.Random, tally: Tally, *, jumps: bool) -> None:  # type: ignore[no-untyped-def]
    from tests.kfp_stub import API, Fault

    if lot.random() < _LOST_ANSWERS:
        stub.faults.append(Fault("POST", f"{API}/runs", status=lot.choice((0, 502)), applied=True))
    stub.faults.append(Fault("GET", f"{API}/runs", times=2, passed_on=True, delay_seconds=lot.random() * 0.03))
    go_at = time.monotonic() + 0.1
    offsets = [lot.choice(_JUMPS_HOURS) if jumps else 0.0 for _ in range(2)]
    ledger_uri = str(folder / "ledger")
    checks = [Check(ledger_uri, stub.url, cause_id, offset, go_at) for offset in offsets]
    racers = [_started(context, work, check) for check in checks]
    if jumps and lot.random() < _SERVER_JUMPS:
        jump = threading.Timer(0.1 + lot.random() * _CHECK_SECONDS, _jump, (stub, lot.choice((-24.0, 24.0))))
        jump.start()
    for racer in racers[: lot.choice((0, 1, 1, 2))]:
        _kill_at(racer, go_at + lot.random() * _CHECK_SECONDS)
        tally.killed += 1
    for racer in racers:
        _finish(racer)
    stub.faults.clear()
    stub.clock_hours += _LEASE_HOURS
    _finish(_started(context, work, Check(ledger_uri, stub.url, cause_id)))
    _count(context, stub, folder, cause_id, tally)


def _count(context, stub, folder: Path, cause_id: str, tally: Tally) -> None:  # type: ignore[no-untyped-def]
    _finish(_started(context, read_back, str(folder / "ledger"), cause_id, str(folder / "stage")))
    stage, attempts = (folder / "stage").read_text().split()
    name = f"retrain-{cause_id}"
    made = [run for run in stub.runs.values() if run["display_name"] == name]
    alive = len(stub.live_runs(name))
    tally.rounds += 1
    tally.exactly_one += alive == 1 and stage == "submitted"
    tally.lost += alive == 0 or stage != "submitted"
    tally.several += alive > 1
    tally.second_runs += len(made) - 1
    tally.taken_over += int(attempts) > 1
    stub.set_state(name, "SUCCEEDED")


def _started(context, function, *arguments: object) -> BaseProcess:  # type: ignore[no-untyped-def]
    process: BaseProcess = context.Process(target=function, args=arguments)
    process.start()
    return process


def _kill_at(process: BaseProcess, moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))
    with contextlib.suppress(ProcessLookupError):
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)


def _finish(process: BaseProcess) -> None:
    process.join(timeout=60)
    if process.exitcode is None:
        process.kill()
        raise RuntimeError("a check did not come to an end within a minute")


def _jump(stub, hours: float) -> None:  # type: ignore[no-untyped-def]
    stub.clock_hours += hours


def _provide(stub) -> None:  # type: ignore[no-untyped-def]
    """An uploaded pipeline and its experiment, as an installation has them."""
    from belisha.components.shared.kfp_client import KfpClient, KfpTransport
    from belisha.pipelines.compiling import compiled_path

    client = KfpClient(KfpTransport(stub.url))
    client.upload_version("belisha-training", compiled_path().read_bytes())
    client.experiment("belisha")


def upper_bound(failures: int, trials: int, confidence: float = 0.95) -> float:
    """One-sided upper bound of a rate by Clopper and Pearson (1934)."""
    return float(beta.ppf(confidence, failures + 1, trials - failures)) if failures < trials else 1.0


def _row(name: str, tally: Tally) -> BenchRow:
    return BenchRow(
        name=f"rounds with one run for the cause, {name}",
        value=tally.exactly_one / tally.rounds,
        bound=1.0,
        at_least=True,
        detail=f"{tally.exactly_one} of {tally.rounds}; lost {tally.lost}, several {tally.several}; {tally.killed} checks "
        f"killed, {tally.taken_over} claims taken over, {tally.second_runs} second runs stopped",
    )


def _whole(tallies: list[Tally]) -> BenchRow:
    rounds = sum(tally.rounds for tally in tallies)
    failures = rounds - sum(tally.exactly_one for tally in tallies)
    bound = upper_bound(failures, rounds)
    return BenchRow(
        name="rate of failure, 95 % upper bound (Clopper-Pearson)",
        value=bound,
        bound=0.015,
        at_least=False,
        detail=f"{failures} failures in {rounds} rounds",
    )
