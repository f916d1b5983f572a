"""What the ledger says of every cause: one record a step, the last one counts.

    asked ──▶ deferred ──▶ claimed ──▶ submitted ──▶ succeeded | failed
      └──────────┴────────────┴──▶ declined

A record's subject is the cause, its run id the run's name, and `details` hold the rest. The claim is the lock: whoever wrote it
may start the run, and nobody else until it is old.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from belisha.components.retrain.cause import Cause, CauseKind
from belisha.components.shared.errors import ContractError
from belisha.components.shared.ledger import Action, Draft, LedgerState, Record

RUN_SCHEMA = "belisha.retrain/1"


class Stage(enum.StrEnum):
    """How far a cause is."""

    ASKED = "asked"
    DEFERRED = "deferred"
    CLAIMED = "claimed"
    SUBMITTED = "submitted"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DECLINED = "declined"

    @property
    def is_end(self) -> bool:
        """Whether nothing more happens to the cause."""
        return self in (Stage.SUCCEEDED, Stage.FAILED, Stage.DECLINED)

    @property
    def is_waiting(self) -> bool:
        """Whether it waits for its turn."""
        return self in (Stage.ASKED, Stage.DEFERRED)

    @property
    def is_running(self) -> bool:
        """Whether a run may be going on."""
        return self in (Stage.CLAIMED, Stage.SUBMITTED)


@dataclass(frozen=True, slots=True)
class RetrainRun:
    """A cause and what became of it.

    Attributes:
        cause: why.
        stage: how far.
        sentence: the last record's.
        at: the policy's time of the last record, UTC: of the trigger's clock where it has one, which all checks share.
        first_at: of the first one.
        number: of the last record.
        attempt: how often its run was claimed; 0 before.
        trigger: that was to start it; empty before a claim.
        external_id: the run's name at the trigger; empty before it was submitted.
        url: where people see it, empty when there is no such place.
        claimed_at: time of its first claim; None before, and after a claim that was given back.
        parameters: of the run, as claimed.
    """

    cause: Cause
    stage: Stage
    sentence: str
    at: datetime
    first_at: datetime
    number: int
    attempt: int = 0
    trigger: str = ""
    external_id: str = ""
    url: str = ""
    claimed_at: datetime | None = None
    parameters: dict[str, Any] = field(default_factory=dict)


def draft_of(
    cause: Cause,
    stage: Stage,
    sentence: str,
    state: LedgerState,
    *,
    now: datetime,
    attempt: int = 0,
    trigger: str = "",
    external_id: str = "",
    url: str = "",
    parameters: dict[str, Any] | None = None,
) -> Draft:
    """The record of one step, which leaves who serves as it is; `now` is the policy's time, not the writer's."""
    details: dict[str, Any] = {
        "schema": RUN_SCHEMA,
        "stage": stage.value,
        "time": now.isoformat(),
        "kind": cause.kind.value,
        "cause": cause.sentence,
        "reference_digest": cause.reference_digest,
        "model_version": cause.model_version,
        "repeated": cause.repeated,
        "attempt": attempt,
        "trigger": trigger,
        "external_id": external_id,
        "url": url,
        "parameters": parameters or {},
    }
    return Draft(Action.RETRAIN, cause.cause_id, sentence, state, run_id=cause.run_name, details=details)


def retrain_runs(records: Iterable[Record]) -> dict[str, RetrainRun]:
    """Every cause by its name, in the order in which they came; raises ContractError on a record of another kind."""
    found: dict[str, RetrainRun] = {}
    for record in records:
        if record.draft.action is Action.RETRAIN:
            found[record.draft.subject] = _after(found.get(record.draft.subject), record)
    return found


def _after(before: RetrainRun | None, record: Record) -> RetrainRun:
    details = record.draft.details
    try:
        if details["schema"] != RUN_SCHEMA:
            raise ContractError(
                f"retraining record {record.number} of the ledger is of a newer version: use a newer belisha"
            )
        stage = Stage(details["stage"])
        cause = Cause(
            cause_id=record.draft.subject,
            kind=CauseKind(details["kind"]),
            sentence=str(details["cause"]),
            reference_digest=str(details["reference_digest"]),
            model_version=str(details["model_version"]),
            repeated=int(details["repeated"]),
        )
        at = datetime.fromisoformat(details["time"])
        attempt, parameters = int(details["attempt"]), dict(details["parameters"])
        texts = {name: str(details[name]) for name in ("trigger", "external_id", "url")}
    except (KeyError, TypeError, ValueError) as error:
        raise ContractError(
            f"retraining record {record.number} of the ledger is not understood ({error}): restore it from a backup"
        ) from None
    claimed_at = before.claimed_at if before and not stage.is_waiting else None
    if before is not None:
        texts = {name: text or getattr(before, name) for name, text in texts.items()}
        parameters = parameters or before.parameters
    return RetrainRun(
        cause=cause,
        stage=stage,
        sentence=record.draft.reason,
        at=at,
        first_at=before.first_at if before else at,
        number=record.number,
        attempt=max(attempt, before.attempt if before else 0),
        claimed_at=claimed_at or (at if stage is Stage.CLAIMED else None),
        parameters=parameters,
        **texts,
    )
