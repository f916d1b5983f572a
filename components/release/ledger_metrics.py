"""What the ledger says, as metrics: who has which role, what was asked for, what was done last, and how long the loop takes.

Serving and the loop's jobs know versions but not roles, for a role moves while both go on counting. Dashboards and alerts join
these series with theirs on `deployment_name` and `model_version`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooSlowError
from dataclasses import dataclass, field
from datetime import datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from belisha.components.shared.ledger import Action, LedgerState, Record
from belisha.components.shared.verdict import Verdict

READ_AGAIN_SECONDS = 5.0
_MOST_READ_SECONDS = 5.0

_log = logging.getLogger(__name__)
_Values = Iterable[tuple[tuple[str, ...], float]]


@dataclass(frozen=True, slots=True)
class LedgerFigures:
    """The ledger in numbers.

    Attributes:
        roles: role of each version that has one.
        traffic_ratio: share of requests that the ledger asks for, by version, 0..1.
        records: how many, by action.
        last: the newest record of each action: its subject and time.
        candidates: registered versions by the verdict they came with.
        drift_to_champion_seconds: from the first drift alert to the promotion that followed, the last time; None for never.
        drift_since: since when an alert waits for a new champion; None when none does.
    """

    roles: Mapping[str, str] = field(default_factory=dict)
    traffic_ratio: Mapping[str, float] = field(default_factory=dict)
    records: Mapping[str, int] = field(default_factory=dict)
    last: Mapping[str, tuple[str, datetime]] = field(default_factory=dict)
    candidates: Mapping[str, int] = field(default_factory=dict)
    drift_to_champion_seconds: float | None = None
    drift_since: datetime | None = None


def ledger_figures(records: Sequence[Record]) -> LedgerFigures:
    """The ledger in numbers, from all its records, oldest first: pure."""
    state = records[-1].state if records else LedgerState()
    seconds, since = _drift_to_champion(records)
    registered = [record for record in records if record.draft.action is Action.REGISTER]
    return LedgerFigures(
        roles=_roles(state),
        traffic_ratio=_traffic(state),
        records=Counter(record.draft.action.value for record in records),
        last={record.draft.action.value: (record.draft.subject, record.at) for record in records},
        candidates=Counter(str(record.draft.details.get("verdict")) for record in registered),
        drift_to_champion_seconds=seconds,
        drift_since=since,
    )


def _roles(state: LedgerState) -> dict[str, str]:
    named = {state.challenger: "challenger", state.champion: "champion"}
    return {version: role for version, role in named.items() if version is not None}


def _traffic(state: LedgerState) -> dict[str, float]:
    ratio = state.challenger_traffic_ratio if state.challenger is not None else 0.0
    return {version: ratio if role == "challenger" else 1.0 - ratio for version, role in _roles(state).items()}


def _drift_to_champion(records: Sequence[Record]) -> tuple[float | None, datetime | None]:
    """Seconds from alert to promotion the last time, and since when the present alert waits."""
    seconds: float | None = None
    since: datetime | None = None
    for record in records:
        if record.draft.action is Action.DRIFT:
            since = since or record.at
        elif _promotes(record) and since is not None:
            seconds, since = (record.at - since).total_seconds(), None
    return seconds, since


def _promotes(record: Record) -> bool:
    """Whether it made its subject champion: by hand, at a release, or by the experiment's judge."""
    action, subject = record.draft.action, record.draft.subject
    return action is Action.PROMOTE or (action is Action.EXPERIMENT and record.state.champion == subject)


