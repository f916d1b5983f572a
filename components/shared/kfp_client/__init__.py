"""A small client of the Kubeflow Pipelines API (v2beta1, REST), without the kfp package and its many dependencies.

It differs from kfp's own client where that one misleads: it waits for every terminal state and raises unless the run succeeded,
refuses a cron of five fields, never drops "without cache" silently, and never repeats a request that may have started a run.
"""

from belisha.components.shared.kfp_client.auth import TokenSource, no_token, projected_token, token_file
from belisha.components.shared.kfp_client.client import KfpClient
from belisha.components.shared.kfp_client.errors import KfpError
from belisha.components.shared.kfp_client.resources import (
    Experiment,
    PipelineVersion,
    RecurringRun,
    Run,
    RunState,
    ServerInfo,
)
from belisha.components.shared.kfp_client.transport import KfpTransport
from belisha.components.shared.kfp_client.waiting import RunEndedBadlyError, wait_for_run

__all__ = [
    "Experiment",
    "KfpClient",
    "KfpError",
    "KfpTransport",
    "PipelineVersion",
    "RecurringRun",
    "Run",
    "RunEndedBadlyError",
    "RunState",
    "ServerInfo",
    "TokenSource",
    "no_token",
    "projected_token",
    "token_file",
    "wait_for_run",
]
