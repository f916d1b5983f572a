"""A check over a million logged predictions on one core, next to polars reading the columns and evidently testing the rows."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from belisha.components.drift.log_reading import read_between
from belisha.components.shared.drift_features import FEATURE_NAMES, features_of, thin_rows
from belisha.components.shared.drift_reference import Reference, Source, encode_reference
from belisha.components.shared.storage import open_store
from bench.table import BenchRow
from bench.throwaway_environment import prepare
from tests.components.drift.drift_log import NOON, log_table, write_log

BUILD = Path("build/bench").absolute()
ROWS = 1_000_000
PIECES = 10
HOURS = 7.5
CAMERAS = tuple(f"camera-{number}" for number in range(10))
REPETITIONS = 3
_WINDOW, _WINDOWS = 300, 3
# pandas 3 has moved what evidently 0.7 imports.
_EVIDENTLY = ("evidently>=0.7,<0.8", "pandas<3", "pyarrow")
_ONE_CORE = (
    "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); os.environ['POLARS_MAX_THREADS'] = '1'\n"
)
_MEASURED = """
import json, re, sys, time
begin = time.process_time()
rows = work(sys.argv[1])
seconds = time.process_time() - begin
# Not ru_maxrss, which begins with the peak of whoever started this process.
peak_kib = int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])
print(json.dumps({"seconds": seconds, "mib": peak_kib / 1024, "rows": rows}))
"""
_CHECK = """
import datetime, pathlib
import pyarrow
from belisha.components.drift.check import check_drift
from belisha.components.drift.settings import DriftSettings
from belisha.components.shared.drift_reference import decode_reference
from belisha.components.shared.storage import open_store
pyarrow.set_cpu_count(1)
def work(folder):
    reference = decode_reference((pathlib.Path(folder) / "reference.parquet").read_bytes(), "")
    until = datetime.datetime(2026, 5, 2, tzinfo=datetime.UTC)
    check, evidence = check_drift(
        open_store(folder), reference, DriftSettings(), lambda event: None,
        model_version="v1", deployment_name="bench", until=until)
    assert check.verdict == "no_drift", check.sentence
    return sum(map(len, evidence.current.values()))
"""
_POLARS = """
import polars
from belisha.components.shared.drift_features import LOG_COLUMNS
def work(folder):
    found = polars.scan_parquet(f"{folder}/requests/**/*.parquet", hive_partitioning=False).select(LOG_COLUMNS).collect()
    return found.height
"""
_EVIDENTLY_TESTS = """
import pathlib
import pandas
from evidently import Report
from evidently.metrics import ValueDrift
def work(folder):
    rows = 0
    for path in sorted(pathlib.Path(folder, "evidently").glob("*-window-*.parquet")):
        window = pandas.read_parquet(path)
        reference = pandas.read_parquet(path.with_name(path.name.split("-window-")[0] + "-reference.parquet"))
        Report([ValueDrift(column=name, method="ks") for name in window.columns]).run(window, reference).dict()
        rows += len(window)
    return rows
"""


def run() -> list[BenchRow]:
    """Each in a process of its own, so that the peak is its alone; CPU time, for others work here too; medians of ratios."""
    with tempfile.TemporaryDirectory(prefix="belisha-bench-") as name:
        folder = Path(name)
        _write(folder)
        rounds = [(_measured(_CHECK, folder), _measured(_POLARS, folder)) for _ in range(REPETITIONS)]
        rows = _rows_against_polars(rounds)
        python, reason = prepare(BUILD / "evidently", _EVIDENTLY)
        if python is None:
            print(f"no row for evidently, which is not installed and cannot be: {reason}", file=sys.stderr)
            return rows
        _write_for_evidently(folder)
        own, evidently = rounds[-1][0], _measured(_EVIDENTLY_TESTS, folder, str(python))
    detail = (
        f"{own['seconds']:.2f} s and {own['mib']:.0f} MiB with reading {ROWS:,} rows; evidently {evidently['seconds']:.1f} s "
        f"and {evidently['mib']:.0f} MiB for the same KS tests on the {evidently['rows']:,} thinned rows alone"
    )
    ratio = own["seconds"] / evidently["seconds"]
    return [*rows, BenchRow("drift: CPU seconds, check / evidently", ratio, 1.0, at_least=False, detail=detail)]


def _rows_against_polars(rounds: list[tuple[dict[str, float], dict[str, float]]]) -> list[BenchRow]:
    own, polars = rounds[-1]
    what = f"{ROWS:,} predictions, {len(CAMERAS)} cameras, one core"
    return [
        BenchRow(
            f"drift: {name}, check / polars reading the same columns",
            statistics.median(one[key] / other[key] for one, other in rounds),
            3.0,
            at_least=False,
            detail=f"{own[key]:.{digits}f} and {polars[key]:.{digits}f} {unit}; {what}",
        )
        for name, key, unit, digits in (("CPU seconds", "seconds", "s", 2), ("peak memory", "mib", "MiB", 0))
    ]


def _measured(code: str, folder: Path, python: str = sys.executable) -> dict[str, float]:
    command = [python, "-c", _ONE_CORE + code + _MEASURED, str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-1000:])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _write(folder: Path) -> None:
    """A log that a check has to read whole: three windows of every camera take these hours."""
    store = open_store(str(folder))
    step = HOURS * 3600 / ROWS
    for piece in range(PIECES):
        begin = NOON + timedelta(hours=HOURS * piece / PIECES)
        table = log_table(ROWS // PIECES, seed=piece, begin=begin, step_seconds=step, cameras=CAMERAS)
        write_log(store, table, writer=f"host-{piece}")
    table = log_table(3000 * len(CAMERAS), seed=99, begin=NOON - timedelta(days=2), step_seconds=3.0, cameras=CAMERAS)
    reference = Reference(Source.LOG, 30.0, features_of(table))
    (folder / "reference.parquet").write_bytes(encode_reference(reference))


def _write_for_evidently(folder: Path) -> None:
    """The rows that our check compared, as files of their own."""
    target = folder / "evidently"
    target.mkdir()
    reference = features_of(
        log_table(3000 * len(CAMERAS), seed=99, begin=NOON - timedelta(days=2), step_seconds=3.0, cameras=CAMERAS)
    )
    rows = read_between(
        open_store(str(folder)), "v1", NOON, NOON + timedelta(hours=HOURS + 1), 30.0, with_embedding=False
    )
    rows = thin_rows(rows, 30.0)
    for camera in CAMERAS:
        _write_table(target / f"{camera}-reference.parquet", reference.values[reference.camera == camera])
        own = rows.values[rows.camera == camera][-_WINDOW * _WINDOWS :]
        for number in range(_WINDOWS):
            _write_table(target / f"{camera}-window-{number}.parquet", own[number * _WINDOW : (number + 1) * _WINDOW])


def _write_table(path: Path, values: object) -> None:
    columns = [pa.array(column) for column in values.T]  # type: ignore[attr-defined]
    pq.write_table(pa.Table.from_arrays(columns, names=list(FEATURE_NAMES)), path)
