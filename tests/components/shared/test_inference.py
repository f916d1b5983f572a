from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from belisha.components.shared.detector import OnnxDetector
from belisha.components.shared.errors import DigestError, InputError, NotFoundError
from belisha.components.shared.files import sha256_hex
from belisha.components.shared.inference import detect_all, map_bounded
from belisha.components.shared.progress import ProgressEvent, silent
from belisha.components.shared.storage import local_path
from tests.bright_world import Bright, Scene, World, build_world
from tests.onnx_models import write_tiny_model


@pytest.fixture
def world(tmp_path: Path) -> World:
    scenes = [Scene("test", [Bright(index % 3, index % 6, 100 + index)]) for index in range(7)]
    return build_world(tmp_path, [*scenes, Scene("test")])


@pytest.fixture
def detector(tmp_path: Path) -> OnnxDetector:
    write_tiny_model(tmp_path / "model")
    return OnnxDetector(tmp_path / "model")


@pytest.mark.parametrize("workers", [1, 4])
def test_every_picture_is_answered_with_its_own_boxes(world: World, detector: OnnxDetector, workers: int) -> None:
    found = detect_all(detector, world.pictures, silent, 0.1, workers=workers)
    assert list(found) == [picture.image_id for picture in world.pictures]
    for index, picture in enumerate(world.pictures[:-1]):
        box = picture.boxes[0]
        np.testing.assert_allclose(
            found[picture.image_id].boxes_xywh_px, [[box.x, box.y, box.width, box.height]], atol=1e-4
        )
        assert found[picture.image_id].scores[0] == pytest.approx((100 + index) / 255, abs=1e-4)
    assert len(found[world.pictures[-1].image_id]) == 0


def test_threshold_none_is_the_detectors_own(world: World, detector: OnnxDetector) -> None:
    threshold = detector.info.thresholds.score
    found = detect_all(detector, world.pictures, silent, None)
    assert all((boxes.scores > threshold).all() for boxes in found.values())


def test_no_pictures_give_no_answers(detector: OnnxDetector) -> None:
    assert detect_all(detector, [], silent, 0.1) == {}


def test_progress_counts_every_picture(world: World, detector: OnnxDetector) -> None:
    events: list[ProgressEvent] = []
    detect_all(detector, world.pictures, events.append, 0.1, step="look")
    assert events[0].done == 0
    assert events[-1] == ProgressEvent("look", 8, 8, "pictures")


def test_a_damaged_picture_is_named(world: World, detector: OnnxDetector) -> None:
    local_path(world.pictures[3].uri).write_bytes(b"flipped")
    with pytest.raises(DigestError, match=world.pictures[3].image_id):
        detect_all(detector, world.pictures, silent, 0.1)


def test_a_missing_picture_is_named(world: World, detector: OnnxDetector) -> None:
    local_path(world.pictures[3].uri).unlink()
    with pytest.raises(NotFoundError, match=world.pictures[3].image_id):
        detect_all(detector, world.pictures, silent, 0.1)


def test_a_picture_that_is_none_is_named(world: World, detector: OnnxDetector) -> None:
    data = b"no picture at all"
    image_id = sha256_hex(data)
    path = local_path(world.pictures[0].uri.rsplit("/", 2)[0]) / image_id[:2] / image_id
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    hostile = replace(world.pictures[0], image_id=image_id, uri=f"file://{path}")
    with pytest.raises(InputError, match=f"{image_id}: the bytes are not a JPEG"):
        detect_all(detector, [*world.pictures, hostile], silent, 0.1)


def test_a_picture_of_another_size_than_its_labels_is_refused(world: World, detector: OnnxDetector) -> None:
    wrong = replace(world.pictures[0], width_px=95)
    with pytest.raises(InputError, match="96 x 96 pixels but the data set says 95 x 96"):
        detect_all(detector, [wrong], silent, 0.1)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_only_a_few_items_are_begun_ahead(workers: int) -> None:
    begun = 0
    lock = threading.Lock()

    def items() -> Iterator[int]:
        nonlocal begun
        for index in range(50):
            with lock:
                begun += 1
            yield index

    for taken, value in enumerate(map_bounded(lambda value: value * 2, items(), workers)):
        assert value == taken * 2
        assert begun <= taken + 1 + 2 * workers


def test_order_holds_when_later_items_are_faster() -> None:
    def slow_first(value: int) -> int:
        time.sleep(0.05 if value == 0 else 0)
        return value

    assert list(map_bounded(slow_first, range(6), 3)) == list(range(6))


def test_an_error_ends_the_threads() -> None:
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError):
        list(map_bounded(lambda value: 1 // (value - 5), range(100), 4))
    assert threading.active_count() == before
