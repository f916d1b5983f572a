"""The training pipeline: labelled pictures in, a tested and released candidate out.

It keeps to the part of KFP that behaves the same in `kfp.local` and on a cluster: a fan-in DAG without conditions or loops.
Every gate lives inside a component and comes out as a verdict. Parameter names carry their unit and a common prefix, because
the form in the KFP UI shows nothing else of them. (No postponed annotations here: KFP reads them.)
"""

from kfp import dsl, kubernetes
from kfp.dsl.pipeline_task import PipelineTask

from belisha.components.acquire.component import acquire_pictures
from belisha.components.baseline.component import evaluate_baselines
from belisha.components.compare.component import compare_with_champion
from belisha.components.release.component import release_model
from belisha.components.split.component import split_dataset
from belisha.components.train.component import train_detector
from belisha.components.validate.component import validate_model

PIPELINE_NAME = "belisha-training"
# Read by every step when the namespace has it; a cluster with workload identity needs none.
STORAGE_SECRET = "belisha-storage"
STORAGE_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL", "AWS_REGION")
JOB_ID = dsl.PIPELINE_JOB_ID_PLACEHOLDER


def _use_storage_secret(task: PipelineTask) -> None:
    kubernetes.use_secret_as_env(
        task, secret_name=STORAGE_SECRET, secret_key_to_env={name: name for name in STORAGE_VARIABLES}, optional=True
    )


def _place_training(
    task: PipelineTask,
    *,
    gpu_type: str,
    gpu_count: str,
    cpu_request: str,
    memory_request: str,
    node_selector: dict[str, str],
    tolerations: list[dict[str, str]],
) -> None:
    """Put training where it belongs; counts are strings because the KFP driver reads resources from string values only."""
    task.set_accelerator_type(gpu_type).set_accelerator_limit(gpu_count)
    task.set_cpu_request(cpu_request).set_memory_request(memory_request)
    kubernetes.add_node_selector_json(task, node_selector)
    kubernetes.add_toleration_json(task, tolerations)
    # The data loader's worker processes share batches through /dev/shm; the container default of 64 MB ends in a bus error.
    kubernetes.empty_dir_mount(task, volume_name="dshm", mount_path="/dev/shm", medium="Memory", size_limit="8Gi")


