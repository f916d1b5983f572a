"""The KFP contract of the drift check."""

from kfp import dsl
from kfp.dsl import HTML, Metrics, Output

from belisha.components.shared.container_images import image_of


@dsl.component(base_image=image_of("drift"), install_kfp_package=False)
def check_drift(
    storage_uri: str,
    report: Output[HTML],
    metrics: Output[Metrics],
    deployment_name: str = "belisha",
    drift_mode: str = "calibrated",
    drift_window_pictures: int = 300,
) -> str:
    """Compare the champion's last predictions with its reference; confirmed drift becomes one record of the ledger.

    Args:
        storage_uri: Where request log, models and the ledger live.
        report: The report for people.
        metrics: Windows judged and flagged.
        deployment_name: Name of the deployment, for metrics and alerts.
        drift_mode: calibrated, or textbook.
        drift_window_pictures: Thinned pictures of a window.

    Returns:
        The verdict: no_drift, drift or insufficient.
    """
    from belisha.components.drift.kfp_step import run_step

    return run_step(storage_uri, deployment_name, drift_mode, drift_window_pictures, report, metrics)
