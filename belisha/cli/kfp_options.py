"""Options that the verbs share which speak to Kubeflow Pipelines, and the settings made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from belisha.retraining.config import KfpConfig

Endpoint = Annotated[
    str,
    typer.Option(
        "--kfp-endpoint",
        envvar=["BELISHA_KFP_ENDPOINT", "KF_PIPELINES_ENDPOINT"],
        help="Address of the Kubeflow Pipelines API, e.g. http://ml-pipeline.kubeflow:8888.",
    ),
]
Namespace = Annotated[
    str, typer.Option("--kfp-namespace", envvar="BELISHA_KFP_NAMESPACE", help="Namespace in a multi-user Kubeflow.")
]
TokenFile = Annotated[
    str,
    typer.Option(
        "--kfp-token-file",
        envvar="BELISHA_KFP_TOKEN_FILE",
        help="File with a token; by default the pod's projected one, if any.",
    ),
]
Experiment = Annotated[str, typer.Option(help="Experiment that runs belong to; made when missing.")]
Pipeline = Annotated[str, typer.Option(help="Name of the pipeline.")]
PipelineRoot = Annotated[str, typer.Option(help="Where KFP keeps artifacts; by default the server's place.")]
ServiceAccount = Annotated[str, typer.Option(help="Service account of the run's pods; by default the server's.")]


def over_file(file: KfpConfig, **given: str) -> KfpConfig:
    """The file's settings with those that were given on the command line or by the environment in their place."""
    return file.model_copy(update={name: text for name, text in given.items() if text})
