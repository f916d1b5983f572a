"""Training from end to end: check, learn, export, prove, describe. Killed at any moment, it goes on to the same result."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from belisha import __version__
from belisha.components.shared.errors import InputError, NoDataError
from belisha.components.shared.files import canonical_json, directory_aside
from belisha.components.shared.manifest import DatasetInfo, Picture, read_info, read_pictures
from belisha.components.shared.model_artifact import (
    MODEL_FILE,
    ModelInfo,
    Thresholds,
    read_model_info,
    write_model_info,
)
from belisha.components.shared.preprocessing import PreprocessingSpec
from belisha.components.shared.progress import ProgressSink
from belisha.components.shared.splits import Part, Split, pictures_of, read_split
from belisha.components.shared.storage import join_uri, open_store
from belisha.components.train import card, environment, tracking
from belisha.components.train.job import Job
from belisha.components.train.layout import LayoutCounts, lay_out, read_index
from belisha.components.train.reference import write_reference
from belisha.components.train.settings import TrainSettings

REPORT_FILE = "report.html"
CARD_FILE = "card.md"
# Pictures of the validation part on which the serving threshold is chosen, at most: the curve is steady long before.
_THRESHOLD_PICTURES = 1000


@dataclass(frozen=True, slots=True)
class TrainSummary:
    """What a training has made.

    Attributes:
        key: of the training: the same data, settings and software give the same key.
        model_digest: of the whole artifact.
        weights_digest: over the tensors.
        weights_uri: checkpoint that a later training may start from.
        weights_origin: where this one started.
        best_epoch: whose weights were exported; 0 means the given weights were not improved upon.
        epochs: done.
        metrics: numbers of the training, by name.
        reused: whether a finished training of this key was taken as it is.
    """

    key: str
    model_digest: str
    weights_digest: str
    weights_uri: str
    weights_origin: str
    best_epoch: int
    epochs: int
    metrics: dict[str, float]
    reused: bool


@dataclass(frozen=True, slots=True)
class _Inputs:
    """The data of a training, read once."""

    info: DatasetInfo
    split: Split
    train: Sequence[Picture]
    val: Sequence[Picture]


def train(
    dataset_dir: Path,
    split_dir: Path,
    model_dir: Path,
    settings: TrainSettings,
    storage_uri: str,
    progress: ProgressSink,
) -> TrainSummary:
    """Train a detector and write it as a model artifact, whole or not at all.

    Args:
        dataset_dir: data set folder.
        split_dir: split folder; its train and val parts are read, never its test part.
        model_dir: replaced by `model.onnx`, `model.json`, `golden/`, `reference/`, `card.md` and `report.html`.
        settings: of the training.
        storage_uri: holds the checkpoints: the same training started again goes on, or returns what it made.
        progress: told of every batch.

    Raises:
        InputError: settings, weights or folders cannot be used.
        NoDataError: nothing to learn from, or to validate on.
        TrainingError: one batch cannot be learned, the loss is no number, or the export gives other boxes.
    """
    settings = settings.resolved()
    tracking.refuse_missing_client()
    if settings.gpus > 1 and importlib.util.find_spec("cloudpickle") is None:
        raise InputError(
            "several GPUs need the package cloudpickle, which is not installed: install it, or name one GPU"
        )
    inputs = _read_inputs(dataset_dir, split_dir)
    environment.prepare()
    from belisha.components.train import checkpoint, weights

    with tempfile.TemporaryDirectory(prefix="belisha-train-") as folder:
        scratch = Path(folder)
        start = weights.fetch_weights(settings, scratch)
        key = checkpoint.training_key(settings, inputs.info.digest, inputs.split.digest, start.digest)
        uri = join_uri(storage_uri, "checkpoints", key)
        if checkpoint.restore_finished(open_store(uri), model_dir):
            return _summary(read_model_info(model_dir), uri, reused=True)
        job = Job(scratch, settings, start.path, uri, key)
        job.write()
        counts = _lay_out(job, inputs, progress)
        state = _trained(job, progress)
        with directory_aside(model_dir) as aside:
            info = _export(job, state, inputs, counts, start.sentence, aside, progress)
        checkpoint.save_finished(open_store(uri), model_dir)
    tracking.track(f"train-{key[:12]}", settings.to_json(), state.history, info.metrics, [model_dir / MODEL_FILE])
    return _summary(read_model_info(model_dir), uri, reused=False)


def _read_inputs(dataset_dir: Path, split_dir: Path) -> _Inputs:
    info, split, pictures = read_info(dataset_dir), read_split(split_dir), read_pictures(dataset_dir)
    parts = {part: pictures_of(pictures, split.ids(part)) for part in (Part.TRAIN, Part.VAL)}
    for part, found in parts.items():
        if not any(not box.ignore for picture in found for box in picture.boxes):
            raise NoDataError(
                f"the {part.value} part has {len(found)} pictures and no pedestrian: add labelled pictures and split again"
            )
    return _Inputs(info, split, parts[Part.TRAIN], parts[Part.VAL])


def _lay_out(job: Job, inputs: _Inputs, progress: ProgressSink) -> dict[str, LayoutCounts]:
    limit = job.settings.max_ignored_ratio
    counts = {
        "train": lay_out(
            inputs.train, job.train_index, job.scratch, max_ignored_ratio=limit, progress=progress, step="lay out train"
        ),
        "val": lay_out(
            inputs.val, job.val_index, job.scratch, max_ignored_ratio=1.0, progress=progress, step="lay out val"
        ),
    }
    if not counts["train"].pedestrians:
        raise NoDataError(
            f"no pedestrian is left to learn: {counts['train'].left_out} pictures were left out because more than {limit:.0%} "
            "of them is ignored; raise max_ignored_ratio"
        )
    return counts


def _trained(job: Job, progress: ProgressSink) -> Any:
    """The final state of the training, which runs only as far as it has not run before."""
    from belisha.components.train.checkpoint import load_state
    from belisha.components.train.overfit import overfit_check
    from belisha.components.train.trainer import BelishaTrainer, arguments_of, use_threads

    state = load_state(job.checkpoint_uri)
    if state is not None and state.finished:
        return state
    use_threads(job.settings.threads)
    arguments = arguments_of(job)
    if state is None and job.settings.epochs and job.settings.overfit_steps:
        job.overfit_file.write_bytes(canonical_json(overfit_check(job, arguments, progress).to_json()))
    trainer = BelishaTrainer(overrides=arguments)
    trainer.progress = progress
    trainer.train()
    state = load_state(job.checkpoint_uri)
    if state is None or not state.finished:
        raise RuntimeError("training ended without a final state")
    return state


def _export(
    job: Job,
    state: Any,
    inputs: _Inputs,
    counts: dict[str, LayoutCounts],
    start: str,
    folder: Path,
    progress: ProgressSink,
) -> ModelInfo:
    """Write the artifact's files into `folder`."""
    from belisha.components.shared.detector import OnnxDetector
    from belisha.components.train import export, weights
    from belisha.components.train.checkpoint import WEIGHTS_KEY

    settings = job.settings
    model = export.trained_model(job, state.best)
    open_store(job.checkpoint_uri).write(WEIGHTS_KEY, weights.checkpoint_bytes(model, settings))
    export.export_onnx(model, settings.image_size_px, folder)
    info = _describe(job, state, inputs, counts, start, weights.weights_digest(state.best))
    write_model_info(folder, info)
    info = replace(info, thresholds=_thresholds(folder, inputs.val, progress))
    torch_detector = export.TorchDetector(model, settings.image_size_px, info.thresholds)
    check = export.add_golden(folder, OnnxDetector(folder), torch_detector, inputs.train)
    licences = sorted({picture.licence for picture in inputs.train if picture.licence})
    write_reference(folder, inputs.val, info.thresholds.score, progress)
    (folder / CARD_FILE).write_text(card.model_card(info, inputs.info, start, check.sentence, licences))
    completed = write_model_info(folder, info)
    export.prove_stored(folder)
    _report(job, state, counts, start, check.sentence, folder, info)
    return completed


