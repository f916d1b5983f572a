"""The debugging check before any long training: can this model, with these labels and settings, learn one batch by heart?

It goes through the same data set, loss and optimizer as the training. It finds labels that do not belong to their pictures'
format, a learning rate that does nothing or too much, and a broken loss. A network can also learn wrong labels by heart, so
it says nothing about their truth.
"""

from __future__ import annotations

import math
import random
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from belisha.components.shared.errors import NoDataError, TrainingError
from belisha.components.shared.progress import ProgressEvent, ProgressSink
from belisha.components.train.job import Job
from belisha.components.train.layout import TrainPicture
from belisha.components.train.loader import ManifestDataset
from belisha.components.train.weights import build_model
from belisha.components.train.yolo import box_iou, get_cfg, non_max_suppression

STEP = "overfit"
PICTURES = 4
SIZE_PX = 320
LEAST_HEIGHT_PX = 24
# A batch counts as learned when its loss has fallen below this share of the first value and this share of boxes is found.
LOSS_RATIO = 0.7
RECALL = 0.5
_CHECK_EVERY = 10
# A batch whose loss has fallen but whose boxes are not found yet is given so many times the steps: few boxes are found late.
_PATIENCE = 3
_SCORE = 0.1
_MAX_BOXES = 300
# A model that covers the picture with boxes finds everything: only this many guesses a labelled box count.
_GUESSES = 2


