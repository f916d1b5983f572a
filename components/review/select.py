"""Hand out pictures: one batch a request, and no picture twice, however many ask at a time.

A batch is one create-only record of all its pictures, so it is there whole or not at all, and two selections that race for its
number are told apart by the store: the loser reads what the winner handed out and chooses anew.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from belisha.components.review.candidates import read_candidates
from belisha.components.review.choose import ChoiceSettings, choose, window_of
from belisha.components.review.looking import looker
from belisha.components.review.status import told_queue
from belisha.components.shared.drift_alert import DriftAlert, drift_alerts
from belisha.components.shared.errors import InputError
from belisha.components.shared.files import canonical_json, sha256_hex
from belisha.components.shared.ledger import Action, Clock, Draft, Ledger, LedgerState, Record, system_clock
from belisha.components.shared.numbered_records import Value
from belisha.components.shared.progress import ProgressSink
from belisha.components.shared.registry import REGISTRY_FOLDER
from belisha.components.shared.review_queue import (
    Batch,
    batch_json,
    batch_records,
    parse_batch,
    read_imports,
    waiting_items,
)
from belisha.components.shared.storage import join_uri, open_store

DEFAULT_WINDOW = timedelta(hours=24)
_LEFT_OUT = {
    "near_duplicate": "nearly the same as one that was chosen",
    "camera_rate": "too soon after another of the same camera",
    "unreadable": "gone or unreadable",
}


@dataclass(frozen=True, slots=True)
class SelectSettings:
    """What to hand out.

    Attributes:
        key: names the request: a second one of the same key gets the first one's batch. Empty makes one of all settings and the
            window, so that the same selection twice is one.
        cause: why, for people.
        begin: of the window; None for 24 hours before its end.
        end: of the window, exclusive; None for now.
        choice: how to choose.
        deployment_name: whose drift alerts count.
        max_waiting: hand out no more than brings the queue to so many pictures; 0 for no such bound.
    """

    key: str = ""
    cause: str = ""
    begin: datetime | None = None
    end: datetime | None = None
    choice: ChoiceSettings = field(default_factory=ChoiceSettings)
    deployment_name: str = "belisha"
    max_waiting: int = 0


@dataclass(frozen=True, slots=True)
class Selected:
    """What a selection did.

    Attributes:
        batch: that answers the request; None when there was nothing to hand out.
        new: whether this call made it.
        candidates: pictures in the window.
        waiting: pictures that nobody has looked at, this batch's among them.
        sentence: for people.
        warning: what else went wrong without harm, in a sentence; empty for nothing.
    """

    batch: Batch | None
    new: bool
    candidates: int
    waiting: int
    sentence: str
    warning: str = ""

    def to_json(self) -> dict[str, Any]:
        """What `belisha review select --json` prints."""
        batch = self.batch
        return {
            "batch": batch.number if batch else None,
            "key": batch.key if batch else "",
            "new": self.new,
            "pictures": len(batch.items) if batch else 0,
            "by_pick": counts_by_pick(batch) if batch else {},
            "left_out": batch.left_out if batch else {},
            "candidates": self.candidates,
            "waiting": self.waiting,
            "sentence": self.sentence,
            "warning": self.warning,
        }


def select(
    storage_uri: str, log_uri: str, settings: SelectSettings, progress: ProgressSink, clock: Clock = system_clock
) -> Selected:
    """Choose pictures of a window of the request log and hand them out as a batch.

    Args:
        storage_uri: where `review/` and the ledger live.
        log_uri: where the request log lives; empty for the same.
        settings: what to hand out.
        progress: told while pictures are looked at.
        clock: tells now.

    Raises:
        InputError: the window is empty or upside down.
        ContractError: a record or shard is damaged.
        StorageError: a store failed.
    """
    store, ledger = open_store(storage_uri), Ledger(open_store(join_uri(storage_uri, REGISTRY_FOLDER)), clock=clock)
    alert = latest_alert(ledger, settings.deployment_name)
    begin, end = _window(settings, alert, clock())
    key = settings.key or _key_of(settings, begin, end)
    log = open_store(log_uri) if log_uri else store
    imports, read = read_imports(store), functools.cache(lambda: read_candidates(store, log, begin, end))

    def decide(values: Sequence[Value]) -> Value | None:
        batches = [parse_batch(value) for value in values]
        choice = _bounded(settings, len(waiting_items(batches, imports)))
        if choice is None or any(batch.key == key for batch in batches):
            return None
        handed_out = frozenset(item.picture_id for batch in batches for item in batch.items)
        chosen = choose(read(), handed_out, alert.strata if alert else (), choice, key, looker(progress))
        batch = Batch(
            0, key, settings.cause, clock(), begin, end, chosen.items, chosen.drawn_before, chosen.left_out
        )  # fmt: skip
        return batch_json(batch) if chosen.items else None

    records = batch_records(store)
    new = records.append(decide) is not None
    batches = [parse_batch(value) for value in records.read_all()]
    batch = next((one for one in batches if one.key == key), None)
    if batch is not None:
        _record(ledger, batch)
    queue, warning = told_queue(store, settings.deployment_name)
    candidates = len(read()) if read.cache_info().currsize else 0
    sentence = _sentence(batch, new, candidates, settings, queue.waiting)
    return Selected(batch, new, candidates, queue.waiting, sentence, warning)


def _bounded(settings: SelectSettings, waiting: int) -> ChoiceSettings | None:
    """How to choose so that the queue stays within its bound; None when it is full."""
    room = settings.max_waiting - waiting
    if not settings.max_waiting or room >= settings.choice.pictures:
        return settings.choice
    return replace(settings.choice, pictures=room) if room > 0 else None


def latest_alert(ledger: Ledger, deployment_name: str) -> DriftAlert | None:
    """The last confirmed drift of a deployment; raises ContractError."""
    found = [alert for _, alert in drift_alerts(ledger.records(), deployment_name)]
    return found[-1] if found else None


def counts_by_pick(batch: Batch) -> dict[str, int]:
    """How many pictures of a batch each reason gave."""
    picks = [item.pick.value for item in batch.items]
    return {pick: picks.count(pick) for pick in sorted(set(picks))}


def _window(settings: SelectSettings, alert: DriftAlert | None, now: datetime) -> tuple[datetime, datetime]:
    """The window asked for; a request that names no window looks at the drifted pictures too."""
    end = settings.end or now
    begin = settings.begin or end - DEFAULT_WINDOW
    if end <= begin:
        raise InputError(f"the window from {begin:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} holds no time: turn it round")
    if alert is None or settings.begin or settings.end or alert.end < begin:
        return begin, end
    return window_of(alert.strata, begin, end)


def _key_of(settings: SelectSettings, begin: datetime, end: datetime) -> str:
    choice = settings.choice
    identity = [
        settings.cause, settings.deployment_name, begin.isoformat(), end.isoformat(), choice.pictures,
        choice.seconds_between, choice.pool_factor, {pick.value: share for pick, share in choice.shares.items()},
    ]  # fmt: skip
    return f"window-{sha256_hex(canonical_json(identity))[:16]}"


def _record(ledger: Ledger, batch: Batch) -> None:
    """Tell the ledger of a batch, once; a selection that was killed before it could is told of by the next of its key."""
    digest = sha256_hex(canonical_json(batch_json(batch)))
    counts = counts_by_pick(batch)
    details = {
        "kind": "requested",
        "batch": batch.number,
        "key": batch.key,
        "pictures": len(batch.items),
        "by_pick": counts,
    }
    shown = ", ".join(f"{count} {pick}" for pick, count in counts.items())
    reason = f"{len(batch.items)} pictures wait for people ({shown})" + (f": {batch.cause}" if batch.cause else "")

    def decide(records: list[Record], state: LedgerState) -> Draft | None:
        told = any(
            record.draft.action is Action.REVIEW and record.draft.details.get("batch") == batch.number
            for record in records
        )
        return (
            None if told else Draft(Action.REVIEW, f"review batch {batch.number}", reason, state, digest, "", details)
        )

    ledger.append(decide)


def _sentence(batch: Batch | None, new: bool, candidates: int, settings: SelectSettings, waiting: int) -> str:
    if batch is None and _bounded(settings, waiting) is None:
        return (
            f"nothing was handed out: {waiting} pictures wait and at most {settings.max_waiting} may: "
            "review some first, or raise --max-waiting"
        )
    if batch is None:
        return (
            f"nothing was handed out: none of {candidates} kept pictures of the window is new and readable; "
            "serving keeps them as requests come, or give an earlier --since"
        )
    shown = ", ".join(f"{count} {pick}" for pick, count in counts_by_pick(batch).items())
    if not new:
        return f"batch {batch.number} answered this request already: {len(batch.items)} pictures ({shown})"
    left_out = ", ".join(f"{count} {_LEFT_OUT[why]}" for why, count in batch.left_out.items())
    passed = f"; passed over: {left_out}" if left_out else ""
    return f"batch {batch.number} hands out {len(batch.items)} of {candidates} kept pictures: {shown}{passed}"
