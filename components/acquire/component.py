"""KFP contract of ingestion."""

from kfp import dsl
from kfp.dsl import HTML, Dataset, Metrics, Output

from belisha.components.shared.container_images import image_of


@dsl.component(base_image=image_of("acquire"), install_kfp_package=False)
def acquire_pictures(
    data_sources: list[str],
    data_format: str,
    data_images_dir: str,
    data_class_map: dict[str, str],
    storage_uri: str,
    dataset: Output[Dataset],
    card: Output[HTML],
    metrics: Output[Metrics],
) -> str:
    """Read labelled pictures of any known format, store the pictures once, and write the dataset's manifest and data card.

    Args:
        data_sources: Folders, archives or URIs (http(s), s3, gs, az, synthetic); the first labels of a picture count.
        data_format: Name of the label format; empty: recognised source by source.
        data_images_dir: Folder, archive or URI of the pictures when they are not beside the labels; empty: beside them.
        data_class_map: Source class to pedestrian, ignore or drop, e.g. {"cyclist": "ignore"}.
        storage_uri: Folder or URI that outlives the run; pictures go below it.
        dataset: Manifest, counts and digest, and the list of pictures left out.
        card: What is in the data, with sample pictures.
        metrics: Counts.

    Returns:
        Digest of the pictures and their boxes.
    """
    from belisha.components.acquire.step import run_step

    return run_step(data_sources, data_format, data_images_dir, data_class_map, storage_uri, dataset, card, metrics)
