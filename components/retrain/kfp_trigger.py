"""Runs on Kubeflow Pipelines: found by their name in one experiment, started from an uploaded version.

KFP has no create-only for runs: two requests of one name make two runs. The ledger's claim keeps that from happening; and
should a request that the network held back arrive after its claim was taken over, whoever looks next keeps the oldest run of
the name and stops the others. Everybody keeps the same one, so nobody has to agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from belisha.components.retrain.trigger import NotStartedError, RunRequest, RunStatus, StartedRun
from belisha.components.shared.errors import BelishaError
from belisha.components.shared.kfp_client import Experiment, KfpClient, KfpError, PipelineVersion, Run, RunState

Result = TypeVar("Result")

_STATUS = {
    RunState.SUCCEEDED: RunStatus.SUCCEEDED,
    RunState.FAILED: RunStatus.FAILED,
    RunState.CANCELED: RunStatus.FAILED,
    RunState.SKIPPED: RunStatus.FAILED,
}
_STOPPED = frozenset({RunState.CANCELED, RunState.CANCELING})


@dataclass(frozen=True, slots=True)
class KfpTarget:
    """Where runs go.

    Attributes:
        experiment: made when missing.
        pipeline: name of the uploaded pipeline; its newest version runs.
        pipeline_root: where artifacts go; empty for the server's default.
        service_account: of the run's pods; empty for the server's default.
    """

    experiment: str = "belisha"
    pipeline: str = "belisha-training"
    pipeline_root: str = ""
    service_account: str = ""


class KfpTrigger:
    """A `Trigger` over the KFP API."""

    kind = "kfp"
    # Half of it for finding; a start asks three things, each repeated for four minutes at most, before it creates the run: so
    # that whoever is alive creates within its lease.
    lease_seconds = 1800.0

    def __init__(self, client: KfpClient, target: KfpTarget | None = None) -> None:
        self._client = client
        self._target = target or KfpTarget()

    def now(self) -> datetime | None:
        """The server's time, the same for every check whatever its own clock says; raises NotStartedError."""
        return _surely(self._client.server_time)

    def find(self, name: str) -> StartedRun | None:
        """The run of that name, the oldest when there are several, whose others are stopped; raises KfpError."""
        experiment = _surely(lambda: self._client.find_experiment(self._target.experiment))
        if experiment is None:
            return None
        runs = _surely(lambda: list(self._client.runs(experiment_id=experiment.experiment_id, name=name)))
        return self._one_of(runs) if runs else None

    def start(self, request: RunRequest) -> StartedRun:
        """Start the run; raises NotStartedError, or KfpError when it may have been started."""
        experiment, version = self._prepared()
        try:
            run = self._client.submit(
                request.name,
                version,
                request.parameters,
                experiment_id=experiment.experiment_id,
                pipeline_root=self._target.pipeline_root,
                service_account=self._target.service_account,
            )
        except KfpError as error:
            if error.maybe_done:
                return self._after_lost_answer(request.name, error)
            raise NotStartedError(str(error), error.exit_code) from None
        # Somebody's request may have come in beside ours: the same look settles who stays.
        return self.find(request.name) or self._told(run)

    def look(self, external_id: str) -> StartedRun | None:
        """How a run is; None when KFP has it no more. Raises KfpError."""
        try:
            return self._told(self._client.run(external_id))
        except KfpError as error:
            if error.status == 404:
                return None
            raise

    def _prepared(self) -> tuple[Experiment, PipelineVersion]:
        """What a run needs; nothing was started when this fails."""
        return (
            _surely(lambda: self._client.experiment(self._target.experiment)),
            _surely(lambda: self._client.newest_version(self._target.pipeline)),
        )

    def _after_lost_answer(self, name: str, error: KfpError) -> StartedRun:
        """The run that was started although no answer came; the error when it is not there (yet)."""
        found = self.find(name)
        if found is None:
            raise error
        return found

    def _one_of(self, runs: Sequence[Run]) -> StartedRun:
        """The oldest that was not stopped; every younger one that still works is stopped."""
        by_age = sorted(runs, key=lambda run: (run.created_at, run.run_id))
        alive = [run for run in by_age if run.state not in _STOPPED] or by_age[:1]
        for run in alive[1:]:
            if not run.state.is_terminal:
                self._client.terminate(run.run_id)
        return self._told(alive[0])

    def _told(self, run: Run) -> StartedRun:
        status = _STATUS.get(run.state, RunStatus.RUNNING)
        why = f": {run.error[:300]}" if run.error else ""
        sentence = f"{run.name} ended {run.state.value}{why}" if status is not RunStatus.RUNNING else ""
        return StartedRun(run.run_id, status, sentence, self._client.url_of(run.run_id))


def _surely(call: Callable[[], Result]) -> Result:
    """The result of a call that starts no run; its failure means that none was started."""
    try:
        return call()
    except BelishaError as error:
        raise NotStartedError(str(error), error.exit_code) from None
