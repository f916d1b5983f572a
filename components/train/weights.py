"""Weights to start from: fetched once, verified, described; and the single-class model built around them."""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from belisha.components.shared.errors import DigestError, InputError, NotFoundError
from belisha.components.shared.files import sha256_hex, write_bytes_atomic
from belisha.components.shared.manifest import CLASSES
from belisha.components.shared.storage import open_store
from belisha.components.train.settings import TrainSettings
from belisha.components.train.yolo import Detect, DetectionModel, load_checkpoint

# Names under which other data sets know our one class, best first.
PEDESTRIAN_NAMES = ("pedestrian", "person", "people", "human", "walker")


@dataclass(frozen=True, slots=True)
class StartWeights:
    """Where a training starts.

    Attributes:
        path: local file; empty from scratch.
        digest: SHA-256 of the file; empty from scratch.
        sentence: the start in words, for log, model.json and card.
    """

    path: str
    digest: str
    sentence: str


def fetch_weights(settings: TrainSettings, scratch: Path) -> StartWeights:
    """Bring the weights into `scratch` and verify them.

    Raises:
        InputError: there is no such file, or it is no ultralytics checkpoint of a detector.
        DigestError: the file is not the one that the settings name.
    """
    if settings.from_scratch:
        return StartWeights(
            "", "", f"from scratch: random weights of {settings.architecture_name}, seed {settings.seed}"
        )
    folder, _, name = settings.weights_uri.rpartition("/")
    try:
        data = open_store(_existing(folder or ".", settings.weights_uri)).read(name)
    except NotFoundError:
        raise InputError(
            f"weights {settings.weights_uri} do not exist: give another --weights, or none to train from scratch"
        ) from None
    digest = sha256_hex(data)
    if settings.weights_sha256 and digest != settings.weights_sha256:
        raise DigestError(
            f"weights {settings.weights_uri} have digest {digest} instead of {settings.weights_sha256}: fetch them again"
        )
    path = scratch / "start.pt"
    write_bytes_atomic(path, data)
    model = load_start(str(path), settings.weights_uri)
    sentence = f"from weights {name}, sha256 {digest}; {describe_head(model)}"
    return StartWeights(str(path), digest, sentence)


def _existing(folder: str, uri: str) -> str:
    """The folder's URI; a local one must exist, for opening a store would create it."""
    if "://" not in folder and not Path(folder).is_dir():
        raise InputError(f"weights {uri} do not exist: give another --weights, or none to train from scratch")
    return folder


def load_start(path: str, name: str) -> Any:
    """The model in a checkpoint; raises InputError with a sentence when it cannot be loaded safely."""
    try:
        with without_output():
            model, _ = load_checkpoint(path)
    except Exception as error:  # noqa: BLE001 - pickles and model descriptions fail in every way
        raise InputError(
            f"weights {name} cannot be loaded as an ultralytics checkpoint ({_reason(error)}): give another file"
        ) from None
    refuse_unknown_head(model, name)
    return model


def refuse_unknown_head(model: Any, name: str) -> None:
    """Raise InputError unless the model is a detector whose output serving can read."""
    head = model.model[-1] if hasattr(model, "model") else None
    if type(head) is not Detect or getattr(head, "one2one_cv2", None) is not None:
        kind = type(head).__name__
        raise InputError(
            f"{name} has a {kind} head, whose output serving cannot read: take a YOLOv8, YOLO11 or YOLO12 detector"
        )


def matching_class(model: Any) -> str | None:
    """The class of a pretrained detector that means pedestrian, None when it has none."""
    names = {str(name).strip().lower(): str(name) for name in dict(model.names).values()}
    for name in PEDESTRIAN_NAMES:
        if name in names:
            return names[name]
    return next(iter(names.values())) if len(names) == 1 else None


def describe_head(model: Any) -> str:
    """What happens to the pretrained classes, in words."""
    known = len(model.names)
    kept = matching_class(model)
    if kept is None:
        return f"none of its {known} classes is a pedestrian, so the class branch starts anew"
    return f"the class branch keeps its {kept!r} out of {known} classes, so training starts from what it knows"


def build_model(settings: TrainSettings, weights_path: str) -> Any:
    """The single-class detector at the start of a training: deterministic given torch's seed."""
    if not weights_path:
        return _described(settings.architecture)
    start = load_start(weights_path, settings.weights_uri)
    model = DetectionModel(start.yaml, ch=3, nc=len(CLASSES), verbose=False)
    model.names = {0: matching_class(start) or CLASSES[0]}
    model.load(start, verbose=False)
    model.names = dict(enumerate(CLASSES))
    return model


def _described(architecture: str) -> Any:
    try:
        with without_output():
            model = DetectionModel(architecture, ch=3, nc=len(CLASSES), verbose=False)
    except Exception as error:  # noqa: BLE001 - pickles and model descriptions fail in every way
        raise InputError(
            f"architecture {architecture!r} cannot be built ({_reason(error)}): give one that ultralytics bundles, such as "
            "yolo11n.yaml or yolov8s.yaml, or the path of a model description"
        ) from None
    refuse_unknown_head(model, architecture)
    model.names = dict(enumerate(CLASSES))
    return model


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0][:160] if str(error) else type(error).__name__


def weights_digest(state: Mapping[str, Any]) -> str:
    """SHA-256 over names, types, shapes and bytes of all tensors, whatever file they lie in."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def checkpoint_bytes(model: Any, settings: TrainSettings) -> bytes:
    """A checkpoint in ultralytics' form, full precision: what a later training may start from."""
    buffer = io.BytesIO()
    torch.save({"model": model, "train_args": {"imgsz": settings.image_size_px, "task": "detect"}}, buffer)
    return buffer.getvalue()


@contextlib.contextmanager
def without_output() -> Iterator[None]:
    """Ultralytics prints where it should log."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
