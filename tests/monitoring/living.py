"""A whole world that lives: models that serve, clients, the loop's jobs, and the real monitoring stack on a fast clock."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from belisha.components.route.traffic import split_traffic
from belisha.components.shared.ledger import Action, Draft
from belisha.components.shared.loop_metrics import Job, LoopMetrics
from belisha.components.shared.progress import silent
from belisha.components.shared.registry import open_registry
from belisha.monitoring.local.stack import Stack, StackOptions, monitoring_stack
from belisha.monitoring.settings import MonitoringSettings
from tests.serving_world import World, make_world

# Ten minutes are ten seconds. Few requests are many on this clock, a job is late after ten seconds, and what a machine under
# load does to latency is neither slow nor worse: these tests slow things down by far more.
FAST = replace(
    MonitoringSettings(),
    time_scale=1 / 60,
    least_requests=10,
    slow_seconds=2.5,
    worse_latency_seconds=0.2,
    drift_age_seconds=600,
    experiment_age_seconds=10_000,
)
SCRAPE_SECONDS = 1.0
CLIENTS = 6
_PAUSE_SECONDS = 0.2


class DriftVerdict(enum.StrEnum):
    NO_DRIFT = "no_drift"
    DRIFT = "drift"


class Judged(enum.StrEnum):
    CONTINUE = "CONTINUE"
    STOP = "STOP"


def until(true: Callable[[], bool], what: Callable[[], object] = str, seconds: float = 90) -> None:
    """Wait for something to become true; a machine under load may take long."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"it did not come about in {seconds} s: {what()}"
        time.sleep(0.2)


def get(url: str, **query: str) -> Any:
    address = f"{url}?{urllib.parse.urlencode(query)}" if query else url
    with urllib.request.urlopen(address, timeout=30) as response:
        return json.loads(response.read())


@dataclass
class Clients:
    """Who sends pictures without a pause to speak of, until stopped."""

    url: str
    pictures: list[bytes]
    stop: threading.Event = field(default_factory=threading.Event)
    answered: int = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self.stop.set()
            for thread in threads:
                thread.join(60)

    def _ask(self) -> None:
        number = 0
        while not self.stop.wait(_PAUSE_SECONDS):
            pictures, number = self.pictures, number + 1
            request = urllib.request.Request(self.url + "/api/v1.0/predictions", data=pictures[number % len(pictures)])
            with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=60) as response:
                response.read()
                self.answered += 1


@dataclass
class Jobs:
    """The loop's jobs: each pushes through the real class again and again, unless it was stopped."""

    gateway: str
    drift: bool = False
    stopped: set[Job] = field(default_factory=set)
    stop: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._work, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.stop.set()
            thread.join(60)

    def _work(self) -> None:
        while not self.stop.wait(0.5):
            for job, told in (
                (Job.DRIFT, self._drift), (Job.EXPERIMENT, _experiment), (Job.REVIEW, _review), (Job.RETRAIN, _retrain)
            ):  # fmt: skip
                if job not in self.stopped:
                    told().push(self.gateway)

    def _drift(self) -> LoopMetrics:
        metrics = LoopMetrics(Job.DRIFT)
        metrics.set("drift_last_success_timestamp_seconds", time.time())
        metrics.set_one_of("drift_verdict", DriftVerdict.DRIFT if self.drift else DriftVerdict.NO_DRIFT)
        metrics.set("drift_alert", float(self.drift))
        for stratum in ("cam-1/day", "cam-1/night"):
            metrics.set("drift_bound", 3.0, stratum=stratum)
            metrics.set("drift_window_pictures", 300, stratum=stratum)
            metrics.set("drift_reference_pictures", 3000, stratum=stratum)
            labels = {"stratum": stratum, "feature": "brightness"}
            metrics.set("drift_score", 7.5 if self.drift else 1.2, **labels)
            metrics.set("drift_effect_ratio", 0.4 if self.drift else 0.02, **labels)
            metrics.set("drift_feature_median", 0.5, **labels, window="reference")
            metrics.set("drift_feature_median", 0.1 if self.drift else 0.5, **labels, window="current")
        return metrics


def _experiment() -> LoopMetrics:
    metrics = LoopMetrics(Job.EXPERIMENT)
    metrics.set("experiment_last_success_timestamp_seconds", time.time())
    metrics.set_one_of("experiment_verdict", Judged.CONTINUE)
    metrics.set("experiment_share_ratio", 0.5)
    for bound, value in {"estimate": 0.55, "lower": 0.46, "upper": 0.63}.items():
        metrics.set("experiment_win_ratio", value, bound=bound)
    metrics.set("experiment_samples", 120, kind="decided")
    metrics.set("experiment_required_samples", 400, kind="decided")
    return metrics


