"""What a training can be told, checked once; what is left open is chosen by whether it starts from weights."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from belisha.components.shared.errors import InputError

DEFAULT_ARCHITECTURE = "yolo11n.yaml"
# Descriptions of our own, found by name beside those that ultralytics bundles.
ARCHITECTURES = Path(__file__).with_name("architectures")
# Measured: .002 learns synthetic pedestrians from nothing in minutes; a tenth of it moves pretrained weights without
# losing what they know.
SCRATCH_LEARNING_RATE = 0.002
FINE_TUNE_LEARNING_RATE = 0.0002
_MOSAIC_FROM_EPOCHS = 30
# ultralytics' 0.03 averages the normalisation over some hundred steps: validation sees random statistics until then.
_LONG_MOMENTUM, _SHORT_MOMENTUM = 0.03, 0.1
_SHORT_EPOCHS = 20
_STRIDE_PX = 32
OPTIMIZERS = ("AdamW", "Adam", "SGD", "RMSProp", "NAdam", "RAdam", "Adamax")


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """Settings of one training.

    Attributes:
        weights_uri: checkpoint to start from (path, `s3://…`, `https://…`); empty trains from scratch.
        weights_sha256: what that file's digest must be; empty takes any and records what was found.
        architecture: model description bundled with ultralytics, e.g. `yolo11n.yaml`, or a path to one of your own; the
            letter before `.yaml` is the width (n, s, m, l, x). With weights their own architecture is used.
        epochs: most epochs; 0 takes the weights as they are: the single-class model is exported and described untrained.
        image_size_px: side of the square input, rounded up to a multiple of 32.
        batch: pictures a step, over all GPUs together.
        learning_rate: of the first epoch; None chooses by the start: 0.002 from scratch, 0.0002 from weights.
        optimizer: an explicit one; ultralytics' `auto` would ignore the learning rate.
        weight_decay: L2 penalty.
        warmup_epochs: over which the learning rate rises from 0.
        patience: epochs without a better validation AP after which training stops; 0 never stops early.
        seed: of weights, order and augmentation.
        workers: processes that load pictures; 0 on CPU.
        threads: CPU threads of one training process; 0 takes all cores, at most 8.
        device: empty for the first CUDA device or else the CPU, `cpu`, `0`, or `0,1` for several GPUs.
        freeze: first layers that keep their weights.
        augmentation_ratio: strength of colour, shift and scale changes, 0 (none) to 1 (ultralytics' own).
        batch_norm_momentum: share of each batch in the running statistics; None is 0.1 below 20 epochs from scratch, else
            ultralytics' 0.03.
        mosaic: probability of four-picture mosaics; None is 1 for 30 epochs and more (off for the last fifth), else 0.
        amp: bfloat16 mixed precision on CUDA.
        max_ignored_ratio: training pictures with a larger share of ignored area are left out.
        checkpoint_time_ratio: largest share of the time that saving checkpoints may take; the first and last epoch and
            every epoch that fits are saved. It never changes the result.
        overfit_steps: steps of the check on one batch before training, thrice as many where the loss falls but boxes are
            not found yet; 0 leaves it out and says so.
    """

    weights_uri: str = ""
    weights_sha256: str = ""
    architecture: str = DEFAULT_ARCHITECTURE
    epochs: int = 30
    image_size_px: int = 640
    batch: int = 16
    learning_rate: float | None = None
    optimizer: str = "AdamW"
    weight_decay: float = 0.0005
    warmup_epochs: float = 1.0
    patience: int = 10
    seed: int = 0
    workers: int = 2
    threads: int = 0
    device: str = ""
    freeze: int = 0
    augmentation_ratio: float = 1.0
    batch_norm_momentum: float | None = None
    mosaic: float | None = None
    amp: bool = True
    max_ignored_ratio: float = 0.5
    checkpoint_time_ratio: float = 0.01
    overfit_steps: int = 120

    @property
    def from_scratch(self) -> bool:
        """Whether no weights are given."""
        return not self.weights_uri

    @property
    def architecture_name(self) -> str:
        """The architecture without the folders of this machine."""
        return Path(self.architecture).name

    @property
    def gpus(self) -> int:
        """How many GPUs are asked for by name; 0 for `cpu` and for the automatic choice."""
        return 0 if self.device in ("", "cpu") else len(self.device.split(","))

    def resolved(self) -> TrainSettings:
        """The settings with every open choice made; raises InputError on a value that cannot work."""
        rate = self.learning_rate
        if rate is None:
            rate = SCRATCH_LEARNING_RATE if self.from_scratch else FINE_TUNE_LEARNING_RATE
        mosaic = self.mosaic
        if mosaic is None:
            mosaic = 1.0 if self.epochs >= _MOSAIC_FROM_EPOCHS else 0.0
        momentum = self.batch_norm_momentum
        if momentum is None:
            momentum = _SHORT_MOMENTUM if self.from_scratch and self.epochs < _SHORT_EPOCHS else _LONG_MOMENTUM
        size_px = math.ceil(self.image_size_px / _STRIDE_PX) * _STRIDE_PX
        resolved = replace(
            self,
            architecture=self._found_architecture(),
            learning_rate=rate,
            batch_norm_momentum=momentum,
            mosaic=mosaic,
            image_size_px=size_px,
        )
        _check(resolved)
        return resolved

    def _found_architecture(self) -> str:
        own = ARCHITECTURES / self.architecture
        return str(own) if own.is_file() else self.architecture

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON values."""
        return asdict(self)


def _check(settings: TrainSettings) -> None:
    for name, low, high in (
        ("epochs", 0, 100_000),
        ("image_size_px", _STRIDE_PX, 4096),
        ("batch", 1, 4096),
        ("patience", 0, 100_000),
        ("workers", 0, 256),
        ("threads", 0, 256),
        ("freeze", 0, 100),
        ("seed", 0, 2**31 - 1),
        ("overfit_steps", 0, 10_000),
        ("warmup_epochs", 0, 1000),
        ("weight_decay", 0, 1),
        ("augmentation_ratio", 0, 1),
        ("batch_norm_momentum", 1e-6, 1),
        ("mosaic", 0, 1),
        ("max_ignored_ratio", 0, 1),
        ("checkpoint_time_ratio", 0, 1),
    ):
        value = getattr(settings, name)
        if not low <= value <= high:
            raise InputError(f"training setting {name} is {value}: expected {low} to {high}")
    if settings.from_scratch and not settings.epochs:
        raise InputError(
            "training setting epochs is 0 and there are no weights to take as they are: give weights or epochs"
        )
    rate = settings.learning_rate
    if rate is None or not math.isfinite(rate) or not 0 < rate <= 1:
        raise InputError(f"training setting learning_rate is {rate}: expected a number above 0 and at most 1")
    if settings.optimizer not in OPTIMIZERS:
        raise InputError(
            f"training setting optimizer is {settings.optimizer!r}: expected one of {', '.join(OPTIMIZERS)}"
        )
    _check_devices(settings)


def _check_devices(settings: TrainSettings) -> None:
    if settings.gpus and not all(part.isdigit() for part in settings.device.split(",")):
        raise InputError(f"training setting device is {settings.device!r}: expected nothing, cpu, 0 or 0,1")
    if settings.gpus > 1 and settings.batch % settings.gpus:
        raise InputError(
            f"a batch of {settings.batch} cannot be shared by {settings.gpus} GPUs: choose a multiple of {settings.gpus}"
        )
