"""Chooses the pictures that people shall look at, and keeps them beside the answers.

`offer` decides at once, by hashes, the answer's own scores, a rate a camera and a quota in bytes a day, and queues what is
chosen for one thread; it never waits. What was drawn but is not kept is counted by why. See `shared/review_samples.py` for
what the reasons mean and where things lie.

Both models draw by the same salt, so for one request both keep the picture or none does, and it is stored once. The uniform and
the paired draw know nothing of cameras and scores, so their probabilities hold; only a spent quota can break them, which the
counter shows. Each reason has its own part of the quota: however undecided a model becomes, the uniform draw goes on.
"""

from __future__ import annotations

import atexit
import logging
import os
import queue
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.util import Finalize
from typing import Protocol

from belisha.components.serve.metrics import LeftOut
from belisha.components.shared.hashing import unit_interval
from belisha.components.shared.picture_store import PictureStore
from belisha.components.shared.request_log import PredictionRow
from belisha.components.shared.review_samples import REVIEW_PREFIX, Reason, ReviewSample, bytes_kept
from belisha.components.shared.storage import ObjectStore, join_uri, open_store

_log = logging.getLogger(__name__)

BAND_LOW, BAND_HIGH = 0.1, 0.6
_SALT = "belisha.review/1"
_CAMERAS = 10_000
_SHARES = {Reason.UNIFORM: 0.2, Reason.PAIRED: 0.3, Reason.UNCERTAIN: 0.5}


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """What is kept.

    Attributes:
        uniform_ratio: share of all requests, 0..1.
        paired_ratio: share of the requests that both models answer, 0..1.
        uncertainty_at_least: band score from which an answer counts as uncertain, 0..1; above 1 for none.
        seconds_between: least time between two uncertain pictures of one camera, over all writers.
        bytes_per_day: quota of all writers together, by UTC day.
        writers: processes that share the quota and the rate.
        queue_pictures: bound of pictures that wait.
        queue_bytes: and of their bytes.
        close_seconds: how long closing may take.
    """

    uniform_ratio: float = 0.01
    paired_ratio: float = 0.25
    uncertainty_at_least: float = 0.8
    seconds_between: float = 30.0
    bytes_per_day: int = 2 * 2**30
    writers: int = 1
    queue_pictures: int = 64
    queue_bytes: int = 64 * 2**20
    close_seconds: float = 5.0


class SamplingMeter(Protocol):
    """Who is told; `PredictorMetrics` is one."""

    def picture_kept(self, reasons: Sequence[str], size_bytes: int) -> None:
        """A picture is in the store."""

    def picture_left_out(self, reason: LeftOut) -> None:
        """A picture was drawn, but is not."""


def uncertainty(scores: Iterable[float]) -> float:
    """How undecided an answer is: the largest `1 - |2c - 1|` over scores c in [0.1, 0.6]; 0 where there is none."""
    return max((1 - abs(2 * score - 1) for score in scores if BAND_LOW <= score <= BAND_HIGH), default=0.0)


def drawn_for(row: PredictionRow, settings: SamplingSettings) -> dict[Reason, float | None]:
    """The reasons that draw an answer, each with its probability, before any rate or quota.

    A shadow answer has the request id of the answer it shadows. Its own process draws the pair, for the other one cannot know.
    """
    drawn: dict[Reason, float | None] = {}
    if unit_interval(f"{_SALT}/uniform", row.request_id) < settings.uniform_ratio:
        drawn[Reason.UNIFORM] = settings.uniform_ratio
    if row.shadow and unit_interval(f"{_SALT}/paired", row.request_id) < settings.paired_ratio:
        drawn[Reason.PAIRED] = settings.paired_ratio
    if uncertainty(row.scores) >= settings.uncertainty_at_least:
        drawn[Reason.UNCERTAIN] = None
    return drawn


