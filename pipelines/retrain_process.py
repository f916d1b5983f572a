"""The process of one local retraining: `python -m belisha.pipelines.retrain_process RUN_FOLDER`.

It holds the run's lock, runs the pipeline, says how it ended, and records that in the ledger. Killed at any moment it leaves
a run that the next check goes on with; ended politely likewise.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from belisha.components.retrain.retrainer import Retrainer
from belisha.components.retrain.trigger import RunStatus
from belisha.components.shared.errors import EXIT_RETRY, BelishaError
from belisha.components.shared.ledger import Ledger
from belisha.components.shared.progress import plain_sink
from belisha.components.shared.registry import REGISTRY_FOLDER
from belisha.components.shared.storage import join_uri, open_store
from belisha.pipelines.local_run import run_locally
from belisha.pipelines.local_trigger import LocalRun, LocalTrigger, arguments_of, read_request
from belisha.pipelines.run_report import write_run_report
from belisha.pipelines.run_summary import summarise


def main(folder: str) -> int:
    """Work on the run unless somebody does or it has ended; returns an exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    run = LocalRun(Path(folder))
    with run.owned() as mine:
        if not mine or run.outcome_file.exists():
            return 0
        try:
            _train(run)
        except BelishaError as error:
            sys.stderr.write(f"belisha: {error}\n")
            if error.exit_code == EXIT_RETRY:
                return error.exit_code
            run.end(RunStatus.FAILED, f"{run.folder.name} failed: {error}")
        _settle(run)
    return 0


def _train(run: LocalRun) -> None:
    arguments, run_id = arguments_of(read_request(run))
    # `runs/<name>` is where the pipeline keeps its own things, too: one folder a run.
    folder = run_locally(run.folder.parents[1], arguments, plain_sink(sys.stderr), run_id)
    write_run_report(run.report_file, [folder], title=f"Retraining {run_id}")
    summary = summarise(folder)
    run.end(RunStatus.SUCCEEDED, f"{run_id} ended {summary.verdict}: {summary.released}")


def _settle(run: LocalRun) -> None:
    """Record the end at once; should that fail, the next check does it."""
    storage_uri = str(read_request(run).parameters["storage_uri"])
    ledger = Ledger(open_store(join_uri(storage_uri, REGISTRY_FOLDER)))
    Retrainer(ledger, LocalTrigger(run.folder.parents[1])).settle()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
