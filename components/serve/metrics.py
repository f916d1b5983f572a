"""Every metric of a predictor, declared in one place.

Labels are few and their values are known when the process starts: nothing that a caller sends becomes a label, so the number
of series is fixed. `deployment_name` and `predictor_name` are Seldon's own label names, so a dashboard joins these with the
executor's metrics on the two. A role is no label: it moves from one version to another while both go on counting.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary

from belisha.components.shared.picture_statistics import STATISTIC_NAMES, PictureStatistics
from belisha.components.shared.process_metrics import ProcessMetrics, metrics_in

# Half of the answers of a CPU come within 50 ms and hardly one takes over 500; between them a step is a third or less.
LATENCY_BUCKETS = (
    *(0.001, 0.002, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05),
    *(0.065, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.35, 0.5, 1.0, 2.5),
)
BOXES_BUCKETS = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 100)
SCORE_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

RUNTIMES = ("onnxruntime", "onnxruntime-cuda", "openvino", "other")

_IDENTITY = ("deployment_name", "predictor_name", "model_version")


class Outcome(enum.StrEnum):
    """How a request ended."""

    OK = "ok"
    BAD_REQUEST = "bad_request"
    BAD_PICTURE = "bad_picture"
    TOO_LARGE = "too_large"
    NOT_READY = "not_ready"
    ERROR = "error"


class Stage(enum.StrEnum):
    """A part of an answer's time."""

    DECODE = "decode"
    INFERENCE = "inference"
    TOTAL = "total"


class Load(enum.StrEnum):
    """What came of loading the model."""

    READY = "ready"
    GOLDEN_MISMATCH = "golden_mismatch"
    FAILED = "failed"


class Dropped(enum.StrEnum):
    """Why a row is missing in the request log."""

    QUEUE_FULL = "queue_full"
    QUEUE_BYTES = "queue_bytes"
    STORE = "store"
    CLOSED = "closed"
    BAD_ROW = "bad_row"


