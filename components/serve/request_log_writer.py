"""Writes the request log beside the answers: a bounded queue, one thread a process, whole shards.

`offer` costs a lock and never waits. Whatever cannot be written is dropped and counted, so that at every moment, and exactly
once the writer is closed, offered = written + dropped + waiting. A process that is killed loses the rows that wait and leaves
no half shard, for the store shows an object only when it is whole.

The thread starts with the first row, in the process that offers it: gunicorn forks after the model class was made, and
threads do not survive a fork. For the same reason the process that forks must not have used the store (obstore's own threads
do not survive either).
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import re
import signal
import socket
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from multiprocessing.util import Finalize
from types import FrameType
from typing import Protocol

from belisha.components.serve.metrics import Dropped
from belisha.components.shared.ledger import Clock, system_clock
from belisha.components.shared.request_log import PredictionRow, encode_shard, shard_key
from belisha.components.shared.storage import ObjectStore

_log = logging.getLogger(__name__)

_TICK_SECONDS = 0.25
# What a row takes in memory: names, times and statistics, and a number of Python's beside its place in a tuple.
_ROW_BYTES, _NUMBER_BYTES = 1500, 32


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How the log is written.

    Attributes:
        queue_rows: bound of rows in the queue; a row more is dropped.
        queue_bytes: bound of the memory of all rows that wait, in the queue and in open shards; a row more is dropped.
        shard_rows: a shard is closed at this many rows.
        shard_bytes: and at this much memory of its rows.
        shard_seconds: and at this age of its first row, so that nothing waits longer to be seen.
        close_seconds: how long closing may take; what is not written by then is dropped.
        first_retry_seconds: pause after a failed write; doubled at each failure.
        longest_retry_seconds: bound of that pause.
    """

    queue_rows: int = 10_000
    queue_bytes: int = 64 * 2**20
    shard_rows: int = 5_000
    shard_bytes: int = 16 * 2**20
    shard_seconds: float = 60.0
    close_seconds: float = 10.0
    first_retry_seconds: float = 0.5
    longest_retry_seconds: float = 30.0


class LogMeter(Protocol):
    """Who is told what becomes of the rows; `PredictorMetrics` is one."""

    def log_queue(self, rows: int) -> None:
        """So many rows wait."""

    def log_written(self, rows: int) -> None:
        """So many rows are in the store."""

    def log_dropped(self, rows: int, reason: Dropped) -> None:
        """So many rows will never be there."""


class NoMeter:
    """Tells nobody."""

    def log_queue(self, rows: int) -> None:
        """So many rows wait."""

    def log_written(self, rows: int) -> None:
        """So many rows are in the store."""

    def log_dropped(self, rows: int, reason: Dropped) -> None:
        """So many rows will never be there."""


@dataclass(frozen=True, slots=True)
class LogCounts:
    """What became of the rows that were offered in this process."""

    offered: int
    written: int
    dropped: int

    @property
    def waiting(self) -> int:
        """Rows in the queue or in an open shard."""
        return self.offered - self.written - self.dropped


@dataclass(slots=True)
class _Shard:
    """Rows of one hour that are not written yet."""

    begun: float
    rows: list[PredictionRow] = field(default_factory=list)
    size_bytes: int = 0

    def add(self, row: PredictionRow) -> None:
        self.rows.append(row)
        self.size_bytes += row_bytes(row)


def row_bytes(row: PredictionRow) -> int:
    """About how much memory a row takes; a crowded picture's takes thirty times that of an empty one."""
    return _ROW_BYTES + _NUMBER_BYTES * (len(row.scores) + len(row.boxes_xywh_px) + len(row.embedding))