class LedgerMetrics:
    """Serves the ledger's figures; reads it at most every few seconds, and waits for it no longer than a scrape may take.

    While the ledger cannot be read, what was read before still holds and `belisha_ledger_readable` is 0.

    Args:
        read: gives all records; any error counts as unreadable.
        deployment_name: value of that label.
        read_again_seconds: how old what was read may be.
        most_seconds: that one reading may take before a scrape goes on without it.
    """

    def __init__(
        self,
        read: Callable[[], Sequence[Record]],
        deployment_name: str = "belisha",
        *,
        read_again_seconds: float = READ_AGAIN_SECONDS,
        most_seconds: float = _MOST_READ_SECONDS,
    ) -> None:
        self._read, self._deployment_name = read, deployment_name
        self._read_again_seconds, self._most_seconds = read_again_seconds, most_seconds
        self._figures: LedgerFigures | None = None
        self._read_at, self._readable, self._failures = float("-inf"), False, 0
        self._reading: Future[Sequence[Record]] | None = None
        self._lock = threading.Lock()
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="read ledger")
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def exposition(self) -> bytes:
        """The metrics as Prometheus' text."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """The metrics of this moment, for the registry."""
        with self._lock:
            if time.monotonic() - self._read_at >= self._read_again_seconds:
                self._refresh()
            yield self._gauge("readable", "1 when the last reading of the ledger went well.", [((), self._readable)])
            yield self._counter("read_failures", "Readings of the ledger that failed.", [((), self._failures)])
            if self._figures is not None:
                yield from self._of_roles(self._figures)
                yield from self._of_records(self._figures)
                yield from self._of_drift(self._figures)

    def _refresh(self) -> None:
        # One that hangs is not asked twice: the next scrape waits for the same answer.
        self._reading = self._reading or self._reader.submit(self._read)
        try:
            records = self._reading.result(self._most_seconds)
        except TooSlowError:
            self._readable = False
            return
        except Exception as error:  # noqa: BLE001 - whatever a store raises, the next reading may go well
            _log.warning("the ledger could not be read: %s", error)
            self._readable, self._failures = False, self._failures + 1
        else:
            self._figures, self._readable = ledger_figures(records), True
        self._reading, self._read_at = None, time.monotonic()

    def _of_roles(self, figures: LedgerFigures) -> Iterable[Metric]:
        yield self._gauge(
            "role_info", "1 for the role that a model version has now.",
            [(pair, 1.0) for pair in figures.roles.items()], ("model_version", "role"),
        )  # fmt: skip
        yield self._gauge(
            "traffic_ratio", "Share of requests, 0 to 1, that the ledger asks for.",
            [((version,), ratio) for version, ratio in figures.traffic_ratio.items()], ("model_version",),
        )  # fmt: skip

    def _of_records(self, figures: LedgerFigures) -> Iterable[Metric]:
        yield self._counter(
            "records", "Records of the ledger by what they did.",
            [((action.value,), figures.records.get(action.value, 0)) for action in Action], ("action",),
        )  # fmt: skip
        yield self._gauge(
            "last_record_timestamp_seconds", "When the newest record of an action was written, and what it is about.",
            [((action, subject), at.timestamp()) for action, (subject, at) in figures.last.items()], ("action", "subject"),
        )  # fmt: skip
        yield self._counter(
            "candidates", "Model versions that were registered, by the verdict they came with.",
            [((verdict.value,), figures.candidates.get(verdict.value, 0)) for verdict in Verdict], ("verdict",),
        )  # fmt: skip

    def _of_drift(self, figures: LedgerFigures) -> Iterable[Metric]:
        since = figures.drift_since.timestamp() if figures.drift_since else 0.0
        text = "Since when a drift alert waits for a new champion; 0 for none."
        yield self._gauge("drift_open_timestamp_seconds", text, [((), since)])
        if figures.drift_to_champion_seconds is not None:
            text = "Seconds from the first drift alert to the new champion, the last time."
            yield self._gauge("drift_to_champion_seconds", text, [((), figures.drift_to_champion_seconds)])

    def _gauge(self, name: str, text: str, values: _Values, labels: tuple[str, ...] = ()) -> Metric:
        metric = GaugeMetricFamily(f"belisha_ledger_{name}", text, labels=("deployment_name", *labels))
        for found, value in values:
            metric.add_metric((self._deployment_name, *found), float(value))
        return metric

    def _counter(self, name: str, text: str, values: _Values, labels: tuple[str, ...] = ()) -> Metric:
        metric = CounterMetricFamily(f"belisha_ledger_{name}", text, labels=("deployment_name", *labels))
        for found, value in values:
            metric.add_metric((self._deployment_name, *found), float(value))
        return metric