@dataclass(frozen=True, slots=True)
class OverfitCheck:
    """What the check found.

    Attributes:
        steps: optimizer steps done.
        first_loss: mean over the first three steps.
        last_loss: mean over the last three.
        recall: share of the batch's boxes found at IoU 0.5 with score 0.1 or more, 0..1.
        boxes: that were to be found: those of 24 px height and more.
        pictures: in the batch.
        image_size_px: at which it ran.
        seconds: it took.
    """

    steps: int
    first_loss: float
    last_loss: float
    recall: float
    boxes: int
    pictures: int
    image_size_px: int
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether the batch was learned."""
        return self.last_loss <= LOSS_RATIO * self.first_loss and self.recall >= RECALL

    @property
    def sentence(self) -> str:
        """The finding with its numbers."""
        verb = "was" if self.passed else "was not"
        return (
            f"one batch of {self.pictures} pictures {verb} learned by heart: after {self.steps} steps the loss is "
            f"{self.last_loss:.2f} of {self.first_loss:.2f} at first (at most {LOSS_RATIO:g} of it is wanted) and "
            f"{self.recall:.0%} of {self.boxes} boxes are found (at least {RECALL:.0%} wanted)"
        )

    def to_json(self) -> dict[str, Any]:
        """The numbers as JSON values, without the time they took."""
        value = {name: number for name, number in asdict(self).items() if name != "seconds"}
        return {**value, "passed": self.passed, "sentence": self.sentence}


def overfit_check(job: Job, arguments: dict[str, Any], progress: ProgressSink) -> OverfitCheck:
    """Learn one batch of the training part by heart.

    Args:
        job: laid out and written.
        arguments: ultralytics' arguments of the training.
        progress: told of each step.

    Raises:
        NoDataError: no picture of the training part has a pedestrian that is large enough.
        TrainingError: the batch was not learned.
    """
    began = time.monotonic()
    _seed(job.settings.seed)
    size_px = min(job.settings.image_size_px, SIZE_PX)
    device = _device(job.settings.device)
    hyper = get_cfg(overrides={**arguments, "imgsz": size_px, "mosaic": 0.0, "device": "cpu"})
    batch = _batch(job, hyper, size_px, device)
    model = build_model(job.settings, job.weights_path).to(device)
    model.args = hyper
    losses, recall = _learn(model, batch, job, progress)
    check = OverfitCheck(
        steps=len(losses),
        first_loss=float(np.mean(losses[:3])),
        last_loss=float(np.mean(losses[-3:])),
        recall=recall,
        boxes=int((batch["bboxes"][:, 3] * batch["img"].shape[2] >= LEAST_HEIGHT_PX).sum()),
        pictures=len(batch["img"]),
        image_size_px=size_px,
        seconds=time.monotonic() - began,
    )
    if not check.passed:
        raise TrainingError(
            f"{check.sentence}; look at the boxes in the data card, then at train_learning_rate "
            f"({job.settings.learning_rate:g}) and train_architecture"
        )
    return check


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _device(name: str) -> torch.device:
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device(f"cuda:{name.split(',')[0] or 0}")


def _batch(job: Job, hyper: Any, size_px: int, device: torch.device) -> dict[str, Any]:
    dataset = ManifestDataset(
        img_path=str(job.train_index),
        imgsz=size_px,
        augment=False,
        hyp=hyper,
        batch_size=PICTURES,
        data={"names": {0: "pedestrian"}, "nc": 1, "channels": 3},
        task="detect",
    )
    chosen = choose(dataset.entries, size_px)
    if not chosen:
        raise NoDataError(
            f"no training picture has a pedestrian of {LEAST_HEIGHT_PX} px and more at {size_px} px: add pictures, or raise "
            "train_image_size"
        )
    batch = dataset.collate_fn([dataset[index] for index in chosen])
    batch = {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in batch.items()}
    batch["img"] = batch["img"].float() / 255
    return batch


def choose(entries: list[TrainPicture], size_px: int) -> list[int]:
    """The pictures whose pedestrians are all large enough and fewest, so that a few seconds suffice to learn them."""
    candidates = []
    for index, entry in enumerate(entries):
        scale = size_px / max(entry.width_px, entry.height_px)
        heights = [box[3] * scale for box in entry.boxes_xywh_px]
        if heights and max(heights) >= LEAST_HEIGHT_PX:
            small = sum(height < LEAST_HEIGHT_PX for height in heights)
            candidates.append((small, len(heights), entry.path, index))
    return [index for *_, index in sorted(candidates)[:PICTURES]]


def _learn(model: Any, batch: dict[str, Any], job: Job, progress: ProgressSink) -> tuple[list[float], float]:
    """Losses of all steps, and the share of boxes found in the end; stops as soon as the batch is learned."""
    settings = job.settings
    rate = settings.learning_rate or 0.0
    if not math.isfinite(rate):
        raise TrainingError(f"the learning rate is {rate}: set train_learning_rate to a number such as 0.002")
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    losses: list[float] = []
    recall, steps = 0.0, settings.overfit_steps
    model.train()
    while len(losses) < steps:
        step = len(losses) + 1
        optimizer.zero_grad()
        loss = model.loss(batch)[0].sum()
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            raise TrainingError(
                f"the loss on one batch became {losses[-1]:g} after {step} steps with learning rate {rate:g}: lower "
                "train_learning_rate or look at the boxes in the data card"
            )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        progress(ProgressEvent(STEP, step, steps, "steps", f"loss {losses[0]:.1f} at first"))
        if step % _CHECK_EVERY == 0 and np.mean(losses[-3:]) <= LOSS_RATIO * np.mean(losses[:3]):
            recall = found_ratio(model, batch)
            if recall >= RECALL:
                break
            steps = _PATIENCE * settings.overfit_steps
    progress(ProgressEvent(STEP, len(losses), len(losses), "steps", f"{recall:.0%} of the boxes found"))
    return losses, recall


@torch.no_grad()  # type: ignore[untyped-decorator]
def found_ratio(model: Any, batch: dict[str, Any]) -> float:
    """Share of the batch's large boxes that the model finds at IoU 0.5, 0..1; batch statistics stand in for running ones."""
    model.eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.train()
            module.momentum, kept = 0.0, module.momentum
            module.kept_momentum = kept
    output = model(batch["img"])
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = module.kept_momentum
    detections = non_max_suppression(output, conf_thres=_SCORE, iou_thres=0.5, max_det=_MAX_BOXES, nc=1)
    height, width = batch["img"].shape[2:]
    large = batch["bboxes"][:, 3] * height >= LEAST_HEIGHT_PX
    found = 0
    for index, boxes in enumerate(detections):
        truth = batch["bboxes"][(batch["batch_idx"] == index) & large]
        corners = torch.cat([truth[:, :2] - truth[:, 2:] / 2, truth[:, :2] + truth[:, 2:] / 2], dim=1)
        corners = corners * torch.tensor([width, height, width, height], device=corners.device)
        best = boxes[: _GUESSES * len(corners), :4]
        if len(best):
            found += int((box_iou(corners, best).max(dim=1).values >= 0.5).sum())
    return found / max(1, int(large.sum()))
