"""What the retraining tests share: a ledger in memory, a trigger that remembers, and alerts."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime, timedelta

from belisha.components.retrain.trigger import RunRequest, RunStatus, StartedRun
from belisha.components.shared.drift_alert import DriftAlert, DriftedFeature, DriftedStratum
from belisha.components.shared.errors import BelishaError
from belisha.components.shared.ledger import Action, Draft, Ledger, LedgerState
from belisha.components.shared.storage import open_store

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PARAMETERS = {"data_sources": ["pictures"], "storage_uri": "storage"}


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def go(self, **amount: float) -> None:
        self.now += timedelta(**amount)


class MemoryTrigger:
    """A trigger whose runs are a dictionary; `failures` are raised by the next starts, after they took effect or not."""

    def __init__(self, kind: str = "kfp", lease_seconds: float = 600.0) -> None:
        self.kind, self.lease_seconds = kind, lease_seconds
        self.runs: dict[str, RunStatus] = {}
        self.requests: list[RunRequest] = []
        self.failures: list[tuple[BelishaError, bool]] = []
        self.lock = threading.Lock()

    def now(self) -> None:
        return None

    def find(self, name: str) -> StartedRun | None:
        status = self.runs.get(name)
        return None if status is None else StartedRun(name, status, f"{name} {status}" if status != "running" else "")

    def look(self, external_id: str) -> StartedRun | None:
        return self.find(external_id)

    def start(self, request: RunRequest) -> StartedRun:
        with self.lock:
            if self.failures:
                error, applied = self.failures.pop(0)
                if applied:
                    self._begin(request)
                raise error
            self._begin(request)
        return StartedRun(request.name, RunStatus.RUNNING, url=f"http://kfp/{request.name}")

    def _begin(self, request: RunRequest) -> None:
        self.requests.append(request)
        self.runs[request.name] = RunStatus.RUNNING


def ledger_with(state: LedgerState | None = None, clock: Clock | None = None, uri: str = "") -> Ledger:
    """A ledger with a champion, unless another state is asked for."""
    ledger = Ledger(open_store(uri or f"memory://{uuid.uuid4().hex}"), clock=clock or Clock(), actor="test")
    set_state(ledger, state or LedgerState("v1"))
    return ledger


def set_state(ledger: Ledger, state: LedgerState) -> None:
    ledger.append(lambda *_: Draft(Action.PROMOTE, state.champion or "-", "because", state))


def alert(
    *,
    number: int = 1,
    repeated: int = 1,
    reference: str = "reference",
    version: str = "v1",
    pictures: int = 300,
    medians: dict[str, float] | None = None,
    cameras: tuple[str, ...] = ("gate",),
) -> DriftAlert:
    """A confirmed alert; each number ends at another hour, which makes it another cause."""
    end = NOW - timedelta(hours=100 - number)
    strata = tuple(DriftedStratum(camera, "night", end - timedelta(hours=2), end, pictures) for camera in cameras)
    features = tuple(
        DriftedFeature(stratum.name, name, 9.0, 3.0, 0.6, 0.5, value)
        for stratum in strata
        for name, value in (medians or {"brightness": 0.1, "entropy_bits": 5.0}).items()
    )
    return DriftAlert(
        deployment_name="belisha",
        model_version=version,
        reference_digest=reference,
        begin=end - timedelta(hours=2),
        end=end,
        cooldown_until=end + timedelta(hours=6),
        flagged_windows=2,
        windows=3,
        repeated=repeated,
        strata=strata,
        features=features,
        sentence="gate/night: brightness fell",
    )


def record_alert(ledger: Ledger, drifted: DriftAlert) -> DriftAlert:
    ledger.append(lambda _, state: drifted.draft(state, "d" * 64))
    return drifted
