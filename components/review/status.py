"""How long the queue is, and the metrics that say so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from belisha.components.shared.errors import StorageError
from belisha.components.shared.loop_metrics import Job, LoopMetrics
from belisha.components.shared.review_queue import Batch, Import, read_batches, read_imports, waiting_items
from belisha.components.shared.storage import ObjectStore


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """One batch: its number, cause, when it was made, and how many of its pictures nobody has looked at."""

    number: int
    cause: str
    created_at: datetime
    pictures: int
    waiting: int


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """The whole queue.

    Attributes:
        batches: oldest first.
        waiting: pictures that nobody has looked at.
        waiting_since: when the longest waiting one was handed out; None when none waits.
        reviewed: pictures that have a truth.
        disputed_pictures: of them, those with boxes for an adjudicator.
        disputed_boxes: boxes that count as ignore regions until an adjudicator decides.
        annotators: who has voted.
        last_at: when pictures were last handed out or taken in; None for never.
    """

    batches: tuple[BatchStatus, ...]
    waiting: int
    waiting_since: datetime | None
    reviewed: int
    disputed_pictures: int
    disputed_boxes: int
    annotators: tuple[str, ...]
    last_at: datetime | None

    def to_json(self) -> dict[str, Any]:
        """What `belisha review status --json` prints."""
        batches = [{**asdict(batch), "created_at": batch.created_at.isoformat()} for batch in self.batches]
        times = {"waiting_since": self.waiting_since, "last_at": self.last_at}
        shown = {name: at.isoformat() if at else None for name, at in times.items()}
        return {**asdict(self), **shown, "batches": batches, "annotators": list(self.annotators)}


def queue_status(store: ObjectStore) -> QueueStatus:
    """The queue as it lies in a store; raises ContractError, StorageError."""
    return status_of(read_batches(store), read_imports(store))


def status_of(batches: Sequence[Batch], imports: Sequence[Import]) -> QueueStatus:
    """The queue of these records."""
    waiting = waiting_items(batches, imports)
    of_batch = [batch.number for batch, _ in waiting]
    truths = {truth.picture_id: truth for one in imports for truth in one.truths}
    moments = [*(one.created_at for one in batches), *(one.created_at for one in imports)]
    annotators = sorted({vote.annotator for one in imports for vote in one.votes})
    return QueueStatus(
        batches=tuple(
            BatchStatus(one.number, one.cause, one.created_at, len(one.items), of_batch.count(one.number))
            for one in batches
        ),
        waiting=len(waiting),
        waiting_since=min((batch.created_at for batch, _ in waiting), default=None),
        reviewed=len(truths),
        disputed_pictures=sum(truth.disputed > 0 for truth in truths.values()),
        disputed_boxes=sum(truth.disputed for truth in truths.values()),
        annotators=tuple(annotators),
        last_at=max(moments, default=None),
    )


def metrics_of(status: QueueStatus, deployment_name: str) -> LoopMetrics:
    """The queue as the loop's metrics."""
    metrics = LoopMetrics(Job.REVIEW, deployment_name)
    metrics.set("review_last_success_timestamp_seconds", _seconds(status.last_at))
    metrics.set("review_queue_pictures", status.waiting)
    metrics.set("review_queue_oldest_timestamp_seconds", _seconds(status.waiting_since))
    return metrics


def _seconds(at: datetime | None) -> float:
    return at.timestamp() if at else 0.0


def push_metrics(store: ObjectStore, deployment_name: str) -> QueueStatus:
    """Read the queue, push its metrics where a Pushgateway is configured, and return it; raises StorageError."""
    status = queue_status(store)
    metrics_of(status, deployment_name).push_if_configured()
    return status


def told_queue(store: ObjectStore, deployment_name: str) -> tuple[QueueStatus, str]:
    """The same where the work is done already: a Pushgateway that is out of reach gives a warning, not an error.

    An error would make a job run again, and hand out another batch.
    """
    status = queue_status(store)
    try:
        metrics_of(status, deployment_name).push_if_configured()
    except StorageError as error:
        return status, str(error)
    return status, ""
