"""ultralytics' detection trainer with our data, our checkpoints and our progress; nothing of its loop is replaced."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from belisha.components.shared.errors import TrainingError
from belisha.components.shared.manifest import CLASSES
from belisha.components.shared.progress import ProgressEvent, ProgressSink, default_sink
from belisha.components.shared.storage import open_store
from belisha.components.train.checkpoint import TrainingState, load_state, save_state
from belisha.components.train.failures import in_one_sentence
from belisha.components.train.job import Job
from belisha.components.train.loader import EpochOrder, ManifestDataset, training_loader
from belisha.components.train.settings import TrainSettings
from belisha.components.train.weights import build_model
from belisha.components.train.yolo import DEFAULT_CFG, LOCAL_RANK, RANK, DetectionTrainer, unwrap_model

STEP = "train"
_SECONDS_BETWEEN_EVENTS = 0.5
# Amplitudes of ultralytics' changes of colour, place and size.
_AUGMENTATIONS = ("hsv_h", "hsv_s", "hsv_v", "translate", "scale")
_LOSSES = ("box_loss", "cls_loss", "dfl_loss")


def arguments_of(job: Job) -> dict[str, Any]:
    """Ultralytics' arguments for a job. One optimizer step a batch (nbs = batch): no gradient outlives an epoch's end."""
    settings = job.settings
    return {
        "model": settings.architecture,
        "data": str(job.path),
        "task": "detect",
        "project": str(job.scratch),
        "name": "run",
        "exist_ok": True,
        "pretrained": False,
        "epochs": max(settings.epochs, 1),  # ultralytics knows no 0; see _NoEpochWantedError
        "imgsz": settings.image_size_px,
        "batch": settings.batch,
        "nbs": settings.batch,
        "lr0": settings.learning_rate,
        "optimizer": settings.optimizer,
        "weight_decay": settings.weight_decay,
        "warmup_epochs": settings.warmup_epochs,
        "warmup_bias_lr": 0.0,
        "patience": settings.patience,
        "seed": settings.seed,
        "deterministic": True,
        "workers": settings.workers,
        "device": settings.device or None,
        "freeze": settings.freeze or None,
        "mosaic": settings.mosaic,
        **{name: getattr(DEFAULT_CFG, name) * settings.augmentation_ratio for name in _AUGMENTATIONS},
        "close_mosaic": settings.epochs // 5 if settings.mosaic else 0,
        "amp": "bf16" if settings.amp and _bfloat16(settings) else False,
        "augmentations": [],
        "plots": False,
        "verbose": False,
    }


class _NoEpochWantedError(Exception):
    """Ends ultralytics' loop before its first epoch, when none is wanted."""


def use_threads(threads: int) -> None:
    """Let PyTorch use that many CPU threads; ultralytics leaves one core idle, which is half of a small machine."""
    torch.set_num_threads(threads or min(8, len(os.sched_getaffinity(0))))


def _bfloat16(settings: TrainSettings) -> bool:
    return settings.device != "cpu" and torch.cuda.is_available() and torch.cuda.is_bf16_supported()


