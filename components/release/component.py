"""The KFP contract of release."""

from kfp import dsl
from kfp.dsl import Artifact, Input, Model

from belisha.components.shared.container_images import image_of


@dsl.component(base_image=image_of("release"), install_kfp_package=False)
def release_model(
    model: Input[Model],
    evaluation: Input[Artifact],
    decision: Input[Artifact],
    storage_uri: str,
    run_id: str,
    job_id: str,
) -> str:
    """Register the candidate with its evidence; one that passed becomes champion or challenger, any other is refused.

    Args:
        model: The candidate.
        evaluation: Its figures, as validate_model wrote them.
        decision: The verdict, as compare_with_champion wrote it.
        storage_uri: Where the registry is.
        run_id: Name of the run; empty takes the job's own id.
        job_id: The job's own id.

    Returns:
        What was done, in a sentence.
    """
    from pathlib import Path

    from belisha.components.release.release import release

    outcome = release(Path(model.path), Path(evaluation.path), Path(decision.path), storage_uri, run_id or job_id)
    return outcome.sentence
