"""Hand out pictures: one batch a request, and no picture twice, however many ask at a time.

A batch is one create-only record of all its pictures, so it is there whole or not at all, and two selections that race for its
number are told apart by the store: the loser reads what the winner handed out and chooses anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from belisha.components.review.candidates import Candidate, read_candidates
from belisha.components.review.choose import ChoiceSettings, choose, window_of
from belisha.components.review.looking import looker
from belisha.components.review.status import push_metrics
from belisha.components.shared.drift_alert import DriftAlert, DriftedStratum, drift_alerts
from belisha.components.shared.errors import InputError
from belisha.components.shared.files import canonical_json, sha256_hex
from belisha.components.shared.ledger import Action, Clock, Draft, Ledger, LedgerState, Record, system_clock
from belisha.components.shared.numbered_records import Value
from belisha.components.shared.progress import ProgressSink
from belisha.components.shared.registry import REGISTRY_FOLDER
from belisha.components.shared.review_queue import Batch, batch_json, batch_records, parse_batch
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
    """

    key: str = ""
    cause: str = ""
    begin: datetime | None = None
    end: datetime | None = None
    choice: ChoiceSettings = field(default_factory=ChoiceSettings)
    deployment_name: str = "belisha"


@dataclass(frozen=True, slots=True)
class Selected:
    """What a selection did.

    Attributes:
        batch: that answers the request; None when there was nothing to hand out.
        new: whether this call made it.
        candidates: pictures in the window.
        waiting: pictures that nobody has looked at, this batch's among them.
        sentence: for people.
    """

    batch: Batch | None
    new: bool
    candidates: int
    waiting: int
    sentence: str

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
    key, strata = settings.key or _key_of(settings, begin, end), alert.strata if alert else ()
    log = open_store(log_uri) if log_uri else store
    candidates: list[Candidate] | None = None

    def decide(values: list[Value]) -> Value | None:
        nonlocal candidates
        batches = [parse_batch(value) for value in values]
        if any(batch.key == key for batch in batches):
            return None
        if candidates is None:
            candidates = read_candidates(store, log, begin, end)
        return _proposal(batches, candidates, strata, settings, key, (begin, end, clock()), progress)

    records = batch_records(store)
    written = records.append(lambda values: decide(list(values)))
    batches = [parse_batch(value) for value in records.read_all()]
    batch = next((one for one in batches if one.key == key), None)
    if batch is not None:
        _record(ledger, batch)
    queue = push_metrics(store, settings.deployment_name)
    new = written is not None
    return Selected(batch, new, len(candidates or ()), queue.waiting, _sentence(batch, new, len(candidates or ())))


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


def _proposal(
    batches: list[Batch],
    candidates: list[Candidate],
    strata: tuple[DriftedStratum, ...],
    settings: SelectSettings,
    key: str,
    times: tuple[datetime, datetime, datetime],
    progress: ProgressSink,
) -> Value | None:
    """The next batch, or None when there is nothing to hand out."""
    handed_out = frozenset(item.picture_id for batch in batches for item in batch.items)
    chosen = choose(candidates, handed_out, strata, settings.choice, key, looker(progress))
    if not chosen.items:
        return None
    begin, end, now = times
    return batch_json(
        Batch(0, key, settings.cause, now, begin, end, chosen.items, chosen.drawn_before, chosen.left_out)
    )


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


def _sentence(batch: Batch | None, new: bool, candidates: int) -> str:
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