@dsl.pipeline(name=PIPELINE_NAME, description="Labelled pictures in, a tested and released pedestrian detector out.")
def training_pipeline(
    storage_uri: str,
    data_sources: list[str] = ["synthetic://streets?pictures=300&seed=1"],  # noqa: B006 - KFP copies defaults
    data_format: str = "",
    data_images_dir: str = "",
    data_class_map: dict[str, str] = {},  # noqa: B006 - KFP copies defaults
    split_ratios: str = "80/10/10",
    split_salt: str = "belisha",
    train_weights_uri: str = "",
    train_architecture: str = "yolo11n.yaml",
    train_epochs: int = 50,
    train_image_size: int = 640,
    train_batch: int = 16,
    train_learning_rate: float = 0.0,
    train_patience: int = 20,
    train_seed: int = 0,
    train_workers: int = 2,
    train_freeze: int = 0,
    train_device: str = "",
    train_augmentation_ratio: float = 1.0,
    train_gpu_type: str = "nvidia.com/gpu",
    train_gpu_count: str = "1",
    train_cpu_request: str = "2",
    train_memory_request: str = "8Gi",
    train_node_selector: dict[str, str] = {},  # noqa: B006 - KFP copies defaults
    train_tolerations: list[dict[str, str]] = [],  # noqa: B006 - KFP copies defaults
    gate_alpha_ratio: float = 0.05,
    gate_bootstrap_resamples: int = 2000,
    gate_bootstrap_seed: int = 0,
    gate_min_ap50_95_gain: float = 0.0,
    gate_efficiency_margin_ap50_95: float = 0.0,
    gate_max_mr2_increase: float = 0.01,
    gate_max_slice_ap50_drop: float = 0.02,
    gate_min_slice_boxes: int = 200,
    gate_min_test_groups: int = 10,
    gate_min_test_pedestrians: int = 20,
    gate_min_ap50: float = 0.0,
    gate_max_latency_p95_seconds: float = 1.0,
    gate_max_latency_ratio: float = 1.2,
    gate_max_model_megabytes: float = 300.0,
    gate_max_test_looks: int = 20,
    run_id: str = "",
) -> None:
    """Build, test and release one candidate.

    Args:
        storage_uri: Where pictures, checkpoints, models and the ledger live: s3://bucket/prefix, gs://…, az://… or a folder.
        data_sources: Labelled pictures: folders, archives, s3://, gs://, http(s):// or synthetic:// addresses.
        data_format: Name of the label format, e.g. coco, yolo or mot; empty: recognised source by source.
        data_images_dir: Where the pictures lie when they are not beside the labels; empty: beside them.
        data_class_map: Class name of the source to pedestrian, ignore or drop; extends the built-in table.
        split_ratios: Shares of train/val/test in percent.
        split_salt: Changing it gives another assignment of groups to parts.
        train_weights_uri: Weights to start from; empty: from scratch.
        train_architecture: Network to build when training from scratch.
        train_epochs: Passes over the training part at most; 0 takes the given weights as they are.
        train_image_size: Side of the network's square input in pixels.
        train_batch: Pictures a step.
        train_learning_rate: Initial learning rate of AdamW; 0: 0.002 from scratch, 0.0002 from weights.
        train_patience: Epochs without a better validation result before training stops.
        train_seed: Same seed, data and machine give the same weights.
        train_workers: Processes that load pictures.
        train_freeze: First layers that keep the weights they started from.
        train_augmentation_ratio: Strength of colour, shift and scale changes, 0 (none) to 1.
        train_device: Empty for every GPU given or else the CPU; cpu, 0, or 0,1 to choose.
        train_gpu_type: Resource name of the accelerator; empty: none.
        train_gpu_count: Accelerators for training; empty: none.
        train_cpu_request: CPU cores requested for training.
        train_memory_request: Memory requested for training.
        train_node_selector: Labels a node must have to train, e.g. {"accelerator": "a100"}.
        train_tolerations: Taints that training tolerates, as Kubernetes writes them.
        gate_alpha_ratio: One-sided error rate of every bound, 0..0.5.
        gate_bootstrap_resamples: Resamples of each paired bootstrap.
        gate_bootstrap_seed: Same seed, same bounds.
        gate_min_ap50_95_gain: The lower bound of the gain in AP50-95 over the champion must exceed this.
        gate_efficiency_margin_ap50_95: Above 0, a faster or 5 % smaller model passes when not worse by more than this.
        gate_max_mr2_increase: The upper bound of the increase of MR-2 (Reasonable) must stay below this; 1 is off.
        gate_max_slice_ap50_drop: In no slice may AP50 drop by this, by its lower bound.
        gate_min_slice_boxes: Slices with fewer pedestrians are listed and do not block.
        gate_min_test_groups: With fewer groups in the test part nothing is proven against a champion.
        gate_min_test_pedestrians: With fewer pedestrians in the test part nothing is proven at all; 0 is off.
        gate_min_ap50: AP50 that any candidate must reach; 0 is off.
        gate_max_latency_p95_seconds: 95th percentile for one picture on one thread; 0 is off.
        gate_max_latency_ratio: The same over the champion's, both measured in turn; 0 is off.
        gate_max_model_megabytes: Size of the ONNX file; 0 is off.
        gate_max_test_looks: Runs that may look at one test part before it must be renewed; 0 is off.
        run_id: Name of this run in the ledger; empty: KFP's own job id.
    """
    acquired = acquire_pictures(
        data_sources=data_sources,
        data_format=data_format,
        data_images_dir=data_images_dir,
        data_class_map=data_class_map,
        storage_uri=storage_uri,
    )
    dataset = acquired.outputs["dataset"]
    parted = split_dataset(
        dataset=dataset,
        dataset_digest=acquired.outputs["Output"],
        storage_uri=storage_uri,
        split_ratios=split_ratios,
        split_salt=split_salt,
    )
    data = {"dataset": dataset, "split": parted.outputs["split"], "storage_uri": storage_uri}
    run = {"run_id": run_id, "job_id": JOB_ID}
    baseline = evaluate_baselines(**data, **run, split_digest=parted.outputs["Output"])
    trained = train_detector(
        **data,
        split_digest=parted.outputs["Output"],
        train_weights_uri=train_weights_uri,
        train_architecture=train_architecture,
        train_epochs=train_epochs,
        train_image_size=train_image_size,
        train_batch=train_batch,
        train_learning_rate=train_learning_rate,
        train_patience=train_patience,
        train_seed=train_seed,
        train_workers=train_workers,
        train_freeze=train_freeze,
        train_device=train_device,
        train_augmentation_ratio=train_augmentation_ratio,
    )
    model = trained.outputs["model"]
    validated = validate_model(**data, **run, model=model, baseline=baseline.outputs["baseline"])
    evaluation = validated.outputs["evaluation"]
    compared = compare_with_champion(
        **data,
        **run,
        model=model,
        evaluation=evaluation,
        baseline=baseline.outputs["baseline"],
        gate_alpha_ratio=gate_alpha_ratio,
        gate_bootstrap_resamples=gate_bootstrap_resamples,
        gate_bootstrap_seed=gate_bootstrap_seed,
        gate_min_ap50_95_gain=gate_min_ap50_95_gain,
        gate_efficiency_margin_ap50_95=gate_efficiency_margin_ap50_95,
        gate_max_mr2_increase=gate_max_mr2_increase,
        gate_max_slice_ap50_drop=gate_max_slice_ap50_drop,
        gate_min_slice_boxes=gate_min_slice_boxes,
        gate_min_test_groups=gate_min_test_groups,
        gate_min_test_pedestrians=gate_min_test_pedestrians,
        gate_min_ap50=gate_min_ap50,
        gate_max_latency_p95_seconds=gate_max_latency_p95_seconds,
        gate_max_latency_ratio=gate_max_latency_ratio,
        gate_max_model_megabytes=gate_max_model_megabytes,
        gate_max_test_looks=gate_max_test_looks,
    )
    released = release_model(
        **run, model=model, evaluation=evaluation, decision=compared.outputs["decision"], storage_uri=storage_uri
    )
    for task in (acquired, parted, baseline, trained, validated, compared, released):
        _use_storage_secret(task)
        task.set_retry(num_retries=2, backoff_duration="30s", backoff_factor=2.0, backoff_max_duration="300s")
    # Sources change under the same address, and these steps read or write what storage remembers (frozen splits, the ledger):
    # yesterday's answer would be a wrong one. Training alone depends on nothing but its inputs.
    for task in (acquired, parted, baseline, validated, compared, released):
        task.set_caching_options(enable_caching=False)
    _place_training(
        trained,
        gpu_type=train_gpu_type,
        gpu_count=train_gpu_count,
        cpu_request=train_cpu_request,
        memory_request=train_memory_request,
        node_selector=train_node_selector,
        tolerations=train_tolerations,
    )
