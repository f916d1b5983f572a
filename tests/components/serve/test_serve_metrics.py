"""Metrics are exact: under threads, forks and SIGKILL, in both versions of the library, and with a fixed number of series."""

from __future__ import annotations

import http.client
import itertools
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from belisha.components.serve.metrics import (
    LATENCY_BUCKETS,
    Dropped,
    Identity,
    LeftOut,
    Outcome,
    PredictorMetrics,
)
from belisha.components.shared.errors import InputError
from belisha.components.shared.metrics_server import metrics_address
from belisha.components.shared.picture_statistics import STATISTIC_NAMES, PictureStatistics
from belisha.components.shared.process_metrics import ProcessMetrics
from tests.components.serve.conftest import bright_cell, png
from tests.components.serve.serving import SERVE_PYTHON, Predictor, predictor

STATISTICS = PictureStatistics(*(0.5 for _ in STATISTIC_NAMES))
IDENTITY = Identity("v1", "predictor-1", "crossing")


def samples_of(page: str, name: str) -> dict[tuple[str, ...], float]:
    """Samples of a metric by the values of the labels that not all metrics share."""
    shared = ("deployment_name", "predictor_name", "model_version")
    families = text_string_to_metric_families(page)
    return {
        tuple(value for label, value in sorted(sample.labels.items()) if label not in shared): sample.value
        for family in families
        for sample in family.samples
        if sample.name == name
    }


# --- processes that come, go and are killed ----------------------------------------------------------------------------

_PROCESSES = """
import os, signal, sys, threading, time
from pathlib import Path
from belisha.components.serve.metrics import Identity, PredictorMetrics
from belisha.components.shared.picture_statistics import PictureStatistics
folder, workers, threads, each, rounds = Path(sys.argv[1]), *map(int, sys.argv[2:])
metrics = PredictorMetrics(Identity("v1", "p"), folder=folder)
statistics = PictureStatistics(*[0.5] * 10)

def count():
    for _ in range(each):
        metrics.observe("ok", {"total": 0.02}, 2, (0.5, 0.9), statistics)

def worker(done):
    running = [threading.Thread(target=count) for _ in range(threads)]
    [thread.start() for thread in running]
    [thread.join() for thread in running]
    metrics.log_queue(7)
    os.write(done, b"x")
    time.sleep(60)

page = metrics.page()
for _ in range(rounds):
    read, write = os.pipe()
    pids = []
    for _ in range(workers):
        pid = os.fork()
        if pid == 0:
            worker(write)
        pids.append(pid)
    for _ in range(workers):
        while True:
            page.exposition()  # a scrape in the middle must harm nobody
            import select
            if select.select([read], [], [], 0.05)[0]:
                os.read(read, 1)
                break
    for pid in pids[:-1]:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    page.exposition()
    live = page.exposition().decode()
    os.kill(pids[-1], signal.SIGKILL)
    os.waitpid(pids[-1], 0)
print(live)
print("# END")
print(page.exposition().decode())
"""


