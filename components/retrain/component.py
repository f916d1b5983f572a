"""The KFP contract of starting retraining; a CronJob runs `belisha retrain weekly` instead, which knows review as well."""

from kfp import dsl

from belisha.components.shared.container_images import image_of


@dsl.component(base_image=image_of("drift"), install_kfp_package=False)
def start_retraining(
    storage_uri: str,
    kfp_endpoint: str,
    data_sources: list[str],
    retrain_cause: str = "",
    kfp_namespace: str = "",
    kfp_experiment: str = "belisha",
    kfp_pipeline: str = "belisha-training",
) -> str:
    """Start a training run for a cause unless it has one; its candidate becomes a challenger at most, never champion.

    Args:
        storage_uri: Where pictures, models and the ledger live.
        kfp_endpoint: Address of the KFP API, e.g. http://ml-pipeline.kubeflow:8888.
        data_sources: Labelled pictures to train on.
        retrain_cause: Why, in a few words; empty for the weekly run.
        kfp_namespace: Namespace in a multi-user Kubeflow; empty elsewhere.
        kfp_experiment: Experiment that the run belongs to.
        kfp_pipeline: Name of the uploaded pipeline; its newest version runs.

    Returns:
        What was done, in a sentence.
    """
    from belisha.components.retrain.step import run_step

    parameters = {"storage_uri": storage_uri, "data_sources": data_sources}
    return run_step(retrain_cause, parameters, kfp_endpoint, kfp_namespace, kfp_experiment, kfp_pipeline)
