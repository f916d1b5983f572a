"""The KFP contract of the experiment's judge; a CronJob runs `belisha experiment judge --job` instead."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, Metrics, Output

from belisha.components.shared.container_images import image_of


@dsl.component(base_image=image_of("experiment"), install_kfp_package=False)
def judge_experiment(
    storage_uri: str,
    prometheus_url: str,
    deployment_name: str,
    namespace: str,
    experiment: Output[Artifact],
    report: Output[HTML],
    metrics: Output[Metrics],
    unit: str = "request",
    mesh_draws: bool = True,
) -> str:
    """Check the challenger's trial once: raise its share by a step, promote it, take it out, or say what is missing.

    Args:
        storage_uri: Where registry, request log and reviews live.
        prometheus_url: Asked for errors and latency.
        deployment_name: Name of the SeldonDeployment.
        namespace: That its metrics are labelled with; empty for any.
        experiment: The evidence.
        report: The report for people.
        metrics: Headline figures.
        unit: What keeps its model: camera, client or request.
        mesh_draws: The mesh splits the traffic, so every request counts as drawn.

    Returns:
        The verdict: CONTINUE, PROMOTE, STOP, or empty where there is no challenger.
    """
    from belisha.components.experiment.step import run_step

    asked = (prometheus_url, deployment_name, namespace)
    return run_step(storage_uri, asked, unit, mesh_draws, experiment, report, metrics)
