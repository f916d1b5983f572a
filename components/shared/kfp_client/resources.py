"""What the KFP API answers, as far as we use it, checked where it comes in."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from belisha.components.shared.kfp_client.errors import KfpError


class RunState(enum.StrEnum):
    """State of a run, in KFP's words; one that we do not know reads as UNSPECIFIED, which is not an end."""

    UNSPECIFIED = "RUNTIME_STATE_UNSPECIFIED"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    SKIPPED = "SKIPPED"
    FAILED = "FAILED"
    CANCELING = "CANCELING"
    CANCELED = "CANCELED"
    PAUSED = "PAUSED"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more will happen."""
        return self in _TERMINAL


_TERMINAL = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.SKIPPED, RunState.CANCELED})


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """What the server says of itself.

    Attributes:
        version: its release, empty when it does not tell.
        multi_user: whether it wants namespaces and tokens.
    """

    version: str
    multi_user: bool


@dataclass(frozen=True, slots=True)
class Experiment:
    """A group of runs."""

    experiment_id: str
    name: str


@dataclass(frozen=True, slots=True)
class PipelineVersion:
    """One uploaded version of a pipeline.

    Attributes:
        pipeline_id: of the pipeline.
        version_id: of the version.
        name: the version's.
        created_at: ISO 8601, as the server writes it.
    """

    pipeline_id: str
    version_id: str
    name: str
    created_at: str


@dataclass(frozen=True, slots=True)
class Run:
    """One run.

    Attributes:
        run_id: the server's id.
        name: what it was called; not unique.
        state: where it stands.
        created_at: ISO 8601, as the server writes it.
        finished_at: the same; empty or 1970 while it goes on.
        error: the server's words when it failed.
    """

    run_id: str
    name: str
    state: RunState
    created_at: str
    finished_at: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class RecurringRun:
    """A schedule.

    Attributes:
        recurring_run_id: the server's id.
        name: what it was called.
        cron: six fields.
        enabled: whether it starts runs.
        no_catchup: whether missed times stay missed.
    """

    recurring_run_id: str
    name: str
    cron: str
    enabled: bool
    no_catchup: bool


def parse_experiment(value: Mapping[str, Any]) -> Experiment:
    """Raises KfpError on what is no experiment."""
    return Experiment(text_of(value, "experiment_id"), text_of(value, "display_name", required=False))


def parse_version(value: Mapping[str, Any]) -> PipelineVersion:
    """Raises KfpError on what is no version."""
    name = text_of(value, "name", required=False) or text_of(value, "display_name", required=False)
    created_at = text_of(value, "created_at", required=False)
    return PipelineVersion(text_of(value, "pipeline_id"), text_of(value, "pipeline_version_id"), name, created_at)


def parse_run(value: Mapping[str, Any]) -> Run:
    """Raises KfpError on what is no run."""
    state = text_of(value, "state", required=False)
    error = value.get("error")
    return Run(
        run_id=text_of(value, "run_id"),
        name=text_of(value, "display_name", required=False),
        state=RunState(state) if state in set(RunState) else RunState.UNSPECIFIED,
        created_at=text_of(value, "created_at", required=False),
        finished_at=text_of(value, "finished_at", required=False),
        error=str(error.get("message", "")) if isinstance(error, Mapping) else "",
    )


def parse_recurring_run(value: Mapping[str, Any]) -> RecurringRun:
    """Raises KfpError on what is no recurring run."""
    trigger = value.get("trigger")
    schedule = trigger.get("cron_schedule") if isinstance(trigger, Mapping) else None
    return RecurringRun(
        recurring_run_id=text_of(value, "recurring_run_id"),
        name=text_of(value, "display_name", required=False),
        cron=text_of(schedule, "cron", required=False) if isinstance(schedule, Mapping) else "",
        enabled=value.get("status") == "ENABLED" or value.get("mode") == "ENABLE",
        no_catchup=value.get("no_catchup") is True,
    )


def text_of(value: Mapping[str, Any], key: str, *, required: bool = True) -> str:
    """A text of an answer; raises KfpError when it is missing or no text."""
    found = value.get(key)
    if isinstance(found, str) and (found or not required):
        return found
    if found is None and not required:
        return ""
    raise KfpError(
        f"KFP answered without a usable {key!r} (got {type(found).__name__}): is it version 2 of the API?", status=501
    )
