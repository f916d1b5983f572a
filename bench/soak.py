"""Soak: real models under a steady load while shares change, a model is promoted, one is rolled back and one is killed.

    python -m bench.soak --minutes 10

Prints what was found and ends with exit code 1 when a request got a wrong answer or none, the realised shares do not fit those
asked for, or memory grows.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import psutil
from scipy import stats

from belisha.components.release.release import promote, rollback
from belisha.components.route.traffic import split_traffic
from belisha.components.shared.ledger import LedgerState
from belisha.serving.load import Load, Reply, client_session
from tests.serving_world import World, make_world, release_another, same_boxes

LOAD_SHARE, CLIENTS, AT_MOST_UNDER_WAY = 0.8, 8, 400
SPLITS = (0.05, 0.2, 0.5, 0.8, 0.35)
CHANGE_SECONDS, FOLLOW_SECONDS = 5.0, 1.0
CONFIDENCE = 0.99
# When things happen, as shares of the run; rolled back twice: a trial is ended, then the champion before is restored.
KILL_AT, PROMOTE_AT, END_TRIAL_AT, RESTORE_AT = 0.15, 0.4, 0.8, 0.9
MAX_GROWTH_MIB = 16.0


@dataclass(frozen=True)
class Interval:
    """A stretch of constant shares: requests sent within it must be split as `state` says."""

    begin: float
    end: float
    state: LedgerState


@dataclass
class Findings:
    """What a soak found."""

    capacity: float = 0.0
    rate: float = 0.0
    replies: list[Reply] = field(default_factory=list)
    intervals: list[Interval] = field(default_factory=list)
    events: list[tuple[float, str]] = field(default_factory=list)
    memory: dict[int, list[tuple[float, float]]] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    not_sent: int = 0
    restarts: int = 0

    def unanswered(self) -> list[Reply]:
        """Requests without an answer, or with an error in its place."""
        return [reply for reply in self.replies if reply.status != 200]

    def wrong(self, world: World) -> list[Reply]:
        """Answers with other boxes than the model is known to give for that picture."""
        answered = (reply for reply in self.replies if reply.status == 200)
        return [one for one in answered if not same_boxes(list(one.boxes), world.answers[one.version][one.picture])]


@dataclass(frozen=True)
class SplitCheck:
    """Requests of an interval: all that were drawn, the challenger's, and whether that fits the share asked for."""

    asked: float
    drawn: int
    challenger: int
    fits: bool


def check_splits(findings: Findings) -> list[SplitCheck]:
    """Each interval against its binomial interval; 99 % of all of them together (Bonferroni)."""
    chosen = [
        (one, [reply for reply in findings.replies if reply.drawn and one.begin <= reply.began < one.end])
        for one in findings.intervals
        if one.state.challenger is not None
    ]
    counted = [(one, drawn) for one, drawn in chosen if drawn]
    confidence = 1 - (1 - CONFIDENCE) / max(1, len(counted))
    return [_split_check(one.state, drawn, confidence) for one, drawn in counted]


def _split_check(state: LedgerState, drawn: list[Reply], confidence: float) -> SplitCheck:
    asked, challenger = state.challenger_traffic_ratio, sum(reply.version == state.challenger for reply in drawn)
    low, high = stats.binom.interval(confidence, len(drawn), asked)
    return SplitCheck(asked, len(drawn), challenger, bool(low <= challenger <= high))