class Budget:
    """One writer's part of the quota, by reason and UTC day. Not safe under threads by itself."""

    def __init__(self, settings: SamplingSettings) -> None:
        whole = settings.bytes_per_day / max(1, settings.writers)
        self._limits = {reason: share * whole for reason, share in _SHARES.items()}
        self._day = ""
        self._spent = dict.fromkeys(Reason, 0.0)

    def take(self, reasons: Iterable[Reason], size_bytes: int, at: datetime) -> list[Reason]:
        """The reasons that can still pay for a picture; the first of them pays."""
        self._turn_to(at)
        able = [reason for reason in reasons if self._spent[reason] + size_bytes <= self._limits[reason]]
        if able:
            self._spent[able[0]] += size_bytes
        return able

    def charge(self, size_bytes: float, at: datetime) -> None:
        """Count what was kept before this process began, shared among the reasons as the quota is."""
        self._turn_to(at)
        for reason, share in _SHARES.items():
            self._spent[reason] += share * size_bytes

    def _turn_to(self, at: datetime) -> None:
        day = f"{at.astimezone(UTC):%Y-%m-%d}"
        if day > self._day:
            self._day, self._spent = day, dict.fromkeys(Reason, 0.0)


class CameraRate:
    """At most one a camera in so many seconds; remembers a bounded number of cameras."""

    def __init__(self, seconds: float, cameras: int = _CAMERAS) -> None:
        self._seconds, self._cameras = seconds, cameras
        self._last: OrderedDict[str, float] = OrderedDict()

    def allows(self, camera: str, now: float) -> bool:
        """Whether the camera's last picture is long enough ago; if so, this one is its last."""
        last = self._last.get(camera)
        if last is not None and now - last < self._seconds:
            return False
        self._last[camera] = now
        self._last.move_to_end(camera)
        if len(self._last) > self._cameras:
            self._last.popitem(last=False)
        return True


