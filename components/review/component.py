"""The KFP contract of handing out pictures for review; a CronJob runs `belisha review select --job` instead."""

from kfp import dsl
from kfp.dsl import Metrics, Output

from belisha.components.shared.container_images import image_of


@dsl.component(base_image=image_of("review"), install_kfp_package=False)
def select_for_review(
    storage_uri: str,
    metrics: Output[Metrics],
    review_pictures: int = 60,
    review_cause: str = "",
    review_key: str = "",
    deployment_name: str = "belisha",
) -> str:
    """Hand out the pictures of the last day that teach the most, as one batch; no picture is handed out twice.

    Args:
        storage_uri: Where kept pictures, request log and ledger live.
        metrics: Pictures handed out and waiting.
        review_pictures: Pictures to hand out at most.
        review_cause: Why, for people.
        review_key: A second request of the same key gets the first one's batch; empty for a new one.
        deployment_name: Whose drift alerts count.

    Returns:
        What was done, in a sentence.
    """
    from belisha.components.review.step import run_step

    return run_step(storage_uri, review_pictures, review_cause, review_key, deployment_name, metrics)
