"""Pictures and boxes fed to ultralytics so that each batch depends on seed, epoch and place in it alone.

Order, augmentation and mosaic partners are drawn anew from (seed, epoch, position). A training that goes on after a kill,
on another machine or with another number of worker processes therefore sees the same batches as one that never stopped.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from belisha.components.train.layout import TrainPicture, paint_ignored, read_index
from belisha.components.train.yolo import InfiniteDataLoader, YOLODataset

# Decoded pictures that one loading process keeps for mosaics and for the next epoch.
CACHE_BYTES = 256_000_000
_MOSAIC_WINDOW = 256
_MOSAIC_WINDOW_LEAST = 16


class EpochOrder:
    """The order of pictures in each epoch, computable by every process without a word to the others."""

    def __init__(self, pictures: int, seed: int, rank: int = 0, world: int = 1) -> None:
        self.seed, self._pictures, self._rank, self._world = seed, pictures, rank, world
        self._last: tuple[int, npt.NDArray[np.int64]] = (-1, np.zeros(0, np.int64))

    def __len__(self) -> int:
        """Pictures of this rank in an epoch; equal on all ranks."""
        return -(-self._pictures // self._world)

    def indices(self, epoch: int) -> npt.NDArray[np.int64]:
        """Picture numbers of this rank in the epoch's order."""
        if self._last[0] != epoch:
            everyone = np.random.default_rng([self.seed, epoch]).permutation(self._pictures)
            padded = np.resize(everyone, len(self) * self._world)
            self._last = (epoch, padded[self._rank :: self._world].astype(np.int64))
        return self._last[1]


class EpochSampler:
    """Yields (epoch, position) for one epoch an iteration, beginning with `next_epoch`."""

    def __init__(self, order: EpochOrder) -> None:
        self.order, self.next_epoch = order, 0

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch, self.next_epoch = self.next_epoch, self.next_epoch + 1
        for position in range(len(self.order)):
            yield epoch, position

    def set_epoch(self, epoch: int) -> None:
        """Asked for by ultralytics on several GPUs; the sampler counts by itself, ahead of the worker processes."""


class ManifestDataset(YOLODataset):  # type: ignore[misc]
    """ultralytics' dataset over our index of pictures and boxes, without label files, scans or cache files."""

    order: EpochOrder | None = None

    def get_img_files(self, img_path: str | list[str]) -> list[str]:
        """Files named by the index at `img_path`."""
        self.entries: list[TrainPicture] = read_index(Path(str(img_path)))
        self._kept: OrderedDict[int, int] = OrderedDict()
        self._kept_bytes = 0
        return [entry.path for entry in self.entries]

    def get_labels(self) -> list[dict[str, Any]]:
        """Boxes of the index in ultralytics' form: centre and size as ratios of the picture's."""
        return [_label(entry) for entry in self.entries]

    def set_rectangle(self) -> None:
        """Sort by aspect ratio for validation, our entries along with ultralytics' own lists."""
        by_path = {entry.path: entry for entry in self.entries}
        super().set_rectangle()
        self.entries = [by_path[path] for path in self.im_files]

    def __getitem__(self, index: int | tuple[int, int]) -> dict[str, Any]:
        """One augmented sample; for training `index` is (epoch, position)."""
        if not isinstance(index, tuple) or self.order is None:
            return dict(super().__getitem__(index))
        epoch, position = index
        indices = self.order.indices(epoch)
        number = int(indices[position])
        words = np.random.SeedSequence([self.order.seed, epoch, number]).generate_state(2)
        random.seed(int(words[0]))
        np.random.seed(int(words[1]))
        # Mosaic partners come from pictures loaded shortly before, which are likely to be decoded still.
        window = np.arange(position - min(_MOSAIC_WINDOW, max(position, _MOSAIC_WINDOW_LEAST)), position)
        self.buffer = indices[window % len(indices)].tolist()
        return dict(super().__getitem__(number))

    def load_image(self, i: int, *args: Any, **kwargs: Any) -> tuple[Any, tuple[int, int], tuple[int, int]]:
        """Decode and scale a picture, or take it from memory; ignored regions are painted over."""
        known = self.ims[i] is not None
        partners, self.buffer = self.buffer, []
        image, original_hw, scaled_hw = super().load_image(i, *args, **kwargs)
        self.buffer = partners
        if not known:
            paint_ignored(image, self.entries[i])
            self._keep(i)
        return image, original_hw, scaled_hw

    def _keep(self, number: int) -> None:
        if self.ims[number] is None:
            return
        self._kept[number] = self.ims[number].nbytes
        self._kept_bytes += self._kept[number]
        while self._kept_bytes > CACHE_BYTES and len(self._kept) > 1:
            oldest, size = self._kept.popitem(last=False)
            self.ims[oldest] = None
            self._kept_bytes -= size


def _label(entry: TrainPicture) -> dict[str, Any]:
    boxes = np.array(entry.boxes_xywh_px, dtype=np.float64).reshape(-1, 4)
    boxes[:, :2] += boxes[:, 2:] / 2
    boxes /= [entry.width_px, entry.height_px] * 2
    return {
        "im_file": entry.path,
        "shape": (entry.height_px, entry.width_px),
        "cls": np.zeros((len(boxes), 1), np.float32),
        "bboxes": boxes.astype(np.float32),
        "segments": [],
        "keypoints": None,
        "normalized": True,
        "bbox_format": "xywh",
    }


def training_loader(dataset: ManifestDataset, order: EpochOrder, batch: int, workers: int, *, cuda: bool) -> Any:
    """Batches of the training part for one process, without end."""
    dataset.order = order
    batches = -(-len(order) // batch)
    workers = min(workers, batches) if batches > 1 else 0
    return InfiniteDataLoader(
        dataset=dataset,
        batch_size=min(batch, len(order)),
        sampler=EpochSampler(order),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=cuda,
        collate_fn=dataset.collate_fn,
        generator=torch.Generator().manual_seed(order.seed),
    )