class PictureSampler:
    """Keeps pictures for review; the only one in a process.

    The thread starts with the first picture, in the process that offers it; see `request_log_writer` on forks.

    Args:
        storage_uri: where `review/` lies.
        settings: what is kept.
        meter: is told of every picture.
        monotonic: seconds, for the rate a camera.
    """

    def __init__(
        self,
        storage_uri: str,
        settings: SamplingSettings | None = None,
        *,
        meter: SamplingMeter | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._storage_uri = storage_uri
        self._pictures_uri = join_uri(storage_uri, REVIEW_PREFIX, "pictures")
        self._settings = settings or SamplingSettings()
        self._meter = meter
        self._monotonic = monotonic
        self._begin_in_this_process()
        forked = weakref.WeakMethod(self._begin_in_this_process)
        os.register_at_fork(after_in_child=lambda: (begin := forked()) and begin())

    def _begin_in_this_process(self) -> None:
        settings = self._settings
        self._lock = threading.Lock()
        self._budget = Budget(settings)
        self._rate = CameraRate(settings.seconds_between * max(1, settings.writers))
        self._queue: queue.Queue[tuple[ReviewSample, bytes] | None] = queue.Queue()
        self._waiting = self._waiting_bytes = 0
        self._thread: threading.Thread | None = None
        self._closed = False
        self._records: ObjectStore | None = None
        self._pictures: PictureStore | None = None

    def offer(self, row: PredictionRow, picture: bytes) -> str:
        """Keep an answer's picture if it is drawn; never waits.

        Returns:
            Where it will lie, for the request log; empty when it is not kept. Should the store refuse it later, nothing lies
            there.
        """
        drawn = drawn_for(row, self._settings)
        if not drawn:
            return ""
        with self._lock:
            reasons, left_out = self._admitted(list(drawn), row, len(picture))
            if reasons:
                sample = self._sample_of(row, {reason: drawn[reason] for reason in reasons}, len(picture))
                self._queue.put_nowait((sample, picture))
                self._waiting, self._waiting_bytes = self._waiting + 1, self._waiting_bytes + len(picture)
                self._start()
        if left_out is not None:
            self._tell_left_out(left_out)
            return ""
        return sample.picture_uri

    def _admitted(
        self, reasons: list[Reason], row: PredictionRow, size_bytes: int
    ) -> tuple[list[Reason], LeftOut | None]:
        """The reasons that remain, or why none does."""
        settings = self._settings
        if self._closed:
            return [], LeftOut.CLOSED
        full = self._waiting >= settings.queue_pictures or self._waiting_bytes + size_bytes > settings.queue_bytes
        if full:
            return [], LeftOut.QUEUE_FULL
        if Reason.UNCERTAIN in reasons and not self._rate.allows(row.camera or row.client, self._monotonic()):
            reasons.remove(Reason.UNCERTAIN)
            if not reasons:
                return [], LeftOut.CAMERA_RATE
        paying = self._budget.take(reasons, size_bytes, row.time)
        return paying, None if paying else LeftOut.QUOTA

    def _sample_of(
        self, row: PredictionRow, probabilities: dict[Reason, float | None], size_bytes: int
    ) -> ReviewSample:
        return ReviewSample(
            time=row.time,
            request_id=row.request_id,
            model_version=row.model_version,
            role=row.role,
            camera=row.camera,
            picture_id=row.picture_id,
            picture_uri=f"{self._pictures_uri}/{row.picture_id[:2]}/{row.picture_id}",
            size_bytes=size_bytes,
            probabilities=probabilities,
            uncertainty=uncertainty(row.scores),
        )

    def close(self, seconds: float | None = None) -> None:
        """Keep what waits and end; what is not kept in time is left out, and counted. Closing twice does no harm."""
        with self._lock:
            thread, self._closed = self._thread, True
            if thread is not None:
                self._queue.put_nowait(None)
        if thread is not None:
            thread.join(self._settings.close_seconds if seconds is None else seconds)
        with self._lock:
            missing, self._waiting, self._waiting_bytes = self._waiting, 0, 0
        for _ in range(missing):
            self._tell_left_out(LeftOut.CLOSED)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="review-pictures", daemon=True)
            self._thread.start()
            atexit.register(self.close)
            Finalize(self, self.close, exitpriority=100)  # a process of multiprocessing skips what atexit knows

    def _run(self) -> None:
        self._remember_today()
        while (item := self._queue.get()) is not None:
            kept = self._kept(*item)
            with self._lock:
                # Closing that ran out of time has counted it already.
                counts = self._waiting > 0
                self._waiting, self._waiting_bytes = max(0, self._waiting - 1), self._waiting_bytes - len(item[1])
            if counts and kept and self._meter is not None:
                self._meter.picture_kept([reason.value for reason in item[0].probabilities], len(item[1]))
            elif counts and not kept:
                self._tell_left_out(LeftOut.STORE)

    def _remember_today(self) -> None:
        """What earlier processes of today kept counts against the quota."""
        now = datetime.now(UTC)
        try:
            kept = bytes_kept(self._store(), now)
        except Exception as error:  # noqa: BLE001 - the thread lives on; a write will say what is wrong
            _log.warning("today's pictures for review could not be listed: %s", error)
            return
        with self._lock:
            self._budget.charge(kept / max(1, self._settings.writers), now)

    def _kept(self, sample: ReviewSample, picture: bytes) -> bool:
        """The picture, then its record; a picture that fails is not tried again, for the next is as good."""
        try:
            if self._pictures is None:
                self._pictures = PictureStore(open_store(self._pictures_uri))
            self._pictures.add(picture, sample.picture_id)
            self._store().write(sample.key(), sample.to_bytes())
        except Exception as error:  # noqa: BLE001 - the thread lives on
            _log.warning("a picture for review could not be kept: %s", error)
            return False
        return True

    def _store(self) -> ObjectStore:
        if self._records is None:
            self._records = open_store(self._storage_uri)
        return self._records

    def _tell_left_out(self, reason: LeftOut) -> None:
        if self._meter is not None:
            self._meter.picture_left_out(reason)
