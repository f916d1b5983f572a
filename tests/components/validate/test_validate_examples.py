from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from belisha.components.shared.detector import OnnxDetector
from belisha.components.shared.images import ImageArray
from belisha.components.shared.inference import read_image
from belisha.components.shared.manifest import Picture
from belisha.components.shared.picture_store import PictureReader
from belisha.components.shared.progress import silent
from belisha.components.validate import latency
from belisha.components.validate.examples import (
    FALSE_ALARMS,
    GOOD_ONES,
    MISSES,
    PER_GROUP,
    good_ones,
    scene_of,
    worst_false_alarms,
    worst_misses,
)
from belisha.components.validate.parts import PartData, run_part
from tests.bright_world import Bright, Scene, build_world
from tests.components.validate.test_validate import build, run
from tests.onnx_models import write_tiny_model

THRESHOLD = 0.25


def part_of(root: Path, scenes: list[Scene]) -> PartData:
    world = build_world(root, scenes)
    write_tiny_model(root / "model")
    groups = {picture.image_id: scene.group for picture, scene in zip(world.pictures, scenes, strict=True)}
    pictures = sorted(world.pictures, key=lambda picture: picture.image_id)
    return run_part("val", pictures, groups, OnnxDetector(root / "model"), silent)


def read(picture: Picture) -> ImageArray:
    return read_image(picture, PictureReader())


def caption_of(markup: str) -> str:
    found = re.search(r"<figcaption>(.*?)</figcaption>", markup)
    assert found is not None
    return found[1]


def test_misses_say_why_and_the_best_visible_come_first(tmp_path: Path) -> None:
    part = part_of(
        tmp_path,
        [
            Scene("val", [Bright(0, 0, 0, visible_ratio=0.5)], "a", "night"),
            Scene("val", [Bright(1, 1, 40)], "b", "day"),
            Scene("val", [Bright(2, 2)], "c"),
        ],
    )
    captions = [caption_of(markup) for markup in worst_misses(part, THRESHOLD, read)]
    assert len(captions) == 2
    assert captions[0].startswith("Missed, 32 px high: seen, but scored only 0.16. day")
    assert captions[1].startswith("Missed, 32 px high, 50% visible: no box overlaps it enough (best IoU 0.00). night")


def test_false_alarms_come_surest_first(tmp_path: Path) -> None:
    part = part_of(
        tmp_path,
        [
            Scene("val", [Bright(0, 0, 100, labelled=False)], "a"),
            Scene("val", [Bright(0, 0, 200, labelled=False)], "b"),
            Scene("val", [Bright(0, 0, 20, labelled=False)], "c"),
            Scene("val", [Bright(0, 0, 250, ignore=True)], "d"),
        ],
    )
    captions = [caption_of(markup) for markup in worst_false_alarms(part, THRESHOLD, read)]
    assert [caption.split(":")[0] for caption in captions] == [
        "False alarm, score 0.78",
        "False alarm, score 0.39",
    ]
    assert all("nobody is labelled there" in caption for caption in captions)


def test_one_sequence_does_not_fill_the_page(tmp_path: Path) -> None:
    wrong = [Bright(row, column, 0) for row in range(3) for column in range(3)]
    wrong += [Bright(row, column, 255, labelled=False) for row in range(3) for column in range(3, 6)]
    part = part_of(tmp_path, [Scene("val", wrong, f"g{index // 2}") for index in range(12)])
    assert len(worst_misses(part, THRESHOLD, read)) == MISSES
    assert len(worst_false_alarms(part, THRESHOLD, read)) == FALSE_ALARMS
    alone = part_of(tmp_path / "alone", [Scene("val", wrong, "one") for _ in range(3)])
    assert len(worst_misses(alone, THRESHOLD, read)) == PER_GROUP
    assert good_ones(part, THRESHOLD, read) == []


def test_good_ones_are_without_any_error(tmp_path: Path) -> None:
    good = [Scene("val", [Bright(0, index % 6)], f"g{index}") for index in range(GOOD_ONES + 2)]
    bad = [Scene("val", [Bright(0, 0), Bright(1, 1, 0)], "bad"), Scene("val", [], "empty")]
    assert len(good_ones(part_of(tmp_path / "many", [*good, *bad]), THRESHOLD, read)) == GOOD_ONES
    assert good_ones(part_of(tmp_path / "none", bad), THRESHOLD, read) == []


def test_a_scene_sorts_every_box_once(tmp_path: Path) -> None:
    brights = [
        Bright(0, 0),
        Bright(0, 2, 0),
        Bright(0, 4, 40),
        Bright(2, 0, 200, labelled=False),
        Bright(2, 2, 250, ignore=True),
    ]
    scene = scene_of(part_of(tmp_path, [Scene("val", brights, "a")]), 0, THRESHOLD)
    np.testing.assert_array_equal(scene.found_truth, [[0, 0, 16, 32]])
    np.testing.assert_array_equal(scene.missed, [[32, 0, 16, 32], [64, 0, 16, 32]])
    np.testing.assert_array_equal(scene.ignored, [[32, 64, 16, 32]])
    np.testing.assert_allclose(scene.false, [[0, 64, 16, 32]], atol=1e-4)
    np.testing.assert_allclose(scene.right, [[0, 0, 16, 32]], atol=1e-4)


def test_eyes_see_val_and_never_the_sealed_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "REPETITIONS", 2)
    world = build(tmp_path)
    run(world)
    html = (tmp_path / "out" / "report.html").read_text()
    shown = {part for image_id, part in world.part_of.items() if f"{image_id[:12]}</figcaption>" in html}
    assert shown == {"val"}