class BelishaTrainer(DetectionTrainer):  # type: ignore[misc]
    """A trainer that can be killed at any moment and goes on to the same result."""

    progress: ProgressSink | None = None

    def run_callbacks(self, event: str) -> None:
        """Our steps at ultralytics' events; its own integrations are never called."""
        step = getattr(self, f"_{event}", None)
        if step is not None:
            step()

    # Data and model

    def get_dataset(self) -> dict[str, Any]:
        """The two indexes named by the job."""
        self.job = Job.read(Path(self.args.data))
        return {
            "train": str(self.job.train_index),
            "val": str(self.job.val_index),
            "nc": len(CLASSES),
            "names": dict(enumerate(CLASSES)),
            "channels": 3,
        }

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> ManifestDataset:
        """A dataset over an index."""
        stride = max(int(unwrap_model(self.model).stride.max()), 32)
        return ManifestDataset(
            img_path=img_path,
            imgsz=self.args.imgsz,
            batch_size=batch,
            augment=mode == "train",
            hyp=self.args,
            rect=mode == "val",
            stride=stride,
            pad=0.0 if mode == "train" else 0.5,
            data=self.data,
            task="detect",
        )

    def get_dataloader(self, dataset_path: str, batch_size: int = 16, rank: int = 0, mode: str = "train") -> Any:
        """Our order for training; ultralytics' own loader for validation."""
        if mode == "val":
            return super().get_dataloader(dataset_path, batch_size, rank, mode)
        dataset = self.build_dataset(dataset_path, mode, batch_size)
        order = EpochOrder(len(dataset), self.args.seed, max(rank, 0), max(self.world_size, 1))
        return training_loader(dataset, order, batch_size, self.args.workers, cuda=self.device.type == "cuda")

    def setup_model(self) -> None:
        """Build the single-class model of the job."""
        if not isinstance(self.model, torch.nn.Module):
            self.model: Any = build_model(self.job.settings, self.job.weights_path)
        for module in self.model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = self.job.settings.batch_norm_momentum

    # Going on where a killed training was

    def resume_training(self, ckpt: Any) -> None:  # noqa: ARG002
        """Take over the state of the same training, if there is one."""
        self._history: list[dict[str, float]] = []
        self._best: dict[str, Any] | None = None
        self._best_epoch, self._seconds_before = 0, 0.0
        self._saved_at, self._save_cost = 0.0, 0.0
        self._overfit = json.loads(self.job.overfit_file.read_text()) if self.job.overfit_file.exists() else {}
        state = load_state(self.job.checkpoint_uri)
        if state is None:
            return
        unwrap_model(self.model).load_state_dict(state.model)
        self.ema.ema.load_state_dict(state.ema)
        self.ema.updates = state.ema_updates
        self.optimizer.load_state_dict(state.optimizer)
        if state.scaler:
            self.scaler.load_state_dict(state.scaler)
        self.best_fitness = state.best_fitness
        self.stopper.__dict__.update(state.stopper)
        self.start_epoch, self._history = state.epoch, state.history
        self._best, self._best_epoch, self._seconds_before = state.best, state.best_epoch, state.seconds
        self._overfit = state.overfit

    def _state(self, *, finished: bool) -> TrainingState:
        return TrainingState(
            epoch=self.epoch + 1,
            model=unwrap_model(self.model).state_dict(),
            ema=self.ema.ema.state_dict(),
            best=self._best or {},
            best_epoch=self._best_epoch,
            optimizer=self.optimizer.state_dict(),
            scaler=self.scaler.state_dict(),
            ema_updates=self.ema.updates,
            best_fitness=float(self.best_fitness or 0.0),
            stopper={
                "best_fitness": float(self.stopper.best_fitness),
                "best_epoch": self.stopper.best_epoch,
                "possible_stop": self.stopper.possible_stop,
            },
            history=self._history,
            seconds=self._seconds_before + time.monotonic() - self._started,
            finished=finished,
            overfit=self._overfit,
        )

    def save_model(self) -> bool:
        """At each epoch's end: remember the best weights, and save the state where that costs little of the time."""
        if self._best is None or self.fitness == self.best_fitness:
            self._remember_best(self.epoch + 1)
        self._history.append(self._row(self.epoch + 1))
        began = time.monotonic()
        ratio = self.job.settings.checkpoint_time_ratio
        due = ratio > 0 and began - self._saved_at >= self._save_cost / ratio
        if due or self.stop:
            save_state(open_store(self.job.checkpoint_uri), self._state(finished=bool(self.stop)))
            self._saved_at = time.monotonic()
            self._save_cost = self._saved_at - began
        return True

    def _remember_best(self, epoch: int) -> None:
        self._best = {name: tensor.detach().cpu().clone() for name, tensor in self.ema.ema.state_dict().items()}
        self._best_epoch = epoch

    def _row(self, epoch: int) -> dict[str, float]:
        losses = {name: float(value) for name, value in (self.tloss or {}).items()}
        learning_rate = float(self.optimizer.param_groups[0]["lr"])
        return {
            "epoch": float(epoch),
            **losses,
            "learning_rate": learning_rate,
            "val_precision": float(self.metrics.get("metrics/precision(B)", 0.0)),
            "val_recall": float(self.metrics.get("metrics/recall(B)", 0.0)),
            "val_ap50": float(self.metrics.get("metrics/mAP50(B)", 0.0)),
            "val_ap50_95": float(self.metrics.get("metrics/mAP50-95(B)", 0.0)),
        }

    def final_eval(self) -> None:
        """Nothing to validate once more: the best weights were validated in their own epoch."""

    def plot_metrics(self) -> None:
        """The report draws its own curves."""

    # Steps at events

    def _on_train_start(self) -> None:
        use_threads(self.job.settings.threads)
        self._started = time.monotonic()
        self._told_at = 0.0
        self._note = self._note_of(self._history[-1]) if self._history else ""
        if self.start_epoch == 0 and not self.job.settings.from_scratch:
            self._validate_start()
        if not self.job.settings.epochs:
            save_state(open_store(self.job.checkpoint_uri), self._state(finished=True))
            raise _NoEpochWantedError

    def _validate_start(self) -> None:
        """Judge the given weights as they are: training may improve on them but never lose to them on validation."""
        self.epoch = -1
        self.loss_items = {name: torch.zeros(1, device=self.device) for name in _LOSSES}
        self.loss = torch.zeros(1, device=self.device)
        self.metrics, self.fitness = self.validate()
        if RANK in {-1, 0}:
            self._remember_best(0)
            self.stopper.best_fitness, self.stopper.best_epoch = float(self.fitness or 0.0), 0
            self._history.append(self._row(0))

    def _on_train_epoch_start(self) -> None:
        self._batches = 0
        self._oom_retries = 3  # a batch made smaller in silence would change the result: stop with a sentence instead
        words = np.random.SeedSequence([self.args.seed, self.epoch, max(RANK, 0)]).generate_state(3)
        random.seed(int(words[0]))
        np.random.seed(int(words[1]))
        torch.manual_seed(int(words[2]))
        if self.train_loader.iterator is None:
            self.train_loader.sampler.next_epoch = self.epoch

    def _close_dataloader_mosaic(self) -> None:
        super()._close_dataloader_mosaic()
        self.train_loader.sampler.next_epoch = self.epoch

    def _on_train_batch_end(self) -> None:
        self._batches += 1
        if RANK not in {-1, 0} or time.monotonic() - self._told_at < _SECONDS_BETWEEN_EVENTS:
            return
        self._told_at = time.monotonic()
        self._tell(self.epoch * len(self.train_loader) + self._batches)

    def _on_train_epoch_end(self) -> None:
        losses = [float(value) for value in (self.tloss or {}).values()]
        if not np.isfinite(losses).all():
            raise TrainingError(
                f"the loss became {losses[0]:g} in epoch {self.epoch + 1}: lower train_learning_rate (now "
                f"{self.args.lr0:g}) or give cleaner labels"
            )

    def _on_fit_epoch_end(self) -> None:
        if RANK in {-1, 0} and self._history:
            self._note = self._note_of(self._history[-1])
            self._tell((self.epoch + 1) * len(self.train_loader))

    def _on_train_end(self) -> None:
        total = self.epochs * len(self.train_loader)
        why = "" if self.epoch + 1 >= self.epochs else f", stopped early after epoch {self.epoch + 1}"
        self._send(ProgressEvent(STEP, total, total, "batches", f"best epoch {self._best_epoch}{why}"))

    def _note_of(self, row: dict[str, float]) -> str:
        losses = " ".join(f"{name.removesuffix('_loss')} {row[name]:.3f}" for name in _LOSSES if name in row)
        ap = f"val AP50 {row['val_ap50']:.3f} AP50-95 {row['val_ap50_95']:.3f}"
        return f"epoch {int(row['epoch'])}/{self.epochs} {losses} {ap}"

    def _tell(self, done: int) -> None:
        self._send(ProgressEvent(STEP, done, self.epochs * len(self.train_loader), "batches", self._note))

    def _send(self, event: ProgressEvent) -> None:
        sink = self.progress or default_sink()
        sink(event)

    def train(self) -> None:
        """Train, here or on several GPUs; every failure becomes one sentence."""
        try:
            super().train()
        except _NoEpochWantedError:
            return
        except Exception as error:
            failure = in_one_sentence(error, self.job)
            if LOCAL_RANK != -1:
                self.job.error_file.write_text(str(failure))
            raise failure from error
