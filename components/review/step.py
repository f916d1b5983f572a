"""Handing out pictures as a pipeline step: settings from parameters, figures to an artifact."""

from __future__ import annotations

from belisha.components.review.choose import ChoiceSettings
from belisha.components.review.select import SelectSettings, select
from belisha.components.shared.kfp_artifacts import MetricsArtifact, log_numbers
from belisha.components.shared.progress import default_sink


def run_step(
    storage_uri: str, pictures: int, cause: str, key: str, deployment_name: str, metrics: MetricsArtifact
) -> str:
    """Select and fill the artifact; returns the sentence.

    Args:
        storage_uri: of kept pictures, request log and ledger.
        pictures: to hand out at most.
        cause: why, for people.
        key: of the request; empty for a new one.
        deployment_name: whose drift alerts count.
        metrics: figures to write.
    """
    settings = SelectSettings(
        key, cause, choice=ChoiceSettings(pictures=int(pictures)), deployment_name=deployment_name
    )
    selected = select(storage_uri, "", settings, default_sink())
    handed_out = len(selected.batch.items) if selected.batch and selected.new else 0
    log_numbers(metrics, {"pictures_handed_out": float(handed_out), "pictures_waiting": float(selected.waiting)})
    return selected.sentence