def _review() -> LoopMetrics:
    metrics = LoopMetrics(Job.REVIEW)
    metrics.set("review_last_success_timestamp_seconds", time.time())
    metrics.set("review_queue_pictures", 12)
    metrics.set("review_queue_oldest_timestamp_seconds", time.time() - 60)
    return metrics


def _retrain() -> LoopMetrics:
    metrics = LoopMetrics(Job.RETRAIN)
    metrics.set("retrain_last_start_timestamp_seconds", time.time() - 3600, cause="drift")
    metrics.set("retrain_last_success_timestamp_seconds", time.time() - 1800)
    metrics.set("retrain_running", 0)
    metrics.set("retrain_budget_runs", 2)
    return metrics


@dataclass
class Living:
    """What a test may look at and break."""

    world: World
    url: str
    stack: Stack
    clients: Clients
    jobs: Jobs
    cache: Path

    def query(self, expr: str) -> list[dict[str, Any]]:
        """What Prometheus answers to an instant query."""
        answer = get(f"{self.stack.addresses.prometheus}/api/v1/query", query=expr)
        assert answer["status"] == "success", answer
        return answer["data"]["result"]

    def value(self, expr: str) -> float:
        """The one value of a query; nan where there is none."""
        found = self.query(expr)
        return float(found[0]["value"][1]) if found else float("nan")

    def rules(self) -> list[dict[str, Any]]:
        """Groups of rules with their health."""
        return get(f"{self.stack.addresses.prometheus}/api/v1/rules")["data"]["groups"]

    def alerts(self) -> set[str]:
        """Names of the alerts that Alertmanager passes on now."""
        found = get(
            f"{self.stack.addresses.alertmanager}/api/v2/alerts", active="true", silenced="false", inhibited="false"
        )
        return {one["labels"]["alertname"] for one in found}

    def told(self) -> list[dict[str, Any]]:
        """What reached the receivers."""
        return get(f"{self.stack.addresses.page}/notifications")

    def pid(self, version: str) -> int:
        """The guard of a version's predictor, which leads its process group."""
        predictors = get(f"{self.url}/api/v1.0/state")["predictors"]
        return next(one["pid"] for one in predictors if one["version"] == version)

    @contextlib.contextmanager
    def slowed(self, version: str) -> Iterator[None]:
        """Let the processes that answer for a version stand still most of the time."""
        workers = [one for one in psutil.Process(self.pid(version)).children(recursive=True) if _answers(one)]
        assert workers
        done = threading.Event()

        def brake() -> None:
            while not done.wait(0.05):
                for worker in workers:
                    worker.suspend()
                done.wait(0.4)
                for worker in workers:
                    worker.resume()

        thread = threading.Thread(target=brake, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join(30)
            for worker in workers:
                worker.resume()


def _answers(process: psutil.Process) -> bool:
    """Whether a process of a predictor answers requests: it has threads for clients, the one for metrics has few."""
    return process.num_threads() >= 4


@contextlib.contextmanager
def living(root: Path) -> Iterator[Living]:
    """Start everything, half of the requests going to the challenger; yields when it runs."""
    world = make_world(root)
    _add_history(str(world.storage))
    cache = root / "cache"
    command = [sys.executable, "-m", "belisha.cli.main", "serve", "--port", "0", "--json"]
    process = subprocess.Popen(
        [*command, "--storage", str(world.storage), "--cache", str(cache)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "belisha serve did not start; its words are on standard error"
        url = json.loads(line)["url"]
        options = StackOptions(
            str(world.storage),
            url,
            ports=(0, 0, 0, 0),
            scrape_seconds=SCRAPE_SECONDS,
            settings=FAST,
            ledger_seconds=0.2,
        )
        clients = Clients(url, list(world.pictures))
        with clients.running(), stack_in_thread(options) as stack:
            jobs = Jobs(stack.addresses.pushgateway)
            with jobs.running():
                yield Living(world, url, stack, clients, jobs, cache)
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)


def _add_history(storage: str) -> None:
    """A drift alert that a promotion followed, and a trial with half of the requests."""
    ledger = open_registry(storage).ledger
    for action in (Action.DRIFT, Action.RETRAIN, Action.PROMOTE):
        ledger.append(lambda _, state, action=action: Draft(action, "v1", "test", state))
    split_traffic(storage, 0.5, reason="test")


@contextlib.contextmanager
def stack_in_thread(options: StackOptions) -> Iterator[Stack]:
    """The stack in an event loop of its own, for tests that wait and break things in ordinary code."""
    ready, found, loops = threading.Event(), [], []

    async def run() -> None:
        stop = asyncio.Event()
        loops.append((asyncio.get_running_loop(), stop))
        try:
            async with monitoring_stack(options, silent) as stack:
                found.append(stack)
                ready.set()
                await stop.wait()
        finally:
            ready.set()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    ready.wait(120)
    assert found, "the stack did not start"
    try:
        yield found[0]
    finally:
        loop, stop = loops[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join(60)
