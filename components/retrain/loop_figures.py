"""What the ledger says of retraining, as the loop's metrics and as a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from belisha.components.retrain.cause import CauseKind
from belisha.components.retrain.policy import BUDGET_WINDOW
from belisha.components.retrain.run_records import RetrainRun, Stage, retrain_runs
from belisha.components.retrain.settings import RetrainSettings
from belisha.components.shared.ledger import Record
from belisha.components.shared.loop_metrics import Job, LoopMetrics


@dataclass(frozen=True, slots=True)
class RetrainStatus:
    """Where retraining stands.

    Attributes:
        runs: every cause, oldest first.
        running: causes whose run has not ended.
        waiting: causes that wait for their turn or for people.
        runs_today: that were started in the last 24 hours.
        budget_runs: that may be started in 24 hours.
    """

    runs: tuple[RetrainRun, ...]
    running: tuple[RetrainRun, ...]
    waiting: tuple[RetrainRun, ...]
    runs_today: int
    budget_runs: int

    @property
    def sentence(self) -> str:
        """For people."""
        parts = [
            f"{len(self.running)} running",
            f"{len(self.waiting)} waiting",
            f"{self.runs_today} of {self.budget_runs} today",
        ]
        last = f"; last: {self.runs[-1].sentence}" if self.runs else ""
        return f"retraining: {', '.join(parts)}{last}"

    def to_json(self) -> dict[str, Any]:
        """JSON values for programs."""
        return {
            "runs_today": self.runs_today,
            "budget_runs": self.budget_runs,
            "running": [run.cause.cause_id for run in self.running],
            "waiting": [run.cause.cause_id for run in self.waiting],
            "runs": [run_to_json(run) for run in self.runs],
        }


def status_of(records: Sequence[Record], settings: RetrainSettings, now: datetime) -> RetrainStatus:
    """Where retraining stands at a moment; raises ContractError on a damaged ledger."""
    runs = tuple(retrain_runs(records).values())
    started = [run for run in runs if run.claimed_at is not None and abs(now - run.claimed_at) < BUDGET_WINDOW]
    return RetrainStatus(
        runs=runs,
        running=tuple(run for run in runs if run.stage.is_running),
        waiting=tuple(run for run in runs if run.stage.is_waiting),
        runs_today=len(started),
        budget_runs=settings.budget_runs,
    )


def metrics_of(status: RetrainStatus, deployment_name: str) -> LoopMetrics:
    """The loop's metrics of retraining; 0 stands for never."""
    metrics = LoopMetrics(Job.RETRAIN, deployment_name)
    for kind in CauseKind:
        started = [run.claimed_at for run in status.runs if run.claimed_at and run.cause.kind is kind]
        metrics.set("retrain_last_start_timestamp_seconds", _latest(started), cause=kind.value)
    for name, stage in (("success", Stage.SUCCEEDED), ("failure", Stage.FAILED)):
        metrics.set(
            f"retrain_last_{name}_timestamp_seconds", _latest([run.at for run in status.runs if run.stage is stage])
        )
    metrics.set("retrain_running", float(bool(status.running)))
    metrics.set("retrain_runs_today", status.runs_today)
    metrics.set("retrain_budget_runs", status.budget_runs)
    return metrics


def run_to_json(run: RetrainRun) -> dict[str, Any]:
    """One cause as JSON values."""
    return {
        "cause": run.cause.cause_id,
        "kind": run.cause.kind.value,
        "why": run.cause.sentence,
        "stage": run.stage.value,
        "sentence": run.sentence,
        "at": run.at.isoformat(),
        "run": run.cause.run_name,
        "attempt": run.attempt,
        "trigger": run.trigger,
        "url": run.url,
        "record": run.number,
    }


def _latest(moments: Sequence[datetime]) -> float:
    return max((moment.timestamp() for moment in moments), default=0.0)
