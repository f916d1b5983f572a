"""The way to Kubeflow Pipelines, from the settings and options that a person or a chart gives."""

from __future__ import annotations

from pathlib import Path

from belisha.components.shared.errors import InputError
from belisha.components.shared.kfp_client import KfpClient, KfpTransport, projected_token, token_file
from belisha.retraining.config import KfpConfig


def client_of(config: KfpConfig) -> KfpClient:
    """A client; the token comes from the named file, else from the pod's projected one, else there is none.

    Raises:
        InputError: no endpoint is given, or it is no address.
    """
    if not config.endpoint:
        raise InputError(
            "where Kubeflow Pipelines is was not said: give --kfp-endpoint or BELISHA_KFP_ENDPOINT, "
            "e.g. http://ml-pipeline.kubeflow:8888"
        )
    token = token_file(Path(config.token_file)) if config.token_file else projected_token()
    return KfpClient(KfpTransport(config.endpoint, token), config.namespace, config.ui)
