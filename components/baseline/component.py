"""KFP contract of the baseline step."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Output

from belisha.components.shared.container_images import image_of


@dsl.component(base_image=image_of("baseline"), install_kfp_package=False)
def evaluate_baselines(
    dataset: Input[Dataset],
    split: Input[Artifact],
    split_digest: str,
    storage_uri: str,
    run_id: str,
    job_id: str,
    baseline: Output[Artifact],
    report: Output[HTML],
    metrics: Output[Metrics],
) -> None:
    """Measure what any model has to beat on the sealed test part: a HOG detector and constant boxes.

    Args:
        dataset: folder of manifest.parquet and dataset.json.
        split: folder of assignment.parquet and split.json.
        split_digest: what the split is, so that a cached result is of the same split.
        storage_uri: whose ledger records the look at the test part.
        run_id: name of the run; empty takes the job's own id.
        job_id: the job's own id.
        baseline: folder of both baselines' detections and metrics.
        report: metrics, constant boxes and examples.
        metrics: AP and miss rates of both.
    """
    from belisha.components.baseline.step import run_step

    run_step(dataset, split, split_digest, storage_uri, run_id or job_id, baseline, report, metrics)