@pytest.mark.parametrize("python", [sys.executable, str(SERVE_PYTHON)], ids=["new library", "serving library"])
def test_every_count_of_every_killed_process_is_there(tmp_path: Path, python: str) -> None:
    workers, threads, each, rounds = 3, 4, 40, 3
    command = [python, "-c", _PROCESSES, str(tmp_path), *map(str, (workers, threads, each, rounds))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stderr
    live, dead = done.stdout.split("# END\n")
    total = workers * threads * each * rounds
    for page in (live, dead):
        assert samples_of(page, "belisha_requests_total")[("ok", "false")] == total
        assert samples_of(page, "belisha_stage_seconds_count")[("total",)] == total
        assert samples_of(page, "belisha_stage_seconds_bucket")[("+Inf", "total")] == total
        assert samples_of(page, "belisha_stage_seconds_sum")[("total",)] == pytest.approx(0.02 * total)
        assert samples_of(page, "belisha_score_count")[()] == 2 * total
        assert samples_of(page, "belisha_score_bucket")[("0.5",)] == total
        assert samples_of(page, "belisha_picture_statistic_sum")[("brightness",)] == 0.5 * total
        assert "# HELP belisha_score Scores, 0 to 1, of all boxes that were answered." in page
    assert samples_of(live, "belisha_request_log_queue_rows")[()] == 7, "the dead have no queue"
    left = sorted(path.name.split("_")[0] for path in tmp_path.glob("*_archive.db"))
    assert left == ["counter", "histogram", "summary"]
    assert len(list(tmp_path.iterdir())) <= len(left) + 5, "files of the dead are gone, the parent's stay"


def dead_counts(folder: Path, times: int) -> None:
    """Leave the files of processes that have counted `times` requests in all and are gone."""
    code = (
        "import sys; from pathlib import Path; from belisha.components.serve.metrics import *\n"
        "m = PredictorMetrics(Identity('v1', 'predictor-1', 'crossing'), folder=Path(sys.argv[1]))\n"
        "[m.observe('ok', {'total': 0.02}) for _ in range(int(sys.argv[2]))]"
    )
    subprocess.run([sys.executable, "-c", code, str(folder), str(times)], check=True, cwd=Path(__file__).parents[3])


class KilledError(Exception):
    pass


class Stopping:
    """Raises at one step of many, as a kill would stop there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps, self.stop_at = 0, -1
        for name in ("replace", "unlink", "write_text"):
            monkeypatch.setattr(Path, name, self._counted(getattr(Path, name)))

    def _counted(self, method: Callable[..., object]) -> Callable[..., object]:
        def step(*arguments: object, **settings: object) -> object:
            self.steps += 1
            if self.steps == self.stop_at:
                raise KilledError
            return method(*arguments, **settings)

        return step


def test_a_fold_that_is_interrupted_anywhere_counts_everything_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stop at each rename, each removal and each writing in turn, and let the next scrape go on."""
    seed = tmp_path / "seed"
    for times in (3, 4):
        dead_counts(seed, times)
    registry = PredictorMetrics(IDENTITY).registry
    stopping, counted = Stopping(monkeypatch), []
    for stop_at in itertools.count(1):
        folder = tmp_path / f"stop-{stop_at}"
        shutil.copytree(seed, folder)
        stopping.steps, stopping.stop_at = 0, stop_at
        killed = False
        try:
            ProcessMetrics(folder, registry).exposition()
        except KilledError:
            killed = True
        stopping.stop_at = -1
        page = ProcessMetrics(folder, registry).exposition().decode()
        counted.append(samples_of(page, "belisha_requests_total")[("ok", "false")])
        if not killed:
            break
    assert len(counted) > 10, "expected a stop at each of many steps"
    assert set(counted) == {7.0}


def test_the_same_number_of_another_process_is_not_the_same_process(tmp_path: Path) -> None:
    """A pid that lives again under another start time belongs to the dead."""
    dead_counts(tmp_path, 2)
    for path in tmp_path.glob("*.db"):
        kind = path.stem.rsplit("_", 1)[0]
        path.rename(tmp_path / f"{kind}_{psutil.Process().pid}-1.db")
    page = ProcessMetrics(tmp_path, PredictorMetrics(IDENTITY).registry)
    assert samples_of(page.exposition().decode(), "belisha_requests_total")[("ok", "false")] == 2
    assert not list(tmp_path.glob(f"counter_{psutil.Process().pid}*"))


# --- what is declared --------------------------------------------------------------------------------------------------


def page_in_memory(metrics: PredictorMetrics) -> str:
    from prometheus_client import generate_latest

    return generate_latest(metrics.registry).decode()


def test_nothing_that_a_caller_sends_makes_a_series() -> None:
    metrics = PredictorMetrics(IDENTITY)
    before = {line.rpartition(" ")[0] for line in page_in_memory(metrics).splitlines() if "_created" not in line}
    for outcome in [*Outcome, "", "ok\n", "x" * 1000, 'a"b']:
        for shadow in (False, True):
            metrics.observe(outcome, {"total": 1e9}, 10**6, (0.0, 1.0, 2.0), STATISTICS, shadow=shadow)
    metrics.serves("a runtime of tomorrow")
    after = {line.rpartition(" ")[0] for line in page_in_memory(metrics).splitlines() if "_created" not in line}
    assert after == before
    assert len(after) < 220


def test_an_unknown_outcome_is_an_error_and_only_answers_have_times() -> None:
    metrics = PredictorMetrics(IDENTITY)
    metrics.observe("not_found", {"total": 0.1}, 3, (0.5,), STATISTICS)
    metrics.observe(Outcome.TOO_LARGE.value, {"total": 0.1}, shadow=True)
    page = page_in_memory(metrics)
    counted = {labels: value for labels, value in samples_of(page, "belisha_requests_total").items() if value}
    assert counted == {("error", "false"): 1, ("too_large", "true"): 1}
    assert samples_of(page, "belisha_stage_seconds_count")[("total",)] == 0
    assert samples_of(page, "belisha_score_count")[()] == 0


def test_sums_never_fall() -> None:
    """The log of the sharpness of a flat picture is negative; a falling sum would look like a new process."""
    metrics = PredictorMetrics(IDENTITY)
    metrics.observe("ok", statistics=PictureStatistics(*(-13.8 for _ in STATISTIC_NAMES)))
    assert set(samples_of(page_in_memory(metrics), "belisha_picture_statistic_sum").values()) == {0.0}


@pytest.mark.parametrize("latency", [0.005, 0.02, 0.05, 0.1, 0.2, 0.5])
def test_a_latency_falls_into_a_narrow_bucket(latency: float) -> None:
    upper = min(bound for bound in LATENCY_BUCKETS if bound >= latency)
    lower = max(bound for bound in (0.0, *LATENCY_BUCKETS) if bound < latency)
    assert (upper - lower) / upper <= 0.61


def test_promtool_finds_nothing_to_complain_of(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: it comes with Prometheus")
    metrics = PredictorMetrics(IDENTITY, folder=tmp_path)
    metrics.observe("ok", {"total": 0.02}, 1, (0.5,), STATISTICS)
    metrics.log_dropped(1, Dropped.QUEUE_FULL)
    metrics.picture_left_out(LeftOut.QUOTA)
    page = metrics.page().exposition()
    done = subprocess.run([promtool, "check", "metrics"], input=page, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_metrics_in_memory_have_no_page_for_others() -> None:
    with pytest.raises(ValueError, match="count in memory"):
        PredictorMetrics(IDENTITY).page()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({}, ("0.0.0.0", 6001), id="in a pod"),
        pytest.param(
            {"BELISHA_LISTEN_HOST": "127.0.0.1", "BELISHA_METRICS_PORT": "7"}, ("127.0.0.1", 7), id="one machine"
        ),
    ],
)
def test_where_the_metrics_listen(environment: dict[str, str], expected: tuple[str, int]) -> None:
    assert metrics_address(environment) == expected


def test_a_port_that_is_none_is_one_sentence() -> None:
    with pytest.raises(InputError, match="expected a port"):
        metrics_address({"BELISHA_METRICS_PORT": "http"})


# --- a real predictor --------------------------------------------------------------------------------------------------


def get(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def two_workers(served_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    log = tmp_path_factory.mktemp("metrics") / "predictor.log"
    environment = {"GUNICORN_WORKERS": "2", "PREDICTOR_ID": "p-1", "SELDON_DEPLOYMENT_ID": "crossing"}
    with predictor(served_model, log, "--model-version", "v9", environment=environment) as running:
        assert running.wait_ready().status == 200, log.read_text()
        yield running


_STATUS = {"ok": 200, "bad_request": 400, "bad_picture": 400, "not_ready": 503}


def counted_by_status(running: Predictor) -> Counter[int]:
    """What the metrics say of requests, by the status that such an outcome has."""
    found: Counter[int] = Counter()
    for (outcome, shadow), value in samples_of(
        get(running.metrics_port, "/metrics")[1], "belisha_requests_total"
    ).items():
        if value:
            assert shadow == "false"
            found[_STATUS[outcome]] += int(value)
    return found


def send(running: Predictor, threads: int, each: int) -> Counter[int]:
    """Pictures and garbage from several threads, each with a name of its own; returns the statuses that came back.

    A worker that still loads while the other serves answers 503.
    """
    statuses: list[int] = []
    body = png(bright_cell())

    def work(number: int) -> None:
        for index in range(each):
            headers = {"X-Belisha-Camera": f"camera-{number}-{index}", "X-Request-ID": f"r-{number}-{index}"}
            statuses.append(running.post(b"garbage" if index % 4 == 3 else body, headers=headers).status)

    running_threads = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in running_threads:
        thread.start()
    for thread in running_threads:
        thread.join()
    assert len(statuses) == threads * each
    return Counter(statuses)


def test_a_real_predictor_counts_every_request_once_and_a_killed_worker_takes_none_away(
    two_workers: Predictor,
) -> None:
    series = set(samples_of(get(two_workers.metrics_port, "/metrics")[1], "belisha_stage_seconds_bucket"))
    sent = send(two_workers, threads=4, each=20)
    assert sent[200] > 0
    assert sent[400] > 0
    wait_for(lambda: counted_by_status(two_workers) == sent)
    workers = listeners(two_workers)
    assert len(workers) == 2
    for worker in workers:
        worker.kill()
    two_workers.wait_ready()
    assert counted_by_status(two_workers) == sent
    sent += send(two_workers, threads=2, each=8)
    wait_for(lambda: counted_by_status(two_workers) == sent)
    page = get(two_workers.metrics_port, "/metrics")[1]
    assert samples_of(page, "belisha_stage_seconds_count")[("total",)] == sent[200]
    assert set(samples_of(page, "belisha_stage_seconds_bucket")) == series
    assert "camera-" not in page
    assert max(samples_of(page, "belisha_model_info").values()) == 1
    assert 'deployment_name="crossing",model_version="v9"' in page
    assert 'predictor_name="p-1"' in page


def wait_for(holds: Callable[[], bool], seconds: float = 20) -> None:
    """Counting follows the answer, so it may take a moment."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.05)


def listeners(running: Predictor) -> list[psutil.Process]:
    """The workers: processes other than the master that hold the port's socket."""
    holders = []
    for process in running.family()[1:]:
        held = process.net_connections("tcp")
        if any(one.status == psutil.CONN_LISTEN and one.laddr.port == running.port for one in held):
            holders.append(process)
    return holders


def test_the_metrics_server_has_one_page(two_workers: Predictor) -> None:
    assert get(two_workers.metrics_port, "/prometheus")[0] == 200
    assert get(two_workers.metrics_port, "/secrets") == (404, "metrics are at /metrics\n")
