"""What training sees: the same samples as ultralytics' own data set, and the same whatever loads them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from belisha.components.shared.manifest import boxes_of, read_pictures
from belisha.components.shared.progress import silent
from belisha.components.train.layout import lay_out, read_index


@pytest.fixture
def index(data: tuple[Path, Path, str], tmp_path: Path) -> Path:
    from belisha.components.train import environment

    environment.prepare()
    path = tmp_path / "train.json"
    lay_out(read_pictures(data[0]), path, tmp_path, max_ignored_ratio=1, progress=silent, step="lay out")
    return path


def arguments(mosaic: float) -> dict[str, Any]:
    from ultralytics.cfg import get_cfg

    hyper = get_cfg(overrides={"imgsz": 96, "mosaic": mosaic, "device": "cpu", "augmentations": []})
    data = {"names": {0: "pedestrian"}, "nc": 1, "channels": 3}
    return {"imgsz": 96, "hyp": hyper, "batch_size": 4, "augment": True, "data": data, "task": "detect"}


def ours(index: Path, mosaic: float = 0.0) -> Any:
    from belisha.components.train.loader import ManifestDataset

    return ManifestDataset(img_path=str(index), **arguments(mosaic))


def test_samples_equal_those_of_ultralytics(index: Path, tmp_path: Path) -> None:
    from ultralytics.data.dataset import YOLODataset

    for number, entry in enumerate(read_index(index)):
        for kind in ("images", "labels"):
            (tmp_path / "yolo" / kind).mkdir(parents=True, exist_ok=True)
        (tmp_path / f"yolo/images/{number:03}.png").write_bytes(Path(entry.path).read_bytes())
        rows = []
        for x, y, width, height in entry.boxes_xywh_px:
            ratios = (x + width / 2) / 192, (y + height / 2) / 128, width / 192, height / 128
            rows.append("0 " + " ".join(f"{value:.9f}" for value in ratios))
        (tmp_path / f"yolo/labels/{number:03}.txt").write_text("\n".join(rows))
    theirs = YOLODataset(img_path=str(tmp_path / "yolo/images"), **arguments(0.0))
    mine = ours(index)
    assert len(mine) == len(theirs) == 17
    for number in range(len(mine)):
        samples = []
        for dataset in (mine, theirs):
            random.seed(number)
            np.random.seed(number)
            samples.append(dataset[number])
        assert np.array_equal(samples[0]["img"], samples[1]["img"])
        assert np.allclose(samples[0]["bboxes"], samples[1]["bboxes"], atol=1e-5)


@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_batches_depend_on_seed_and_epoch_alone(index: Path, mosaic: float) -> None:
    from belisha.components.train.loader import EpochOrder, training_loader

    def batches(workers: int, first: int, epochs: int) -> list[Any]:
        dataset = ours(index, mosaic)
        loader = training_loader(dataset, EpochOrder(len(dataset), 5), 4, workers, cuda=False)
        loader.sampler.next_epoch = first
        seen = [batch for _ in range(epochs) for batch in loader]
        loader.close()
        return seen

    whole = batches(workers=0, first=0, epochs=3)
    split = len(whole) // 3
    for other in (batches(workers=0, first=2, epochs=1), batches(workers=2, first=2, epochs=1)):
        for one, two in zip(whole[2 * split :], other, strict=True):
            assert one["im_file"] == two["im_file"]
            assert np.array_equal(one["img"], two["img"])
            assert np.array_equal(one["bboxes"], two["bboxes"])
    assert not np.array_equal(whole[0]["img"], whole[split]["img"]), "another epoch brings other samples"


def test_validation_keeps_every_box_in_its_place(data: tuple[Path, Path, str], index: Path) -> None:
    from belisha.components.train.loader import ManifestDataset

    dataset = ManifestDataset(img_path=str(index), **{**arguments(0.0), "augment": False}, rect=True, pad=0.5)
    by_id = {picture.image_id: picture for picture in read_pictures(data[0])}
    for number in range(len(dataset)):
        sample = dataset[number]
        expected = boxes_of(by_id[Path(sample["im_file"]).name], ignore=False)
        assert len(sample["bboxes"]) == len(expected)
        assert dataset.entries[number].path == sample["im_file"]
