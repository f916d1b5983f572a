"""The KFP contract of training."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Model, Output

from belisha.components.shared.container_images import image_of


@dsl.component(base_image=image_of("train"), install_kfp_package=False)
def train_detector(
    dataset: Input[Dataset],
    split: Input[Artifact],
    split_digest: str,  # noqa: ARG001 - part of the cache key
    storage_uri: str,
    train_weights_uri: str,
    train_architecture: str,
    train_epochs: int,
    train_image_size: int,
    train_batch: int,
    train_learning_rate: float,
    train_patience: int,
    train_seed: int,
    train_workers: int,
    model: Output[Model],
    report: Output[HTML],
    metrics: Output[Metrics],
    train_device: str = "",
    train_freeze: int = 0,
    train_augmentation_ratio: float = 1.0,
) -> None:
    """Train a pedestrian detector, export it to ONNX and prove that the export sees what training saw.

    Args:
        dataset: Data set folder.
        split: Split folder.
        split_digest: Digest of the split, so that a new split trains anew.
        storage_uri: Storage that keeps checkpoints, so that a killed training goes on.
        train_weights_uri: Checkpoint to start from; empty trains from scratch.
        train_architecture: Model description for training from scratch, e.g. yolo11n.yaml.
        train_epochs: Most epochs.
        train_image_size: Side of the square input in pixels.
        train_batch: Pictures a step, over all GPUs together.
        train_learning_rate: Learning rate; 0 or less chooses 0.002 from scratch and 0.0002 from weights.
        train_patience: Epochs without a better validation AP after which training stops; 0 never stops early.
        train_seed: Seed of weights, order and augmentation.
        train_workers: Processes that load pictures.
        model: Model folder.
        report: The report for people.
        metrics: Headline figures.
        train_device: Empty for a GPU if there is one, cpu, 0, or 0,1 for several GPUs.
        train_freeze: First layers that keep their weights.
        train_augmentation_ratio: Strength of colour, shift and scale changes, 0 (none) to 1.
    """
    from belisha.components.train.step import run_step

    run_step(
        dataset,
        split,
        storage_uri,
        model,
        report,
        metrics,
        weights_uri=train_weights_uri,
        architecture=train_architecture,
        epochs=train_epochs,
        image_size_px=train_image_size,
        batch=train_batch,
        learning_rate=train_learning_rate if train_learning_rate > 0 else None,
        patience=train_patience,
        seed=train_seed,
        workers=train_workers,
        device=train_device,
        freeze=train_freeze,
        augmentation_ratio=train_augmentation_ratio,
    )
