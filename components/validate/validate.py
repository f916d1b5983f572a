"""Validation: what a model is worth, on ONNX and with the preprocessing that serving uses."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from belisha.components.shared.detections import Detections, write_detections
from belisha.components.shared.detector import OnnxDetector
from belisha.components.shared.errors import NoDataError
from belisha.components.shared.evaluation import best_f1_threshold, evaluate
from belisha.components.shared.evaluation_artifact import (
    DETECTIONS_TEST_FILE,
    DETECTIONS_VAL_FILE,
    METRICS_FILE,
    PER_IMAGE_ARROW_SCHEMA,
    PER_IMAGE_FILE,
    REPORT_FILE,
)
from belisha.components.shared.files import directory_aside, write_json
from belisha.components.shared.inference import read_image
from belisha.components.shared.ledger import Ledger
from belisha.components.shared.manifest import read_info
from belisha.components.shared.model_artifact import ONNX_FILE, ModelInfo
from belisha.components.shared.picture_store import PictureReader
from belisha.components.shared.progress import ProgressSink
from belisha.components.shared.registry import REGISTRY_FOLDER
from belisha.components.shared.splits import Part, Split, TestLook, open_test, read_split
from belisha.components.shared.storage import join_uri, open_store
from belisha.components.validate.calibration import calibration_of
from belisha.components.validate.counts import Counts, counts_at
from belisha.components.validate.evaluation import Evaluation, PartNumbers
from belisha.components.validate.latency import measure_latency
from belisha.components.validate.margins import baseline_sets, margins_of, read_baselines
from belisha.components.validate.overfitting import gap_of
from belisha.components.validate.parts import PartData, load_pictures, run_part, train_sample
from belisha.components.validate.per_image import per_image_rows
from belisha.components.validate.report import write_validation_report
from belisha.components.validate.slices import slices_of

_LATENCY_PICTURES = 8


@dataclass(frozen=True, slots=True)
class _Inputs:
    dataset_dir: Path
    split: Split
    detector: OnnxDetector
    baselines: dict[str, dict[str, Detections]]
    dataset_digest: str

    @property
    def info(self) -> ModelInfo:
        return self.detector.info


def validate(
    dataset_dir: Path,
    split_dir: Path,
    model_dir: Path,
    baseline_dir: Path | None,
    out_dir: Path,
    storage_uri: str,
    run_id: str,
    progress: ProgressSink,
    *,
    reason: str = "",
) -> Evaluation:
    """Test a model on val, a sample of train, and the sealed test part, and write the evaluation folder.

    Everything that may fail on bad input is done before the test part is opened, so that a broken run costs no look.

    Args:
        dataset_dir: of `manifest.parquet`.
        split_dir: of `assignment.parquet`.
        model_dir: of `model.onnx` and `model.json`.
        baseline_dir: with one folder a baseline; None to go without margins.
        out_dir: replaced as a whole.
        storage_uri: whose ledger records the look at the test part.
        run_id: who looks; the same id again adds no look.
        progress: told all the time.
        reason: why the test part is opened; a sentence is made up from the model's digest when empty.

    Raises:
        ContractError, DigestError: an input folder is not whole or does not fit the others.
        InputError: a picture cannot be decoded.
        NoDataError: the test part is empty.
        StorageError: a picture or the ledger is out of reach.
    """
    inputs = _read_inputs(dataset_dir, split_dir, model_dir, baseline_dir)
    train = _open_part("train", train_sample(inputs.split.ids(Part.TRAIN)), inputs, progress)
    val = _open_part("val", inputs.split.ids(Part.VAL), inputs, progress)
    ledger = Ledger(open_store(join_uri(storage_uri, REGISTRY_FOLDER)))
    why = reason or f"validation of model {inputs.info.digest[:12]}"
    look = open_test(inputs.split, ledger, reason=why, run_id=run_id)
    test = run_part(
        "test", load_pictures(dataset_dir, look.image_ids), inputs.split.group_of, inputs.detector, progress
    )
    baselines = baseline_sets(test, inputs.baselines)
    evaluation = _evaluate(inputs, model_dir, (train, val, test), look, run_id, progress)
    evaluation = replace(evaluation, margins=margins_of(test, baselines))
    with directory_aside(out_dir) as aside:
        _write_tables(aside, val, test, evaluation.score_threshold)
        write_validation_report(aside / REPORT_FILE, evaluation, val, test, baselines)
        write_json(aside / METRICS_FILE, evaluation.to_json())
    return evaluation


def _read_inputs(dataset_dir: Path, split_dir: Path, model_dir: Path, baseline_dir: Path | None) -> _Inputs:
    split = read_split(split_dir)
    if Part.TEST.value not in split.table.column("part").unique().to_pylist():
        raise NoDataError(f"the test part of {split_dir} is empty: split with a test share, or add pictures")
    return _Inputs(
        dataset_dir=dataset_dir,
        split=split,
        detector=OnnxDetector(model_dir),
        baselines=read_baselines(baseline_dir) if baseline_dir else {},
        dataset_digest=read_info(dataset_dir).digest,
    )


def _open_part(name: str, image_ids: list[str], inputs: _Inputs, progress: ProgressSink) -> PartData | None:
    if not image_ids:
        return None
    pictures = load_pictures(inputs.dataset_dir, image_ids)
    return run_part(name, pictures, inputs.split.group_of, inputs.detector, progress)


def _evaluate(
    inputs: _Inputs,
    model_dir: Path,
    parts: tuple[PartData | None, PartData | None, PartData],
    look: TestLook,
    run_id: str,
    progress: ProgressSink,
) -> Evaluation:
    train, val, test = parts
    threshold = inputs.info.thresholds.score
    reader = PictureReader()
    shown = (val or test).pictures[:_LATENCY_PICTURES]
    return Evaluation(
        run_id=run_id,
        model_digest=inputs.info.digest,
        dataset_digest=inputs.dataset_digest,
        split_digest=inputs.split.digest,
        model_size_bytes=(model_dir / ONNX_FILE).stat().st_size,
        score_threshold=threshold,
        parts={part.name: _numbers(part, threshold) for part in parts if part is not None},
        slices=slices_of(test, threshold),
        gap=gap_of(train, val, test),
        calibration=calibration_of(test.truth, test.detections, threshold),
        latency=measure_latency(model_dir, [read_image(picture, reader) for picture in shown], progress),
        margins=(),
        test_looks=look.looks,
        warnings=_warnings(inputs, look),
        best_val_threshold=_best_threshold(val),
    )


def _numbers(part: PartData, score_threshold: float) -> PartNumbers:
    summary = evaluate(part.truth, part.detections) if part.truth.pedestrians else None
    counts = counts_at(part.truth, part.detections, part.outcomes, score_threshold)
    return PartNumbers(part.name, part.truth.n_images, part.truth.pedestrians, summary, counts)


def _best_threshold(val: PartData | None) -> Counts | None:
    """Chosen on val alone: on the test part it would be fitted to what it is judged by."""
    if val is None or not val.truth.pedestrians:
        return None
    try:
        best = best_f1_threshold(val.truth, val.detections)
    except NoDataError:
        return None
    return counts_at(val.truth, val.detections, val.outcomes, best)


def _warnings(inputs: _Inputs, look: TestLook) -> tuple[str, ...]:
    """Sentences for the report and for standard error, where whoever runs this sees them now."""
    warnings = [look.warning] if look.warning else []
    trained_under = inputs.info.split_digest
    if trained_under and trained_under != inputs.split.digest:
        warnings.append(
            f"the model was trained under split {trained_under[:12]}, not {inputs.split.digest[:12]}: "
            "pictures of this test part may have been in its training"
        )
    for warning in warnings:
        sys.stderr.write(f"warning: {warning}\n")
    return tuple(warnings)


def _write_tables(folder: Path, val: PartData | None, test: PartData, score_threshold: float) -> None:
    write_detections(folder / DETECTIONS_VAL_FILE, val.found if val else {})
    write_detections(folder / DETECTIONS_TEST_FILE, test.found)
    rows = [row for part in (val, test) if part for row in per_image_rows(part, score_threshold)]
    table = pa.Table.from_pylist(rows, schema=PER_IMAGE_ARROW_SCHEMA)
    pq.write_table(table, folder / PER_IMAGE_FILE, compression="zstd")
