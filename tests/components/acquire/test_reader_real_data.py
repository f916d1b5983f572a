"""Every reader on the real sets, against the counts that were taken from the files by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from belisha.components.acquire.labels import BoxOrigin, Labels, ReaderOptions
from belisha.components.acquire.readers import detect_format, reader_named
from belisha.components.shared.manifest import Picture, content_digest

VOC61 = [("pascal_voc", "pascal_voc"), ("coco", "coco"), ("yolo_darknet", "yolo_darknet")]


@pytest.fixture(scope="module")
def expected(real_data: Path) -> dict[str, Any]:
    return dict(json.loads((real_data / "expected.json").read_text()))


def with_pedestrian(labels: Labels) -> int:
    return sum(any(not box.ignore for box in picture.boxes) for picture in labels.pictures)


def digest_of(labels: Labels) -> str:
    return content_digest(Picture(p.path.name, "", 1, 1, "", boxes=p.boxes) for p in labels.pictures)


def read(root: Path, name: str | None = None, images_dir: Path | None = None, origin: str = "auto") -> Labels:
    reader = reader_named(name) if name else detect_format(root)
    return reader.read(root, ReaderOptions(images_dir=images_dir, box_origin=BoxOrigin(origin)))


@pytest.mark.parametrize("name", ["coco128", "mot17mini"])
def test_counts_of_recognised_sets(real_data: Path, expected: dict[str, Any], name: str) -> None:
    labels = read(real_data / name)
    wanted = expected[name]
    assert labels.format == wanted["format"]
    assert len(labels.pictures) == wanted["images"]
    assert labels.pedestrians == wanted["person_boxes"]
    assert with_pedestrian(labels) == wanted["images_with_person"]
    assert not labels.refused
    assert not any(picture.problem for picture in labels.pictures)
    assert all(picture.path.is_file() for picture in labels.pictures)


def test_coco128_keeps_pictures_without_label_file_and_its_boxes_as_written(
    real_data: Path, expected: dict[str, Any]
) -> None:
    labels = read(real_data / "coco128")
    bare = {p.path.name: p for p in labels.pictures if p.path.name in expected["coco128"]["images_without_label_file"]}
    assert len(bare) == 2
    assert all(not picture.boxes and not picture.problem for picture in bare.values())
    assert labels.pedestrians + sum(labels.dropped.values()) == expected["coco128"]["all_boxes"]
    assert not labels.warnings


def test_mot17mini_sequences_conditions_and_boxes_beyond_the_border(real_data: Path, expected: dict[str, Any]) -> None:
    labels = read(real_data / "mot17mini")
    found: dict[str, list[int]] = {}
    for picture in labels.pictures:
        counts = found.setdefault(picture.camera, [0, 0])
        counts[0] += 1
        counts[1] += sum(not box.ignore for box in picture.boxes)
        assert picture.group_id == picture.camera
    assert found == expected["mot17mini"]["by_sequence"]
    assert {p.camera: p.condition for p in labels.pictures} == {
        "MOT17-02-FRCNN": "day",
        "MOT17-04-FRCNN": "night",
        "MOT17-05-FRCNN": "day",
        "MOT17-11-FRCNN": "artificial",
    }
    assert labels.ignored == {"static person": 60, "distractor": 28, "person on vehicle": 14}
    assert labels.ignore_regions == 102
    assert all(box.visible_ratio is not None for picture in labels.pictures for box in picture.boxes)
    beyond = sum(
        box.x < 0 or box.y < 0 or box.x + box.width > size[0] or box.y + box.height > size[1]
        for picture in labels.pictures
        for box in picture.boxes
        if not box.ignore and (size := picture.labelled_size_px)
    )
    assert beyond == expected["mot17mini"]["boxes_beyond_image"]


def test_a_mot_sequence_by_itself_still_finds_its_condition(real_data: Path) -> None:
    labels = read(real_data / "mot17mini" / "train" / "MOT17-04-FRCNN")
    assert len(labels.pictures) == 8
    assert {picture.condition for picture in labels.pictures} == {"night"}


@pytest.mark.parametrize(("folder", "name"), VOC61)
def test_counts_of_voc61_in_each_format(real_data: Path, expected: dict[str, Any], folder: str, name: str) -> None:
    labels = read(real_data / "voc61" / folder, images_dir=real_data / "voc61" / "images")
    wanted = expected["voc61"]
    assert labels.format == name
    assert len(labels.pictures) == wanted["images"]
    assert labels.pedestrians == wanted["person_boxes"]
    assert with_pedestrian(labels) == wanted["images_with_person"]
    assert labels.pedestrians + sum(labels.dropped.values()) == wanted["all_boxes"]
    assert not labels.refused


def test_voc61_gives_the_same_boxes_in_all_three_formats(real_data: Path) -> None:
    images = real_data / "voc61" / "images"
    found = {name: read(real_data / "voc61" / folder, images_dir=images) for folder, name in VOC61}
    assert len({digest_of(labels) for labels in found.values()}) == 1
    for name in ("coco", "yolo_darknet"):
        (warning,) = found[name].warnings
        assert "all 171 boxes" in warning
        assert "18 edges start at exactly 1" in warning
    assert not found["pascal_voc"].warnings


def test_voc61_by_a_forced_reader_from_the_folder_above(real_data: Path) -> None:
    found = [read(real_data / "voc61", name) for _, name in VOC61]
    assert len({digest_of(labels) for labels in found}) == 1
    assert all(picture.path.is_file() for labels in found for picture in labels.pictures)


def test_forced_origin_moves_voc61_by_one_pixel(real_data: Path) -> None:
    images = real_data / "voc61" / "images"
    as_written = read(real_data / "voc61" / "coco", images_dir=images, origin="0")
    forced = read(real_data / "voc61" / "coco", images_dir=images, origin="1")
    pairs = [
        (a, b)
        for one, other in zip(as_written.pictures, forced.pictures, strict=True)
        for a, b in zip(one.boxes, other.boxes, strict=True)
    ]
    assert len(pairs) == 60
    for a, b in pairs:
        assert (b.x, b.y, b.width, b.height) == (a.x - 1, a.y - 1, a.width + 1, a.height + 1)
    assert digest_of(forced) == digest_of(read(real_data / "voc61" / "coco", images_dir=images))
    assert not as_written.warnings


def test_citypersons_labels_come_without_their_pictures(real_data: Path) -> None:
    labels = read(real_data / "citypersons")
    assert labels.format == "citypersons"
    assert (len(labels.pictures), labels.pedestrians, labels.ignore_regions) == (500, 3157, 2638)
    assert not labels.refused
    assert any("500 of 500 labelled pictures have no file" in warning for warning in labels.warnings)
    first = next(p for p in labels.pictures if p.path.name.startswith("frankfurt_000000_000294"))
    assert (first.camera, first.group_id, first.labelled_size_px) == ("frankfurt", "frankfurt_000000", (2048, 1024))
    box = next(box for box in first.boxes if box.x == 947)
    assert (box.y, box.width, box.height) == (406, 17, 40)
    assert box.visible_ratio == pytest.approx(0.802941176471)


def test_voc61_as_a_whole_agrees_with_itself(real_data: Path) -> None:
    labels = read(real_data / "voc61")
    assert digest_of(labels) == digest_of(read(real_data / "voc61", "pascal_voc"))
    (warning,) = labels.warnings
    assert "several formats (coco, yolo_darknet, pascal_voc): those of pascal_voc were taken" in warning