def growth_mib(samples: list[tuple[float, float]], seconds: float) -> float:
    """By how much a process grows over the run: the slope of its second half, in MiB over all of `seconds`."""
    half = samples[len(samples) // 2 :]
    if len(half) < 8:
        return 0.0
    times, sizes = np.array(half).T
    return float(stats.theilslopes(sizes, times).slope * seconds)


@contextlib.contextmanager
def served(world: World) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`belisha serve` as a process of its own; its address."""
    command = [
        sys.executable,
        "-m",
        "belisha.cli.main",
        "serve",
        "--storage",
        str(world.storage),
        "--port",
        "0",
        "--json",
    ]
    command += ["--cache", str(world.storage.parent / "cache"), "--max-in-flight", "256"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise SystemExit("soak: belisha serve did not start")
        yield json.loads(line)["url"], process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        process.stdout.close()


async def soak(world: World, seconds: float) -> Findings:
    """Run it."""
    findings = Findings()
    with served(world) as (url, process):
        async with client_session() as session:
            load = Load(url, world.pictures)
            await asyncio.to_thread(split_traffic, str(world.storage), 0.5, reason="soak")
            findings.capacity = await _capacity(load, session, min(10.0, seconds / 5))
            findings.rate = LOAD_SHARE * findings.capacity
            watching = asyncio.create_task(_watch(process.pid, findings))
            acting = asyncio.create_task(_act(world, url, session, seconds, findings))
            findings.not_sent = await load.steady(
                session,
                per_second=findings.rate,
                seconds=seconds,
                at_most=AT_MOST_UNDER_WAY,
                take=findings.replies.append,
            )
            await acting
            watching.cancel()
    return findings


async def _capacity(load: Load, session: aiohttp.ClientSession, seconds: float) -> float:
    """Requests a second that clients get who ask one after another."""
    replies: list[Reply] = []
    await load.closed(session, clients=CLIENTS, requests=100, take=replies.append)
    requests, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        await load.closed(session, clients=CLIENTS, requests=100, take=replies.append)
        requests += 100
    return requests / (time.perf_counter() - begin)


async def _act(world: World, url: str, session: aiohttp.ClientSession, seconds: float, findings: Findings) -> None:
    """Change shares all the time, and at their times kill, promote and roll back."""
    storage, begin = str(world.storage), time.monotonic()
    due = [(KILL_AT, "kill"), (PROMOTE_AT, "promote"), (END_TRIAL_AT, "end trial"), (RESTORE_AT, "restore")]
    change = min(CHANGE_SECONDS, seconds / 12)
    for number in itertools.count():
        now = time.monotonic() - begin
        while due and now >= due[0][0] * seconds:
            await _happen(due.pop(0)[1], world, url, session, findings)
        if now + change > seconds:
            return
        state = await asyncio.to_thread(_share, storage, SPLITS[number % len(SPLITS)])
        await asyncio.sleep(FOLLOW_SECONDS)
        start, whole = time.monotonic(), await _all_serve(url, session, state, findings)
        await asyncio.sleep(max(0.5, change - FOLLOW_SECONDS))
        # While a predictor is away others stand in for it, and its share cannot be what was asked for.
        if await _all_serve(url, session, state, findings) and whole:
            findings.intervals.append(Interval(start, time.monotonic(), state))


async def _all_serve(url: str, session: aiohttp.ClientSession, state: LedgerState, findings: Findings) -> bool:
    """Whether everybody whom the ledger asks for is there and well."""
    found = await _state(url, session)
    findings.restarts = max(findings.restarts, sum(one["restarts"] for one in found["predictors"]))
    well = {one["version"] for one in found["models"] if one["healthy"]}
    return {version for version in (state.champion, state.challenger) if version} <= well


async def _happen(what: str, world: World, url: str, session: aiohttp.ClientSession, findings: Findings) -> None:
    storage = str(world.storage)
    findings.events.append((time.monotonic(), what))
    if what == "kill":
        state = await _state(url, session)
        champion = next(one for one in state["predictors"] if one["version"] == state["ledger"]["champion"])
        os.killpg(champion["pid"], signal.SIGKILL)
    elif what == "promote":
        await asyncio.to_thread(promote, storage, None, reason="soak")
        await asyncio.to_thread(release_another, world)
    else:
        await asyncio.to_thread(rollback, storage, reason="soak")


def _share(storage: str, ratio: float) -> LedgerState:
    """Give the challenger a share where there is one; the state after it."""
    from belisha.components.shared.registry import open_registry

    state = open_registry(storage).ledger.state()
    return state if state.challenger is None else split_traffic(storage, ratio, reason="soak").state


async def _state(url: str, session: aiohttp.ClientSession) -> Any:
    async with session.get(f"{url}/api/v1.0/state") as response:
        return await response.json()


async def _watch(pid: int, findings: Findings) -> None:
    """Resident memory of the gateway and of everything it has started, once a second."""
    while True:
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        for process in family:
            with contextlib.suppress(psutil.Error):
                size = process.memory_info().rss / 2**20
                findings.memory.setdefault(process.pid, []).append((time.monotonic(), size))
                findings.names.setdefault(process.pid, "gateway" if process.pid == pid else "predictor")
        await asyncio.sleep(1.0)


def report(findings: Findings, world: World, seconds: float) -> tuple[list[str], bool]:
    """Findings as lines, and whether all is well."""
    wrong, unanswered, splits = findings.wrong(world), findings.unanswered(), check_splits(findings)
    outside = [one for one in splits if not one.fits]
    latencies = np.array([reply.seconds for reply in findings.replies]) * 1000
    p50, p99 = np.percentile(latencies, [50, 99]) if len(latencies) else (float("nan"), float("nan"))
    full = [pid for pid, samples in findings.memory.items() if samples[-1][0] - samples[0][0] > seconds / 3]
    grown = {pid: growth_mib(findings.memory[pid], seconds) for pid in full}
    worst = max(grown.values(), default=0.0)
    lines = [
        f"capacity {findings.capacity:.0f} requests/s with {CLIENTS} clients; load {findings.rate:.0f}/s for {seconds:.0f} s",
        f"{len(findings.replies)} requests, {len(unanswered)} unanswered, {len(wrong)} wrong answers, "
        f"{findings.not_sent} not sent for want of room",
        _when(findings, unanswered) if unanswered else "all answered",
        f"latency p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {latencies.max(initial=0):.0f} ms",
        f"{len(splits)} intervals of constant shares with {sum(one.drawn for one in splits)} requests: {len(outside)} outside "
        f"their binomial interval ({CONFIDENCE:.0%} for all together, Bonferroni)",
        *(f"  outside: asked {one.asked:.0%}, got {one.challenger} of {one.drawn}" for one in outside),
        f"events: {', '.join(what for _, what in findings.events)}; predictors started again: {findings.restarts}",
        f"memory: {len(full)} processes, worst growth {worst:.1f} MiB over the run (allowed {MAX_GROWTH_MIB:g}), "
        f"gateway {max((grown[pid] for pid in full if findings.names[pid] == 'gateway'), default=0.0):.1f} MiB",
    ]
    happened = [what for _, what in findings.events] == ["kill", "promote", "end trial", "restore"]
    flat = worst <= MAX_GROWTH_MIB or seconds < 120
    good = happened and findings.restarts == 1 and len(splits) >= 2 and flat
    return lines, good and bool(findings.replies) and not (wrong or unanswered or outside or findings.not_sent)


def _when(findings: Findings, unanswered: list[Reply]) -> str:
    """Statuses and times of the requests without an answer, beside those of the events, in seconds from the first request."""
    begin = findings.replies[0].began
    times = sorted(reply.began - begin for reply in unanswered)
    events = ", ".join(f"{what} {at - begin:.0f} s" for at, what in findings.events)
    statuses = sorted({reply.status for reply in unanswered})
    return f"unanswered between {times[0]:.0f} s and {times[-1]:.0f} s with status {statuses}; {events}"


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="length, at most 60")
    seconds = 60 * min(60.0, parser.parse_args().minutes)
    # A polite end is an end by the keyboard: what was started is ended too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="belisha-soak-") as folder:
        world = make_world(Path(folder), models=2, pictures=24)
        print(f"soak: {seconds:.0f} s", file=sys.stderr, flush=True)
        findings = asyncio.run(soak(world, seconds))
        lines, good = report(findings, world, seconds)
    print("\n".join(lines))
    print("PASS" if good else "FAIL")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
