"""The KFP contract of validation."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, ClassificationMetrics, Dataset, Input, Metrics, Model, Output

from belisha.components.shared.container_images import image_of


@dsl.component(base_image=image_of("validate"), install_kfp_package=False)
def validate_model(
    dataset: Input[Dataset],
    split: Input[Artifact],
    model: Input[Model],
    baseline: Input[Artifact],
    storage_uri: str,
    run_id: str,
    job_id: str,
    evaluation: Output[Artifact],
    report: Output[HTML],
    metrics: Output[Metrics],
    confusion: Output[ClassificationMetrics],
) -> None:
    """Test a model on the pictures that it has not seen: accuracy, slices, calibration, latency, margin over baselines.

    Args:
        dataset: Data set folder.
        split: Split folder.
        model: Model folder; its ONNX file is tested.
        baseline: Folder of the baselines' detections.
        storage_uri: Storage whose ledger records the look at the test part.
        run_id: Id of the run, empty for the job's own.
        job_id: Id of the pipeline job.
        evaluation: Evaluation folder.
        report: The report for people.
        metrics: Headline figures.
        confusion: Pedestrian against background at the serving threshold, test part.
    """
    from belisha.components.validate.step import run_step

    run_step(dataset, split, model, baseline, storage_uri, run_id or job_id, evaluation, report, metrics, confusion)
