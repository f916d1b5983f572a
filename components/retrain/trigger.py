"""What starts a run: the one thing that differs between a laptop and a cluster."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from belisha.components.shared.errors import EXIT_RETRY, BelishaError


class RunStatus(enum.StrEnum):
    """Where a started run stands."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    # It was killed half-way and nobody works on it; starting it again goes on with it.
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class RunRequest:
    """The run that is wanted.

    Attributes:
        name: deterministic; a second start of that name must not give a second run.
        reason: the cause, for people.
        parameters: of the training pipeline, `run_id` among them.
    """

    name: str
    reason: str
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StartedRun:
    """A run that exists.

    Attributes:
        external_id: what the trigger calls it.
        status: where it stands.
        sentence: how it ended; empty while it goes on.
        url: where people see it; empty when there is no such place.
    """

    external_id: str
    status: RunStatus
    sentence: str = ""
    url: str = ""


class NotStartedError(BelishaError):
    """It is certain that no run was started, so that the claim may be given back at once."""

    def __init__(self, sentence: str, exit_code: int = EXIT_RETRY) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


class Trigger(Protocol):
    """Starts runs and tells how they are.

    Attributes:
        kind: `local` or `kfp`, as the ledger records it.
        lease_seconds: how long a claim keeps others from starting the same run: longer than `find` and `start` can take.
    """

    kind: str
    lease_seconds: float

    def now(self) -> datetime | None:
        """The time of a clock that all checks share, UTC; None when the trigger has none. Raises BelishaError."""
        ...

    def find(self, name: str) -> StartedRun | None:
        """The run of that name; None when it was never started. Raises BelishaError when that cannot be told."""
        ...

    def start(self, request: RunRequest) -> StartedRun:
        """Start the run, or go on with it. Raises NotStartedError, or another BelishaError when it may have been started."""
        ...

    def look(self, external_id: str) -> StartedRun | None:
        """How a started run is; None when it is gone. Raises BelishaError when that cannot be told."""
        ...
