"""The KFP contract of comparison."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Metrics, Model, Output

from belisha.components.shared.container_images import image_of


@dsl.component(base_image=image_of("compare"), install_kfp_package=False)
def compare_with_champion(
    dataset: Input[Dataset],
    split: Input[Artifact],
    model: Input[Model],
    evaluation: Input[Artifact],
    baseline: Input[Artifact],
    storage_uri: str,
    run_id: str,
    job_id: str,
    decision: Output[Artifact],
    report: Output[HTML],
    metrics: Output[Metrics],
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
) -> str:
    """Judge a candidate against the champion on the sealed test part; each gate says why.

    Args:
        dataset: Data set folder.
        split: Split folder.
        model: The candidate.
        evaluation: The candidate's evaluation folder.
        baseline: Folder of the baselines' detections.
        storage_uri: Where pictures, registry and ledger live.
        run_id: Name of the run; empty takes the job's own id.
        job_id: The job's own id.
        decision: Decision folder.
        report: The report for people.
        metrics: Headline figures.
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

    Returns:
        PASS, INCONCLUSIVE, ERROR or FAIL.
    """
    from belisha.components.compare.step import run_step

    gates = {
        "alpha_ratio": gate_alpha_ratio,
        "bootstrap_resamples": gate_bootstrap_resamples,
        "bootstrap_seed": gate_bootstrap_seed,
        "min_ap50_95_gain": gate_min_ap50_95_gain,
        "efficiency_margin_ap50_95": gate_efficiency_margin_ap50_95,
        "max_mr2_increase": gate_max_mr2_increase,
        "max_slice_ap50_drop": gate_max_slice_ap50_drop,
        "min_slice_boxes": gate_min_slice_boxes,
        "min_test_groups": gate_min_test_groups,
        "min_test_pedestrians": gate_min_test_pedestrians,
        "min_ap50": gate_min_ap50,
        "max_latency_p95_seconds": gate_max_latency_p95_seconds,
        "max_latency_ratio": gate_max_latency_ratio,
        "max_model_megabytes": gate_max_model_megabytes,
        "max_test_looks": gate_max_test_looks,
    }
    inputs = {"dataset": dataset, "split": split, "model": model, "evaluation": evaluation, "baseline": baseline}
    return run_step(inputs, storage_uri, run_id or job_id, gates, decision, report, metrics)
