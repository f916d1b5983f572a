"""KFP contract of the split step."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Output

from belisha.components.shared.container_images import image_of


@dsl.component(base_image=image_of("split"), install_kfp_package=False)
def split_dataset(
    dataset: Input[Dataset],
    dataset_digest: str,
    storage_uri: str,
    split_ratios: str,
    split_salt: str,
    split: Output[Artifact],
    report: Output[HTML],
    metrics: Output[Metrics],
) -> str:
    """Assign each picture to train, val or the sealed test part, whole groups at a time.

    Args:
        dataset: folder of manifest.parquet and dataset.json.
        dataset_digest: what the data are, so that a cached split is of the same data.
        storage_uri: where assignments are frozen, below splits/.
        split_ratios: 80/10/10, 60/20/20, 80/20:5 (five folds) or 80/10/10:time (cut in time, optimistic).
        split_salt: another salt is another draw.
        split: folder of assignment.parquet and split.json.
        report: shares, conditions, groups and notes.
        metrics: pictures and pedestrians of each part.

    Returns:
        The split's digest.
    """
    from belisha.components.split.step import run_step

    return run_step(dataset, dataset_digest, storage_uri, split_ratios, split_salt, split, report, metrics)
