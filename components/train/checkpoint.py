"""The whole state of a training in one object of the store, and the finished artifact beside it.

ultralytics' own checkpoints round weights to half precision and know no random state, so a resumed training differs from
one that never stopped. Ours holds everything at full precision; randomness needs no state (see loader.py).
"""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from belisha import __version__
from belisha.components.shared.errors import ContractError
from belisha.components.shared.files import canonical_json, directory_aside, sha256_hex, sha256_of_file
from belisha.components.shared.storage import ObjectStore, open_store
from belisha.components.train.settings import TrainSettings

STATE_KEY = "state.pt"
FINISHED_KEY = "finished.tar"
WEIGHTS_KEY = "weights.pt"
_STATE_SCHEMA = "belisha.train-state/1"
# These decide neither weights nor metrics (threads: not beyond rounding).
_WITHOUT_EFFECT = ("checkpoint_time_ratio", "weights_uri", "workers", "threads")


def training_key(settings: TrainSettings, dataset_digest: str, split_digest: str, weights_digest: str) -> str:
    """Digest of all that decides the result of a training, the versions of the software included."""
    from belisha.components.train import yolo

    chosen = {name: value for name, value in settings.to_json().items() if name not in _WITHOUT_EFFECT}
    description = Path(settings.architecture)
    chosen["architecture"] = sha256_of_file(description) if description.is_file() else settings.architecture
    versions = [__version__, yolo.__version__, torch.__version__]
    return sha256_hex(canonical_json([chosen, dataset_digest, split_digest, weights_digest, versions]))


@dataclass
class TrainingState:
    """Everything that the next epoch depends on.

    Attributes:
        epoch: epochs done.
        model: weights and buffers by name.
        ema: their running average, which is what is exported.
        best: the running average at the best epoch so far.
        best_epoch: that epoch; 0 is the start, before any training.
        optimizer: its state.
        scaler: state of the gradient scaler.
        ema_updates: steps the average has seen.
        best_fitness: best validation AP50-95 so far.
        stopper: best fitness and epoch of the early stopping.
        history: one row of numbers an epoch.
        seconds: training time of all runs so far.
        finished: whether training has ended.
        overfit: what the check before training found.
    """

    epoch: int
    model: dict[str, Any]
    ema: dict[str, Any]
    best: dict[str, Any]
    best_epoch: int
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    ema_updates: int
    best_fitness: float
    stopper: dict[str, Any]
    history: list[dict[str, float]]
    seconds: float = 0.0
    finished: bool = False
    overfit: dict[str, Any] = field(default_factory=dict)


def save_state(store: ObjectStore, state: TrainingState) -> None:
    """Write the state; a reader or a kill at any moment sees the old one or the new one."""
    buffer = io.BytesIO()
    torch.save({"schema": _STATE_SCHEMA, **vars(state)}, buffer)
    store.write(STATE_KEY, buffer.getvalue())


def load_state(uri: str) -> TrainingState | None:
    """The state at a store URI, None when there is none; raises ContractError when it is damaged."""
    store = open_store(uri)
    if not store.exists(STATE_KEY):
        return None
    data = store.read(STATE_KEY)
    if not data:
        return None
    try:
        value = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        if value.pop("schema") != _STATE_SCHEMA:
            raise ValueError("unknown schema")
        return TrainingState(**value)
    except Exception as error:  # noqa: BLE001 - unpickling raises whatever it likes on damaged bytes
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise ContractError(
            f"the training state {uri}/{STATE_KEY} is damaged ({reason}): delete it to train from the start"
        ) from None


def save_finished(store: ObjectStore, model_dir: Path) -> None:
    """Keep a finished artifact, and give the state's space back."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(model_dir, arcname=".")
    store.write(FINISHED_KEY, buffer.getvalue())
    store.write(STATE_KEY, b"")


def restore_finished(store: ObjectStore, model_dir: Path) -> bool:
    """Unpack a finished artifact into `model_dir`; False when there is none. Raises ContractError when it is damaged."""
    if not store.exists(FINISHED_KEY):
        return False
    try:
        with (
            tarfile.open(fileobj=io.BytesIO(store.read(FINISHED_KEY)), mode="r") as archive,
            directory_aside(model_dir) as aside,
        ):
            for member in archive:
                _unpack(archive, member, aside)
    except tarfile.TarError as error:
        raise ContractError(
            f"the finished training {store.uri}/{FINISHED_KEY} is damaged ({error}): delete it to train again"
        ) from None
    return True


def _unpack(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Write one file below `folder`; links and paths that lead out are refused, as `filter="data"` of newer Pythons does."""
    path = folder / member.name
    if member.isdir():
        return
    content = archive.extractfile(member) if member.isfile() else None
    if content is None or not path.resolve().is_relative_to(folder.resolve()):
        raise tarfile.TarError(f"{member.name!r} is no file inside it")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.read())