def _describe(
    job: Job, state: Any, inputs: _Inputs, counts: dict[str, LayoutCounts], start: str, weights_digest: str
) -> ModelInfo:
    size_px = job.settings.image_size_px
    best = next(row for row in state.history if row["epoch"] == state.best_epoch)
    names = ("val_ap50", "val_ap50_95", "val_precision", "val_recall", "box_loss", "cls_loss", "dfl_loss")
    recorded = {name: value for name, value in job.settings.to_json().items() if name != "weights_uri"}
    recorded["architecture"] = job.settings.architecture_name
    return ModelInfo(
        preprocessing=PreprocessingSpec(height_px=size_px, width_px=size_px),
        thresholds=Thresholds(),
        dataset_digest=inputs.info.digest,
        split_digest=inputs.split.digest,
        weights_origin=start,
        training={
            "settings": recorded,
            "key": job.key,
            "weights_digest": weights_digest,
            "best_epoch": state.best_epoch,
            "epochs": state.epoch,
            "overfit": state.overfit,
            "pictures": {part: {n: getattr(row, n) for n in LayoutCounts.__slots__} for part, row in counts.items()},
        },
        metrics={"best_epoch": float(state.best_epoch), **{name: best[name] for name in names if name in best}},
        code_version=__version__,
        licence=card.LICENCE,
    )


def _thresholds(folder: Path, val: Sequence[Picture], progress: ProgressSink) -> Thresholds:
    """The serving threshold: where F1 on the validation part is largest, by the exported model itself."""
    from belisha.components.shared.detector import OnnxDetector
    from belisha.components.shared.evaluation import best_f1_threshold, detection_set, evaluation_set
    from belisha.components.shared.inference import detect_all

    pictures = val[:_THRESHOLD_PICTURES]
    found = detect_all(OnnxDetector(folder), pictures, progress, step="choose threshold")
    truth = evaluation_set(pictures, {picture.image_id: picture.image_id for picture in pictures})
    try:
        return Thresholds(score=round(best_f1_threshold(truth, detection_set(truth, found)), 4))
    except NoDataError:
        return Thresholds()


def _report(
    job: Job, state: Any, counts: dict[str, LayoutCounts], start: str, proof: str, folder: Path, info: ModelInfo
) -> None:
    from belisha.components.train.training_report import ReportFacts, write_training_report

    facts = ReportFacts(
        start=start,
        settings=info.training["settings"],
        counts=counts,
        overfit=state.overfit,
        overfit_sentence=state.overfit.get("sentence", "The check on one batch was left out."),
        history=state.history,
        best_epoch=state.best_epoch,
        metrics={**info.metrics, "score_threshold": info.thresholds.score},
        proof=proof,
        samples=read_index(job.train_index),
        seconds=state.seconds,
    )
    write_training_report(folder / REPORT_FILE, facts)


def _summary(info: ModelInfo, uri: str, *, reused: bool) -> TrainSummary:
    return TrainSummary(
        key=info.training["key"],
        model_digest=info.digest,
        weights_digest=info.training["weights_digest"],
        weights_uri=f"{uri}/weights.pt",
        weights_origin=info.weights_origin,
        best_epoch=info.training["best_epoch"],
        epochs=info.training["epochs"],
        metrics={**info.metrics, "score_threshold": info.thresholds.score},
        reused=reused,
    )
