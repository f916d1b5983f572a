"""One check of the retraining policy in a process of its own, to be raced and killed; see bench_retrain.py."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

# Loaded by the fork server once, so that a worker begins within milliseconds.
from belisha.components.retrain.cause import Cause, CauseKind
from belisha.components.retrain.kfp_trigger import KfpTrigger
from belisha.components.retrain.retrainer import Retrainer
from belisha.components.retrain.settings import RetrainSettings
from belisha.components.shared.errors import BelishaError
from belisha.components.shared.kfp_client import KfpClient, KfpTransport
from belisha.components.shared.kfp_client.transport import Patience
from belisha.components.shared.ledger import Ledger
from belisha.components.shared.storage import open_store

# Nothing but the records and the run's name may keep a cause to one run.
SETTINGS = RetrainSettings(budget_runs=1000, cooldown_hours=0.0)
PATIENCE = Patience(connect_seconds=2, read_seconds=2, answer_seconds=4, attempts=3, backoff_seconds=0.01)


@dataclass(frozen=True, slots=True)
class Check:
    """What a worker is to do.

    Attributes:
        ledger_uri: a store on disk.
        endpoint: of the KFP API.
        cause_id: that it notices.
        clock_hours: by which its clock is wrong.
        go_at: monotonic time at which it begins, the same for all that race.
    """

    ledger_uri: str
    endpoint: str
    cause_id: str
    clock_hours: float = 0.0
    go_at: float = 0.0

    @property
    def cause(self) -> Cause:
        """As the policy takes it."""
        return Cause(self.cause_id, CauseKind.MANUAL, "a race")

    def clock(self) -> Callable[[], datetime]:
        """A clock that is wrong by as many hours."""
        return lambda: datetime.now(UTC) + timedelta(hours=self.clock_hours)


def work(check: Check) -> None:
    """Deal with the cause as a check does: settle, act, take up what waits. A fault that passes ends it, as it ends a job."""
    client = KfpClient(KfpTransport(check.endpoint, patience=PATIENCE))
    ledger = Ledger(open_store(check.ledger_uri), clock=check.clock(), actor=f"check-{os.getpid()}")
    retrainer = Retrainer(ledger, KfpTrigger(client), SETTINGS, clock=check.clock())
    time.sleep(max(0.0, check.go_at - time.monotonic()))
    try:
        retrainer.settle()
        retrainer.act(check.cause, {"storage_uri": check.ledger_uri})
        retrainer.take_up({"storage_uri": check.ledger_uri})
    except BelishaError:
        os._exit(75)
    os._exit(0)


def prepare(ledger_uri: str) -> None:
    """Give the ledger a champion: without one nothing is retrained."""
    from belisha.components.shared.ledger import Action, Draft, LedgerState

    Ledger(open_store(ledger_uri)).append(lambda *_: Draft(Action.PROMOTE, "v1", "first", LedgerState("v1")))
    os._exit(0)


def read_back(ledger_uri: str, cause_id: str, out: str) -> None:
    """Write the stage that the ledger has of the cause, and its number of attempts, to a file."""
    from pathlib import Path

    from belisha.components.retrain.run_records import retrain_runs

    run = retrain_runs(Ledger(open_store(ledger_uri)).records()).get(cause_id)
    Path(out).write_text(f"{run.stage.value} {run.attempt}" if run else "lost 0")
    os._exit(0)
