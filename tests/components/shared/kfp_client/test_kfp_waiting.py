"""Waiting ends at every terminal state and at the deadline, never before and never later."""

from __future__ import annotations

import pytest

from belisha.components.shared.errors import EXIT_FAILED, EXIT_RETRY
from belisha.components.shared.kfp_client import KfpError, Run, RunEndedBadlyError, RunState, wait_for_run


class Server:
    """Answers one state after another, the last for ever; the clock moves with every pause."""

    def __init__(self, *answers: RunState | KfpError) -> None:
        self._answers = list(answers)
        self.now = 0.0

    def run(self, run_id: str) -> Run:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, KfpError):
            raise answer
        return Run(run_id, "name", answer, "", error="it broke" if answer is RunState.FAILED else "")

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.001)


def wait(server: Server, timeout_seconds: float = 100.0) -> Run:
    return wait_for_run(
        server, "r", timeout_seconds=timeout_seconds, sleep=server.sleep, monotonic=lambda: server.now, poll_seconds=10
    )


def test_it_waits_until_the_run_has_succeeded() -> None:
    server = Server(RunState.PENDING, RunState.UNSPECIFIED, RunState.RUNNING, RunState.PAUSED, RunState.SUCCEEDED)
    assert wait(server).state is RunState.SUCCEEDED
    assert server.now == 40


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.SKIPPED, RunState.CANCELED])
def test_every_other_end_is_an_error(state: RunState) -> None:
    with pytest.raises(RunEndedBadlyError, match=f"ended {state.value}") as ended:
        wait(Server(RunState.RUNNING, RunState.CANCELING, state))
    assert ended.value.exit_code == EXIT_FAILED
    assert ended.value.run.state is state


def test_the_deadline_ends_waiting_not_the_run() -> None:
    with pytest.raises(RunEndedBadlyError, match="RUNNING after 100 seconds") as ended:
        wait(Server(RunState.RUNNING))
    assert ended.value.exit_code == EXIT_RETRY


def test_an_end_at_the_deadline_is_still_seen() -> None:
    assert wait(Server(RunState.RUNNING, RunState.SUCCEEDED), timeout_seconds=1).state is RunState.SUCCEEDED


def test_a_server_that_is_away_for_a_while_is_waited_for() -> None:
    away = KfpError("away", status=503)
    assert wait(Server(away, KfpError("no answer"), RunState.SUCCEEDED)).state is RunState.SUCCEEDED
    with pytest.raises(KfpError, match="away"):
        wait(Server(away))


def test_a_refusal_is_not_waited_out() -> None:
    server = Server(KfpError("not there", status=404))
    with pytest.raises(KfpError, match="not there"):
        wait(server)
    assert server.now == 0


def test_the_states_are_kfps_own() -> None:
    import kfp_server_api

    assert {state.value for state in RunState} == set(kfp_server_api.V2beta1RuntimeState.allowable_values)
