"""Prometheus metrics of several processes as one: exact under threads, workers that come and go, and SIGKILL.

Each process counts into memory-mapped files of its own, as prometheus_client's multiprocess mode does; whoever answers the
scrape adds them up. This module adds what that mode lacks: it is switched on by code before metrics are declared instead of
by the environment before Python starts, a process is known by its number and start time (numbers are used again), files of
the dead are folded into one without losing a count, and help texts survive in old versions of the library.
"""

from __future__ import annotations

import atexit
import contextlib
import inspect
import json
import os
import shutil
import struct
import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest, values
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

_FOLDER_VARIABLES = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")
_ARCHIVE = "archive"
_JOURNAL = "fold.json"
# These parts of the library carry no types.
_library: Any = values
_collector: Any = MultiProcessCollector
_mapped: Any = MmapedDict
_WRITES_TIMESTAMPS = "timestamp" in inspect.signature(MmapedDict.write_value).parameters


@contextlib.contextmanager
def metrics_in(folder: Path) -> Iterator[None]:
    """Metrics that are declared, and whose labels are named, inside the block count into files in `folder`.

    A process that is forked later gets files of its own by itself. One folder serves one group of processes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in _FOLDER_VARIABLES:
        os.environ[name] = str(folder)
    before = values.ValueClass
    values.ValueClass = _library.MultiProcessValue(process_identifier=process_name)
    try:
        yield
    finally:
        values.ValueClass = before


def temporary_metrics_folder() -> Path:
    """A new folder that goes when this process ends in order; children inherit the errand and leave it alone."""
    folder = Path(tempfile.mkdtemp(prefix="belisha-metrics-"))
    atexit.register(_remove_in, os.getpid(), folder)
    return folder


def _remove_in(pid: int, folder: Path) -> None:
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)


_own_name = ""


def process_name() -> str:
    """This process as `PID-START`: unlike the number alone, never used again."""
    global _own_name  # noqa: PLW0603 - asked at every count, so the answer is kept
    if not _own_name:
        _own_name = f"{os.getpid()}-{_start_ticks(os.getpid())}"
    return _own_name


def _forget_own_name() -> None:
    global _own_name  # noqa: PLW0603
    _own_name = ""


os.register_at_fork(after_in_child=_forget_own_name)


def _start_ticks(pid: int) -> int:
    """When a process started, in clock ticks since boot; 0 where the system does not say; -1 when there is no such process."""
    try:
        # The name in parentheses may hold spaces; 22nd field of the line, 20th after the name.
        return int(
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rsplit(")", 1)[1].split()[19]
        )
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/stat").exists():
            return -1
        return 0 if _answers(pid) else -1
    except (OSError, ValueError, IndexError):
        return 0


def _answers(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _is_alive(name: str) -> bool:
    pid, _, start = name.partition("-")
    return pid.isdigit() and str(_start_ticks(int(pid))) == start


class ProcessMetrics:
    """What all processes of a folder have counted; one process asks, the others count.

    Args:
        folder: where they count.
        declared: the registry that knows the metrics' help texts.
    """

    def __init__(self, folder: Path, declared: CollectorRegistry) -> None:
        self._folder = folder
        self._help = {metric.name: metric.documentation for metric in declared.collect()}
        self._lock = threading.Lock()
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def exposition(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """Sums over all processes, for the registry; those of the dead are folded on the way."""
        with self._lock:
            _finish_fold(self._folder)
            _fold_the_dead(self._folder)
            files = [str(path) for path in sorted(self._folder.glob("*.db")) if path.stat().st_size]
            metrics = list(_merged(files))
        for metric in metrics:
            metric.documentation = self._help.get(metric.name, metric.documentation)
        return metrics


def _merged(files: list[str]) -> Iterable[Metric]:
    """Added up; a file that its process is just creating is read once more."""
    try:
        return list(_collector.merge(files))
    except (struct.error, RuntimeError, ValueError):
        return list(_collector.merge(files))


def _owner(path: Path) -> str:
    return path.stem.rsplit("_", 1)[1]


def _fold_the_dead(folder: Path) -> None:
    """Add the counts of processes that are gone to one archive a kind; their gauges say nothing any more."""
    dead = [
        path for path in folder.glob("*.db") if not _owner(path).startswith(_ARCHIVE) and not _is_alive(_owner(path))
    ]
    for path in [path for path in dead if path.name.startswith("gauge_")]:
        path.unlink(missing_ok=True)
    counted = [path for path in dead if not path.name.startswith("gauge_")]
    if not counted:
        return
    moves: dict[str, str] = {}
    for kind in sorted({path.stem.rsplit("_", 1)[0] for path in counted}):
        target = folder / f"{kind}_{_ARCHIVE}.db"
        aside = target.with_suffix(".new")
        aside.unlink(missing_ok=True)
        sources = [path for path in counted if path.stem.rsplit("_", 1)[0] == kind]
        _write_sum(aside, [*([target] if target.exists() else []), *sources])
        moves[aside.name] = target.name
    # From the moment the journal has its name the fold counts as done, however often the rest is tried.
    journal = {"moves": moves, "remove": [path.name for path in counted]}
    (folder / f"{_JOURNAL}.new").write_text(json.dumps(journal), encoding="utf-8")
    (folder / f"{_JOURNAL}.new").replace(folder / _JOURNAL)
    _finish_fold(folder)


def _finish_fold(folder: Path) -> None:
    """Carry out what a journal says, also one that a killed process left."""
    try:
        journal = json.loads((folder / _JOURNAL).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    for aside, target in journal["moves"].items():
        with contextlib.suppress(FileNotFoundError):
            (folder / aside).replace(folder / target)
    for name in journal["remove"]:
        (folder / name).unlink(missing_ok=True)
    (folder / _JOURNAL).unlink()


def _write_sum(target: Path, sources: list[Path]) -> None:
    total: dict[str, float] = {}
    for source in sources:
        if source.stat().st_size:
            for key, value, *_ in _mapped.read_all_values_from_file(str(source)):
                total[key] = total.get(key, 0.0) + value
    written = _mapped(str(target))
    try:
        for key, value in total.items():
            written.write_value(key, value, *([0.0] if _WRITES_TIMESTAMPS else []))
    finally:
        written.close()
