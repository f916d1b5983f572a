"""Soak: real models under a steady load while shares change, a model is promoted, one is rolled back and one is killed.

    python -m bench.soak --minutes 10

Prints what was found and ends with exit code 1 when a request got a wrong answer or none, the realised shares do not fit those
asked for, or memory grows. The load is that of clients who wait for their answers: when other work takes the machine away, they
send less, and how much less is told.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import re
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

LOAD_SHARE, CLIENTS, AT_MOST_UNDER_WAY = 0.8, 8, 64
SPLITS = (0.05, 0.2, 0.5, 0.8, 0.35)
CHANGE_SECONDS, FOLLOW_SECONDS = 5.0, 1.0
CONFIDENCE = 0.99
# When things happen, as shares of the run; rolled back twice: a trial is ended, then the champion before is restored.
EVENTS = ((0.15, "kill"), (0.4, "promote"), (0.8, "end trial"), (0.9, "restore"))
# An event waits until the one before has settled; a machine that takes so long over it shows nothing.
MAX_OVERTIME_SECONDS = 300.0
# Load is judged by stretches of so many seconds: one in which less than this share of it was sent is named.
STRETCH_SECONDS, FULL_LOAD = 10.0, 0.9
MAX_GROWTH_MIB = 16.0
# A predictor's first minute and a half fills caches, starts threads and writes the first shard of its log.
WARM_SECONDS, MIN_WATCHED_SECONDS = 90.0, 60.0


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
    seconds: float = 0.0
    held_back: int = 0
    restarts: int = 0
    retries: dict[str, int] = field(default_factory=dict)

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


def check_splits(findings: Findings, confidence: float = CONFIDENCE) -> list[SplitCheck]:
    """Each interval against its binomial interval, which holds for all of them together with this confidence (Bonferroni)."""
    chosen = [
        (one, [reply for reply in findings.replies if reply.drawn and one.begin <= reply.began < one.end])
        for one in findings.intervals
        if one.state.challenger is not None
    ]
    counted = [(one, drawn) for one, drawn in chosen if drawn]
    each = 1 - (1 - confidence) / max(1, len(counted))
    return [_split_check(one.state, drawn, each) for one, drawn in counted]


def _split_check(state: LedgerState, drawn: list[Reply], confidence: float) -> SplitCheck:
    asked, challenger = state.challenger_traffic_ratio, sum(reply.version == state.challenger for reply in drawn)
    low, high = stats.binom.interval(confidence, len(drawn), asked)
    return SplitCheck(asked, len(drawn), challenger, bool(low <= challenger <= high))


def growth_mib(samples: list[tuple[float, float]], seconds: float) -> float | None:
    """By how much a process grows in a run: the slope of its second half, once warm, in MiB over all of `seconds`.

    Args:
        samples: monotonic seconds and resident MiB.
        seconds: length of the run.

    Returns:
        None where it did not live long enough to be judged.
    """
    begin = max(samples[len(samples) // 2][0], samples[0][0] + WARM_SECONDS)
    late = [sample for sample in samples if sample[0] >= begin]
    if not late or late[-1][0] - late[0][0] < MIN_WATCHED_SECONDS:
        return None
    times, sizes = np.array(late).T
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


async def soak(world: World, seconds: float, *, rate: float | None = None) -> Findings:
    """Run it, a little longer where the machine is slow; `rate` in requests a second is 80 % of the capacity by default."""
    findings = Findings()
    with served(world) as (url, process):
        async with client_session() as session:
            load = Load(url, world.pictures)
            # What the champion can do alone is all there is when a trial has ended.
            await asyncio.to_thread(split_traffic, str(world.storage), 0.0, reason="soak")
            await asyncio.sleep(FOLLOW_SECONDS)
            if rate is None:
                findings.capacity = await _capacity(load, session, min(10.0, seconds / 5))
            findings.rate = rate or LOAD_SHARE * findings.capacity
            watching = asyncio.create_task(_watch(process.pid, findings))
            acting, begin = asyncio.create_task(_act(world, url, session, seconds, findings)), time.monotonic()
            findings.held_back = await load.steady(
                session,
                per_second=findings.rate,
                at_most=AT_MOST_UNDER_WAY,
                going=lambda: not acting.done(),
                take=findings.replies.append,
            )
            findings.seconds = time.monotonic() - begin
            await acting
            watching.cancel()
            findings.retries = await _retries(url, session)
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
    """Change shares all the time, and at their times kill, promote and roll back; each once what was before has settled."""
    storage, begin = str(world.storage), time.monotonic()
    due = [(share * seconds, what) for share, what in EVENTS]
    change, settled = min(CHANGE_SECONDS, seconds / 12), False
    for number in itertools.count():
        now = time.monotonic() - begin
        if due and settled and now >= due[0][0]:
            await _happen(due.pop(0)[1], world, url, session, findings)
        elif now > seconds + MAX_OVERTIME_SECONDS or (now > seconds and settled and not due):
            return
        state = await asyncio.to_thread(_share, storage, SPLITS[number % len(SPLITS)])
        await asyncio.sleep(FOLLOW_SECONDS)
        start, whole = time.monotonic(), await _all_serve(url, session, state, findings)
        await asyncio.sleep(max(0.5, change - FOLLOW_SECONDS))
        settled = await _all_serve(url, session, state, findings)
        # While a predictor is away others stand in for it, and its share cannot be what was asked for.
        if settled and whole:
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


async def _retries(url: str, session: aiohttp.ClientSession) -> dict[str, int]:
    """Attempts that failed and were made again elsewhere, by why."""
    async with session.get(f"{url}/metrics") as response:
        found = re.findall(
            r'^belisha_gateway_retries_total\{reason="(\w+)"\} (\S+)', await response.text(), re.MULTILINE
        )
    return {reason: int(float(count)) for reason, count in found}


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


def report(findings: Findings, world: World, confidence: float = CONFIDENCE) -> tuple[list[str], bool]:
    """Findings as lines, and whether all is well."""
    wrong, unanswered, splits = findings.wrong(world), findings.unanswered(), check_splits(findings, confidence)
    outside = [one for one in splits if not one.fits]
    latencies = np.array([reply.seconds for reply in findings.replies]) * 1000
    p50, p99 = np.percentile(latencies, [50, 99]) if len(latencies) else (float("nan"), float("nan"))
    memory, flat = _memory(findings)
    lines = [
        _load(findings),
        f"{len(findings.replies)} requests, {len(unanswered)} unanswered, {len(wrong)} wrong answers",
        _when(findings, unanswered) if unanswered else "all answered",
        f"latency p50 {p50:.1f} ms, p99 {p99:.1f} ms, longest {_longest(findings)}",
        f"{len(splits)} intervals of constant shares with {sum(one.drawn for one in splits)} requests: {len(outside)} outside "
        f"their binomial interval ({confidence:.4g} for all together, Bonferroni)",
        *(f"  outside: asked {one.asked:.0%}, got {one.challenger} of {one.drawn}" for one in outside),
        f"events: {', '.join(what for _, what in findings.events)}; predictors started again: {findings.restarts}; "
        f"attempts made again elsewhere: {findings.retries or 'none'}",
        memory,
    ]
    happened = [what for _, what in findings.events] == [what for _, what in EVENTS]
    good = happened and findings.restarts == 1 and len(splits) >= 2 and flat
    return lines, good and bool(findings.replies) and not (wrong or unanswered or outside)


def _longest(findings: Findings, count: int = 5) -> str:
    """The requests that waited longest, each with the model that answered and the time of the run, and when what happened."""
    begin = findings.replies[0].began if findings.replies else 0.0
    longest = sorted(findings.replies, key=lambda reply: -reply.seconds)[:count]
    found = ", ".join(f"{one.seconds * 1000:.0f} ms ({one.version} at {one.began - begin:.0f} s)" for one in longest)
    return f"{found}; {_timeline(findings, begin)}"


def _timeline(findings: Findings, begin: float) -> str:
    return ", ".join(f"{what} at {at - begin:.0f} s" for at, what in findings.events)


def _load(findings: Findings) -> str:
    """What was sent, and which part of the capacity that was."""
    sent, due = len(findings.replies), len(findings.replies) + findings.held_back
    text = f"load {findings.rate:.0f} requests/s for {findings.seconds:.0f} s"
    if findings.capacity:
        text += f", {LOAD_SHARE:.0%} of the {findings.capacity:.0f}/s that {CLIENTS} clients got of the champion alone"
    text += f"; {sent / max(1, due):.1%} of it was sent"
    if findings.held_back:
        text += f", the rest held back while all {AT_MOST_UNDER_WAY} clients waited; {_slack(findings)}"
    return text


def _slack(findings: Findings) -> str:
    """When less than the load was sent."""
    began = np.array([reply.began for reply in findings.replies])
    edges = np.arange(0.0, findings.seconds, STRETCH_SECONDS)
    shares = np.histogram(began - began.min(), bins=edges)[0] / findings.rate / STRETCH_SECONDS
    short = [(edge, share) for edge, share in zip(edges[:-1], shares, strict=True) if share < FULL_LOAD]
    named = f", from {', '.join(f'{edge:.0f} s ({share:.0%})' for edge, share in short)}" if short else ""
    stretches = f"{len(shares)} stretches of {STRETCH_SECONDS:.0f} s"
    return f"less than {FULL_LOAD:.0%} of it was sent in {len(short)} of {stretches}{named}"


def _memory(findings: Findings) -> tuple[str, bool]:
    """How processes grew, and whether that is allowed; a run that is too short to judge it says so."""
    judged = {pid: growth_mib(samples, findings.seconds) for pid, samples in findings.memory.items()}
    grown = {pid: growth for pid, growth in judged.items() if growth is not None}
    if not grown:
        return "memory: the run is too short to judge it", findings.seconds < 2 * (WARM_SECONDS + MIN_WATCHED_SECONDS)
    worst, gateway = max(grown.values()), [grown[pid] for pid in grown if findings.names[pid] == "gateway"]
    largest = max(max(size for _, size in findings.memory[pid]) for pid in grown)
    text = (
        f"memory: {len(grown)} processes judged, worst growth {worst:.1f} MiB over the run (allowed {MAX_GROWTH_MIB:g}), "
        f"gateway {gateway[0] if gateway else float('nan'):.1f} MiB; largest process {largest:.0f} MiB"
    )
    return text, worst <= MAX_GROWTH_MIB


def _when(findings: Findings, unanswered: list[Reply]) -> str:
    """Statuses and times of the requests without an answer, beside those of the events, in seconds from the first request."""
    begin = findings.replies[0].began
    times = sorted(reply.began - begin for reply in unanswered)
    statuses = sorted({reply.status for reply in unanswered})
    return f"unanswered between {times[0]:.0f} s and {times[-1]:.0f} s with status {statuses}; {_timeline(findings, begin)}"


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
        lines, good = report(findings, world)
    print("\n".join(lines))
    print("PASS" if good else "FAIL")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