class LeftOut(enum.StrEnum):
    """Why a picture that was drawn for review was not kept."""

    QUEUE_FULL = "queue_full"
    QUOTA = "quota"
    CAMERA_RATE = "camera_rate"
    STORE = "store"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who counts: the values of the labels that all metrics share.

    Attributes:
        model_version: that this process serves.
        predictor_name: Seldon's name of the predictor.
        deployment_name: Seldon's name of the deployment.
    """

    model_version: str
    predictor_name: str
    deployment_name: str = "belisha"


class PredictorMetrics:
    """Counts what a predictor does. Safe under threads and forks; no method raises on what a caller may send.

    Args:
        identity: values of the shared labels.
        folder: where all processes of this predictor count together; None counts in this process alone.
    """

    def __init__(self, identity: Identity, *, folder: Path | None = None) -> None:
        self._identity = identity
        self._folder = folder
        self._registry = CollectorRegistry()
        if folder is None:
            self._declare()
        else:
            with metrics_in(folder):
                self._declare()

    def _declare(self) -> None:
        """Declare all metrics with all values of their labels: a series that starts at 0 shows its first increase."""
        self._declare_requests()
        self._declare_pictures()
        self._declare_background()
        self._declare_feedback()
        info = self._gauge("belisha_model_info", "1 for the runtime that runs the model.", ("runtime",), "max")
        self._runtimes = {runtime: info.labels(*self._values, runtime) for runtime in RUNTIMES}
        load = self._gauge(
            "belisha_model_load",
            "1 for what came of loading the model: golden_mismatch and failed never serve.",
            ("result",),
            "max",
        )
        self._load = {result: load.labels(*self._values, result.value) for result in Load}

    def _declare_requests(self) -> None:
        total = self._counter(
            "belisha_requests_total",
            "Requests by how they ended; a shadow request is answered for the log alone.",
            ("outcome", "shadow"),
        )
        self._requests = {
            (outcome.value, shadow): total.labels(*self._values, outcome.value, str(shadow).lower())
            for outcome in Outcome
            for shadow in (False, True)
        }
        stages = Histogram(
            "belisha_stage_seconds",
            "Seconds that answered requests took: decode, inference, and in total with all waiting inside the predictor.",
            (*_IDENTITY, "stage"),
            buckets=LATENCY_BUCKETS,
            registry=self._registry,
        )
        self._stages = {stage.value: stages.labels(*self._values, stage.value) for stage in Stage}

    def _declare_pictures(self) -> None:
        self._boxes = Histogram(
            "belisha_boxes_per_picture",
            "Boxes at or above the serving threshold on an answered picture.",
            _IDENTITY,
            buckets=BOXES_BUCKETS,
            registry=self._registry,
        ).labels(*self._values)
        self._scores = Histogram(
            "belisha_score",
            "Scores, 0 to 1, of all boxes that were answered.",
            _IDENTITY,
            buckets=SCORE_BUCKETS,
            registry=self._registry,
        ).labels(*self._values)
        statistics = Summary(
            "belisha_picture_statistic",
            "What answered pictures look like: sum and count of each statistic; a negative sharpness_log counts as 0.",
            (*_IDENTITY, "statistic"),
            registry=self._registry,
        )
        self._statistics = [statistics.labels(*self._values, name) for name in STATISTIC_NAMES]

    def _declare_background(self) -> None:
        self._queue_rows = self._gauge(
            "belisha_request_log_queue_rows", "Rows that wait to be written to the request log.", (), "livesum"
        ).labels(*self._values)
        self._rows_written = self._counter(
            "belisha_request_log_written_total", "Rows written to the request log.", ()
        ).labels(*self._values)
        dropped = self._counter(
            "belisha_request_log_dropped_total", "Rows that the request log lacks, by why.", ("reason",)
        )
        self._rows_dropped = {reason: dropped.labels(*self._values, reason.value) for reason in Dropped}
        kept = self._counter("belisha_review_pictures_total", "Pictures kept for review, by why.", ("reason",))
        self._kept = {reason: kept.labels(*self._values, reason) for reason in ("uniform", "paired", "uncertain")}
        left_out = self._counter(
            "belisha_review_left_out_total", "Pictures that were drawn for review but not kept, by why.", ("reason",)
        )
        self._left_out = {reason: left_out.labels(*self._values, reason.value) for reason in LeftOut}
        self._kept_bytes = self._counter("belisha_review_bytes_total", "Bytes of pictures kept for review.", ()).labels(
            *self._values
        )

    def _declare_feedback(self) -> None:
        """Ours, since the wrapper's counters skip a reward of 0: of a yes or no its mean is always yes."""
        feedback = self._counter("belisha_feedback_total", "Feedback by the sign of its reward.", ("sign",))
        self._feedback = {sign: feedback.labels(*self._values, sign) for sign in ("negative", "zero", "positive")}
        gained = self._counter("belisha_reward_gained_total", "Sum of the positive rewards.", ())
        lost = self._counter("belisha_reward_lost_total", "Sum of the negative rewards, without their sign.", ())
        self._gained, self._lost = gained.labels(*self._values), lost.labels(*self._values)

    @property
    def _values(self) -> tuple[str, str, str]:
        return self._identity.deployment_name, self._identity.predictor_name, self._identity.model_version

    def _counter(self, name: str, text: str, labels: Sequence[str]) -> Counter:
        return Counter(name, text, (*_IDENTITY, *labels), registry=self._registry)

    def _gauge(self, name: str, text: str, labels: Sequence[str], mode: Any) -> Gauge:
        return Gauge(name, text, (*_IDENTITY, *labels), registry=self._registry, multiprocess_mode=mode)

    def serves(self, runtime: str) -> None:
        """Say which of `RUNTIMES` runs the model in this process."""
        self._runtimes.get(runtime, self._runtimes["other"]).set(1)
        self.load(Load.READY)

    def load(self, result: Load) -> None:
        """Say what came of loading the model in this process."""
        for known, gauge in self._load.items():
            gauge.set(int(known is result))

    def observe(
        self,
        outcome: str,
        stages: Mapping[str, float] = MappingProxyType({}),
        boxes: int = 0,
        scores: Sequence[float] = (),
        statistics: PictureStatistics | None = None,
        *,
        shadow: bool = False,
    ) -> None:
        """Count one request.

        Args:
            outcome: a value of `Outcome`; anything else counts as `error`.
            stages: seconds by value of `Stage`.
            boxes: how many boxes were answered; counted only when the outcome is `ok`.
            scores: of these boxes, 0..1.
            statistics: of the picture.
            shadow: whether the answer is for the log alone.
        """
        self._requests.get((outcome, shadow), self._requests[Outcome.ERROR.value, shadow]).inc()
        if outcome != Outcome.OK.value:
            return
        for stage, seconds in stages.items():
            self._stages[stage].observe(seconds)
        self._boxes.observe(boxes)
        for score in scores:
            self._scores.observe(score)
        if statistics is not None:
            for summary, value in zip(self._statistics, statistics.values(), strict=True):
                # A sum that can fall looks to Prometheus like a process that started anew.
                summary.observe(max(0.0, value))

    def rewarded(self, reward: float) -> None:
        """Count what somebody thinks of an answer; the reward is finite."""
        self._feedback["positive" if reward > 0 else "negative" if reward < 0 else "zero"].inc()
        (self._gained if reward > 0 else self._lost).inc(abs(reward))

    def log_queue(self, rows: int) -> None:
        """Set how many rows wait in this process."""
        self._queue_rows.set(rows)

    def log_written(self, rows: int) -> None:
        """Count rows that are in the store."""
        self._rows_written.inc(rows)

    def log_dropped(self, rows: int, reason: Dropped) -> None:
        """Count rows that will never be there."""
        self._rows_dropped[reason].inc(rows)

    def picture_kept(self, reasons: Sequence[str], size_bytes: int) -> None:
        """Count a picture under every reason for which it was kept."""
        for reason in reasons:
            self._kept[reason].inc()
        self._kept_bytes.inc(size_bytes)

    def picture_left_out(self, reason: LeftOut) -> None:
        """Count a picture that was drawn but not kept."""
        self._left_out[reason].inc()

    def page(self) -> ProcessMetrics:
        """The metrics of all processes that count in the folder, to be served by one of them.

        Raises:
            ValueError: they count in memory.
        """
        if self._folder is None:
            raise ValueError("expected metrics with a folder, got ones that count in memory")
        return ProcessMetrics(self._folder, self._registry)

    @property
    def registry(self) -> CollectorRegistry:
        """The metrics of this process alone."""
        return self._registry