class RequestLogWriter:
    """The request log's only writer in a process.

    Args:
        store: the log's.
        settings: bounds.
        clock: for names of shards.
        meter: is told of every row.
    """

    def __init__(
        self,
        store: ObjectStore | Callable[[], ObjectStore],
        settings: LogSettings | None = None,
        clock: Clock = system_clock,
        *,
        meter: LogMeter | None = None,
    ) -> None:
        self._store = store
        self._settings = settings or LogSettings()
        self._clock = clock
        self._meter = meter or NoMeter()
        self._begin_in_this_process()
        forked = weakref.WeakMethod(self._begin_in_this_process)
        os.register_at_fork(after_in_child=lambda: (begin := forked()) and begin())

    def _begin_in_this_process(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[PredictionRow] = deque()
        self._offered = self._written = self._dropped = self._waiting_bytes = 0
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._abandoned = False
        self._writer_name = re.sub(r"[^A-Za-z0-9.]+", "-", socket.gethostname()) + f"-{os.getpid()}"
        self._shard_number = 0

    def offer(self, row: PredictionRow) -> bool:
        """Queue a row without waiting; False when it was dropped, which is counted."""
        with self._lock:
            self._offered += 1
            reason = self._queued(row)
            if reason is not None:
                self._dropped += 1
            elif self._thread is None:
                self._start()
        if reason is not None:
            self._meter.log_dropped(1, reason)
        return reason is None

    def _queued(self, row: PredictionRow) -> Dropped | None:
        """Queue a row, or say why not; with the lock."""
        size_bytes = row_bytes(row)
        if self._closing.is_set():
            return Dropped.CLOSED
        if self._waiting_bytes + size_bytes > self._settings.queue_bytes:
            return Dropped.QUEUE_BYTES
        if len(self._queue) >= self._settings.queue_rows:
            return Dropped.QUEUE_FULL
        self._queue.append(row)
        self._waiting_bytes += size_bytes
        return None

    def counts(self) -> LogCounts:
        """What became of the rows, all read at one moment."""
        with self._lock:
            return LogCounts(self._offered, self._written, self._dropped)

    def close(self, seconds: float | None = None) -> LogCounts:
        """Write what waits and end; what is not written in time is dropped. Closing twice does no harm.

        Args:
            seconds: how long it may take; the settings' `close_seconds` when None.
        """
        with self._lock:
            self._closing.set()
            thread = self._thread
        if thread is not None:
            thread.join(self._settings.close_seconds if seconds is None else seconds)
        with self._lock:
            self._abandoned = True
            missing = self._offered - self._written - self._dropped
            self._dropped += missing
        if missing:
            self._meter.log_dropped(missing, Dropped.STORE)
            _log.warning("%d rows of the request log could not be written before the end", missing)
        self._meter.log_queue(0)
        return self.counts()

    def _start(self) -> None:
        """Start the thread, and see to it that this process does not end without a flush."""
        self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)
        self._thread.start()
        atexit.register(self.close)
        Finalize(self, self.close, exitpriority=100)  # a process of multiprocessing skips what atexit knows

    def close_on_sigterm(self) -> None:
        """Flush also where SIGTERM would end the process at once (a gRPC worker); call it in the main thread.

        A process that handles the signal itself, as gunicorn's workers do, is left alone: it exits in order.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _exit_in_order)

    def _run(self) -> None:
        shards: dict[datetime, _Shard] = {}
        while not self._closing.is_set() or self._queue:
            if not self._queue:
                # Looking now and then costs the answers less than being woken for each of them.
                self._closing.wait(_TICK_SECONDS)
            self._take(shards)
            for hour in [hour for hour, shard in shards.items() if self._is_ripe(shard)]:
                self._let_go(shards.pop(hour))
            self._meter.log_queue(self.counts().waiting)
        for shard in shards.values():
            self._let_go(shard)

    def _let_go(self, shard: _Shard) -> None:
        """Write a shard; written or not, its rows wait no longer."""
        self._write(shard.rows)
        with self._lock:
            self._waiting_bytes -= shard.size_bytes

    def _take(self, shards: dict[datetime, _Shard]) -> None:
        """Move waiting rows into the open shards of their hours, until one of these is full."""
        while self._queue:
            row = self._queue.popleft()
            hour = row.time.replace(minute=0, second=0, microsecond=0)
            shard = shards.setdefault(hour, _Shard(time.monotonic()))
            shard.add(row)
            if self._is_full(shard):
                return

    def _is_full(self, shard: _Shard) -> bool:
        return len(shard.rows) >= self._settings.shard_rows or shard.size_bytes >= self._settings.shard_bytes

    def _is_ripe(self, shard: _Shard) -> bool:
        return self._is_full(shard) or time.monotonic() - shard.begun >= self._settings.shard_seconds

    def _write(self, rows: Sequence[PredictionRow]) -> None:
        """Write one shard, trying until the store takes it or closing runs out of time."""
        good, data = self._encoded(rows)
        if not good:
            return
        self._shard_number += 1
        key = shard_key(min(row.time for row in good), self._writer_name, self._shard_number)
        pause = self._settings.first_retry_seconds
        while not self._abandoned and not self._stored(key, data):
            self._meter.log_queue(self.counts().waiting)
            if self._waited(pause):
                return
            pause = min(pause * 2, self._settings.longest_retry_seconds)
        with self._lock:
            counted = 0 if self._abandoned else len(good)
            self._written += counted
        self._meter.log_written(counted)

    def _waited(self, seconds: float) -> bool:
        """Pause between two tries, cut short by closing; True when the rows have been given up."""
        self._closing.wait(seconds)
        if self._closing.is_set():
            time.sleep(min(seconds, _TICK_SECONDS))
        return self._abandoned

    def _stored(self, key: str, data: bytes) -> bool:
        try:
            if callable(self._store):
                self._store = self._store()
            self._store.write(key, data)
        except Exception as error:  # noqa: BLE001 - without this thread every later row would be lost
            _log.warning("the request log waits for its store: %s", error)
            return False
        return True

    def _encoded(self, rows: Sequence[PredictionRow]) -> tuple[list[PredictionRow], bytes]:
        """The bytes of a shard, without rows that no shard can hold: one bad row must not cost the others."""
        try:
            return list(rows), encode_shard(rows)
        except Exception as error:  # noqa: BLE001 - whatever a row holds, the thread lives on
            _log.warning("a row of the request log cannot be written: %s", error)
        good = [row for row in rows if _is_encodable(row)]
        with self._lock:
            self._dropped += len(rows) - len(good)
        self._meter.log_dropped(len(rows) - len(good), Dropped.BAD_ROW)
        return good, encode_shard(good) if good else b""


def _is_encodable(row: PredictionRow) -> bool:
    with contextlib.suppress(Exception):
        encode_shard([row])
        return True
    return False


def _exit_in_order(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
