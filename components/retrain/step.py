"""Starting retraining as a pipeline step: the weekly run, or one for a cause that a person names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from belisha.components.retrain.cause import manual_cause, weekly_cause
from belisha.components.retrain.kfp_trigger import KfpTarget, KfpTrigger
from belisha.components.retrain.retrainer import Retrainer
from belisha.components.shared.kfp_client import KfpClient, KfpTransport, projected_token
from belisha.components.shared.ledger import system_clock
from belisha.components.shared.registry import open_registry


def run_step(
    cause_text: str, parameters: Mapping[str, Any], endpoint: str, namespace: str, experiment: str, pipeline: str
) -> str:
    """Settle what has ended, then deal with the cause; returns a sentence.

    Args:
        cause_text: why; empty for this week's run.
        parameters: of the run, `storage_uri` among them.
        endpoint: of the KFP API, to which the pod's projected token is shown where there is one.
        namespace: in a multi-user Kubeflow.
        experiment: that the run belongs to.
        pipeline: that runs.

    Raises:
        InputError: the cause or the endpoint is none.
        BelishaError: KFP or the store could not be reached; the next check goes on.
    """
    cause = manual_cause(cause_text) if cause_text else weekly_cause(system_clock())
    client = KfpClient(KfpTransport(endpoint, projected_token()), namespace)
    ledger = open_registry(str(parameters["storage_uri"])).ledger
    retrainer = Retrainer(ledger, KfpTrigger(client, KfpTarget(experiment, pipeline)))
    retrainer.settle()
    return retrainer.act(cause, parameters).sentence
