"""Waiting for a run's end: all terminal states, a deadline, and patience with a server that is away for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from belisha.components.shared.errors import EXIT_FAILED, EXIT_RETRY, BelishaError
from belisha.components.shared.kfp_client.errors import KfpError
from belisha.components.shared.kfp_client.resources import Run, RunState


class RunEndedBadlyError(BelishaError):
    """The run ended, and not well; or it did not end in time, which is worth another wait."""

    def __init__(self, sentence: str, run: Run, exit_code: int = EXIT_FAILED) -> None:
        super().__init__(sentence)
        self.run = run
        self.exit_code = exit_code


class RunReader(Protocol):
    """What waiting needs of the client."""

    def run(self, run_id: str) -> Run:
        """The run; raises KfpError."""
        ...


def wait_for_run(
    client: RunReader,
    run_id: str,
    *,
    timeout_seconds: float,
    poll_seconds: float = 10.0,
    seen: Callable[[Run], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> Run:
    """Wait until the run has succeeded.

    Args:
        client: asked for the run.
        run_id: of the run.
        timeout_seconds: after which waiting ends; the run goes on.
        poll_seconds: between two looks.
        seen: told of every look.
        sleep: pauses.
        monotonic: the clock of the deadline, which no change of the wall clock moves.

    Raises:
        RunEndedBadlyError: it failed, was cancelled or skipped, or did not end in time.
        KfpError: the server refused, or was away until the deadline.
    """
    deadline = monotonic() + timeout_seconds
    while True:
        late = monotonic() >= deadline
        run = _looked(client, run_id, late=late)
        if run is not None:
            seen(run)
            if run.state is RunState.SUCCEEDED:
                return run
            if run.state.is_terminal:
                raise RunEndedBadlyError(_sentence(run), run)
            if late:
                raise RunEndedBadlyError(
                    f"run {run.name or run_id} is {run.state.value} after {timeout_seconds:g} seconds: wait again, it goes on",
                    run,
                    EXIT_RETRY,
                )
        sleep(min(poll_seconds, max(0.0, deadline - monotonic())))


def _looked(client: RunReader, run_id: str, *, late: bool) -> Run | None:
    """The run, or None for a passing fault before the deadline."""
    try:
        return client.run(run_id)
    except KfpError as error:
        if late or not error.passing:
            raise
        return None


def _sentence(run: Run) -> str:
    why = f" ({run.error[:300]})" if run.error else ""
    return f"run {run.name or run.run_id} ended {run.state.value}{why}: open it in the KFP UI and read the failed step's log"
