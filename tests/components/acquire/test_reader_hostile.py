"""Broken and malicious label files: each fault is a sentence and a count, marks its picture, and never ends the reading."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from belisha.components.acquire.labels import Labels, ReaderOptions
from belisha.components.acquire.readers import format_names, reader_named
from belisha.components.shared.errors import InputError
from tests.components.acquire import label_writers as write

Broken = Callable[[Path], None]
GOOD: tuple[str, write.XYWH] = ("person", (10.0, 20.0, 30.0, 40.0))


def read(name: str, root: Path) -> Labels:
    return reader_named(name).read(root, ReaderOptions())


def coco_with(annotation: object, **document: object) -> Callable[[Path], Path]:
    """A COCO file with one good picture and box, and one picture `bad.jpg` with the given annotation."""

    def build(root: Path) -> Path:
        for name in ("good.jpg", "bad.jpg"):
            write.write_picture(root / name)
        good = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 40]}
        value = {
            "images": [{"id": 1, "file_name": "good.jpg"}, {"id": 2, "file_name": "bad.jpg"}],
            "annotations": [good, annotation],
            "categories": [{"id": 1, "name": "person"}],
        }
        write.write_json(root / "labels.json", {**value, **document})
        return root

    return build


def annotation(**changes: object) -> dict[str, object]:
    return {"id": 2, "image_id": 2, "category_id": 1, "bbox": [10, 20, 30, 40], **changes}


def yolo_with(content: bytes) -> Callable[[Path], Path]:
    def build(root: Path) -> Path:
        write.write_yolo(root, {"good": [GOOD], "bad": []})
        (root / "labels" / "train" / "bad.txt").write_bytes(content)
        return root

    return build


def voc_with(content: str | bytes) -> Callable[[Path], Path]:
    def build(root: Path) -> Path:
        write.write_voc(root, {"good": [GOOD], "bad": []})
        data = content.encode() if isinstance(content, str) else content
        (root / "Annotations" / "bad.xml").write_bytes(data)
        return root

    return build


def voc_object(inner: str) -> str:
    return f"<annotation><filename>bad.jpg</filename><object><name>person</name>{inner}</object></annotation>"


def corners(xmin: object, ymin: object, xmax: object, ymax: object) -> str:
    return f"<bndbox><xmin>{xmin}</xmin><ymin>{ymin}</ymin><xmax>{xmax}</xmax><ymax>{ymax}</ymax></bndbox>"


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "&x;&x;&x;&x;&x;&x;&x;&x;">]>'
    "<annotation><filename>&y;</filename></annotation>"
)
OUTSIDE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation><filename>&x;</filename></annotation>'

# Each marks the picture `bad` and leaves the picture `good` with its box.
MARKING = [
    ("coco", coco_with(annotation(bbox=[10, 20, float("nan"), 40])), "not_a_number", "NaN"),
    ("coco", coco_with(annotation(bbox=[10, 20, float("inf"), 40])), "not_a_number", "infinity"),
    ("coco", coco_with(annotation(bbox=[10, 20, 10**400, 40])), "not_a_number", "a number beyond any float"),
    ("coco", coco_with(annotation(bbox=[10, 20, 1e9, 40])), "out_of_range", "absurd width"),
    ("coco", coco_with(annotation(bbox=[10, 20, -30, 40])), "negative_size", "negative width"),
    ("coco", coco_with(annotation(bbox=[10, 20, 30])), "wrong_type", "three numbers"),
    ("coco", coco_with(annotation(bbox={"x": 1})), "wrong_type", "box is an object"),
    ("coco", coco_with(annotation(bbox=[True, 1, 2, 3])), "not_a_number", "a boolean"),
    ("coco", coco_with(annotation(bbox=["ten", 1, 2, 3])), "not_a_number", "a word"),
    ("coco", coco_with({"image_id": 2, "category_id": 1}), "missing_key", "no box"),
    ("coco", coco_with(annotation(category_id=99)), "unknown_class", "unknown category"),
    ("coco", coco_with(annotation(category_id=[1])), "wrong_type", "category is a list"),
    ("coco", coco_with(annotation(vis_bbox="half")), "wrong_type", "visible box is text"),
    ("coco", coco_with(annotation(vis_ratio="most")), "not_a_number", "visible ratio is text"),
    ("yolo", yolo_with(b"0 0.5 0.5 nan 0.2\n"), "not_a_number", "NaN"),
    ("yolo", yolo_with(b"0 0.5 0.5 inf 0.2\n"), "not_a_number", "infinity"),
    ("yolo", yolo_with(b"0 0.5 0.5 -0.1 0.2\n"), "negative_size", "negative width"),
    ("yolo", yolo_with(b"0 320 240 30 40\n"), "not_normalised", "pixels"),
    ("yolo", yolo_with(b"0 0.5 0.5 0.1\n"), "wrong_line", "four fields"),
    ("yolo", yolo_with(b"0 0.5 0.5 0.1 0.1 0.9\n"), "wrong_line", "a score behind the box"),
    ("yolo", yolo_with(b"7 0.5 0.5 0.1 0.1\n"), "unknown_class", "class without a name"),
    ("yolo", yolo_with(b"-1 0.5 0.5 0.1 0.1\n"), "wrong_line", "negative class"),
    ("yolo", yolo_with(b"0 0_5 0.5 0.1 0.1\n"), "not_a_number", "underscore in a number"),
    ("yolo", yolo_with(b"person 0.5 0.5 0.1 0.1\n"), "not_a_number", "class as word"),
    ("yolo", yolo_with(b"\xff\xfe\x00 garbage"), "not_utf8", "not UTF-8"),
    ("pascal_voc", voc_with("not xml at all"), "not_xml", "not XML"),
    ("pascal_voc", voc_with("<annotation><object>"), "not_xml", "cut off"),
    ("pascal_voc", voc_with(b"<?xml version='1.0' encoding='nonsense'?><annotation/>"), "not_xml", "unknown encoding"),
    ("pascal_voc", voc_with(BOMB), "xml_entities", "entity bomb"),
    ("pascal_voc", voc_with(OUTSIDE), "xml_entities", "external entity"),
    ("pascal_voc", voc_with(voc_object(corners(1, 2, "x", 4))), "not_a_number", "a word"),
    ("pascal_voc", voc_with(voc_object(corners(1, 2, "NaN", 4))), "not_a_number", "NaN"),
    ("pascal_voc", voc_with(voc_object(corners(50, 2, 10, 40))), "negative_size", "corners the wrong way round"),
    ("pascal_voc", voc_with(voc_object("")), "missing_key", "no box"),
    ("pascal_voc", voc_with(voc_object("").replace("person", "")), "missing_key", "no name"),
    (
        "pascal_voc",
        voc_with("<annotation><filename>bad.jpg</filename><size><width>a</width></size></annotation>"),
        "not_a_number",
        "size is a word",
    ),
]


@pytest.mark.parametrize(
    ("name", "build", "reason"), [pytest.param(*row[:3], id=f"{row[0]}: {row[3]}") for row in MARKING]
)
def test_a_fault_marks_its_own_picture_only(
    name: str, build: Callable[[Path], Path], reason: str, tmp_path: Path
) -> None:
    labels = read(name, build(tmp_path))
    pictures = {picture.path.stem: picture for picture in labels.pictures}
    assert set(pictures) == {"good", "bad"}
    assert labels.refused == {reason: 1}
    (refusal,) = labels.refusals
    assert refusal.reason == reason
    assert refusal.picture == pictures["bad"].path
    assert pictures["bad"].problem == refusal.sentence
    assert "bad" in refusal.sentence or "annotation 1" in refusal.sentence
    assert "\n" not in refusal.sentence.strip()
    assert pictures["good"].problem == ""
    assert len(pictures["good"].boxes) == 1


def test_boxes_without_area_are_counted_and_their_picture_kept(tmp_path: Path) -> None:
    labels = read("coco", coco_with(annotation(bbox=[10, 20, 0, 40]))(tmp_path))
    assert labels.refused == {"no_area": 1}
    assert [(p.path.stem, len(p.boxes), p.problem) for p in labels.pictures] == [("bad", 0, ""), ("good", 1, "")]


# Faults that belong to no picture: counted, the good picture stays.
LOOSE = [
    (coco_with(annotation(image_id=77)), "unknown_picture", "unknown image"),
    (coco_with(annotation(image_id=[2])), "wrong_type", "image id is a list"),
    (coco_with("text"), "wrong_type", "annotation is text"),
    (coco_with(None), "wrong_type", "annotation is null"),
    (coco_with({}), "missing_key", "annotation is empty"),
]


@pytest.mark.parametrize(("build", "reason"), [pytest.param(*row[:2], id=row[2]) for row in LOOSE])
def test_a_fault_without_picture_is_counted(build: Callable[[Path], Path], reason: str, tmp_path: Path) -> None:
    labels = read("coco", build(tmp_path))
    assert labels.refused == {reason: 1}
    assert not any(picture.problem for picture in labels.pictures)
    assert labels.pedestrians == 1


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        pytest.param({"images": {}}, "wrong_type", id="images is an object"),
        pytest.param({"annotations": 7}, "wrong_type", id="annotations is a number"),
        pytest.param({"categories": "person"}, "wrong_type", id="categories is text"),
    ],
)
def test_a_coco_file_of_the_wrong_shape_is_one_refusal(
    document: dict[str, object], reason: str, tmp_path: Path
) -> None:
    labels = read("coco", coco_with(annotation(), **document)(tmp_path))
    assert labels.refused == {reason: 1}
    assert not labels.pictures
    assert any("no box counts as pedestrian" in warning for warning in labels.warnings)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b'{"images": [], "annotations": [], "bbox"', id="cut off"),
        pytest.param(b'\xff\xfe "images" "annotations" "bbox"', id="not UTF-8"),
        pytest.param(b'{"images":' + b"[" * 200_000 + b'"annotations" "bbox"', id="nested beyond reason"),
        pytest.param(b'["images", "annotations", "bbox"]', id="a list"),
    ],
)
def test_json_that_cannot_be_read_is_one_refusal(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "labels.json").write_bytes(content)
    labels = read("coco", tmp_path)
    assert sum(labels.refused.values()) == 1
    assert str(tmp_path / "labels.json") in labels.refusals[0].sentence


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "..\\..\\secret.png", "https://example.org/a/b.jpg", "a/../../b.jpg"]
)
def test_names_never_leave_the_folder(name: str, tmp_path: Path) -> None:
    secret = write.write_picture(tmp_path / "secret.png")
    root = tmp_path / "source"
    write.write_json(
        root / "labels.json", {"images": [{"id": 1, "file_name": name}], "annotations": [], "categories": []}
    )
    (picture,) = read("coco", root).pictures
    assert picture.path.parent == root
    assert picture.path != secret
    assert not picture.path.exists()


@pytest.mark.parametrize(
    "name", ["", "   ", "..", "/", "a\x00b.jpg", "a\nb.jpg", "x" * 300 + ".jpg", 7, None, ["a.jpg"]]
)
def test_names_that_are_none_are_refused(name: object, tmp_path: Path) -> None:
    write.write_json(
        tmp_path / "labels.json", {"images": [{"id": 1, "file_name": name}], "annotations": [], "categories": []}
    )
    labels = read("coco", tmp_path)
    assert not labels.pictures
    assert sum(labels.refused.values()) == 1


def test_two_files_that_disagree_about_a_picture_mark_it(tmp_path: Path) -> None:
    write.write_picture(tmp_path / "a.jpg")
    for file, width in (("one.json", 30), ("two.json", 31), ("three.json", 30)):
        boxes = [{"image_id": 1, "category_id": 1, "bbox": [1, 2, width, 40]}]
        images = [{"id": 1, "file_name": "a.jpg"}]
        categories = [{"id": 1, "name": "person"}]
        write.write_json(tmp_path / file, {"images": images, "annotations": boxes, "categories": categories})
    labels = read("coco", tmp_path)
    (picture,) = labels.pictures
    assert "labelled twice" in picture.problem
    assert labels.refused == {"labelled_twice": 1}


def test_an_image_id_that_stands_twice_marks_its_picture(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        write.write_picture(tmp_path / name)
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": 1, "file_name": "b.jpg"}]
    boxes = [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 30, 40]}]
    write.write_json(
        tmp_path / "l.json", {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "person"}]}
    )
    labels = read("coco", tmp_path)
    assert {picture.path.name for picture in labels.pictures if picture.problem} == {"a.jpg", "b.jpg"}


def test_a_label_without_picture_is_reported(tmp_path: Path) -> None:
    write.write_yolo(tmp_path, {"good": [GOOD]})
    write.write_text(tmp_path / "labels" / "train" / "lost.txt", "0 0.5 0.5 0.1 0.1\n")
    labels = read("yolo", tmp_path)
    assert labels.refused == {"missing_picture": 1}
    assert "lost.txt" in labels.refusals[0].sentence


def test_a_yolo_picture_that_is_none_is_marked(tmp_path: Path) -> None:
    write.write_yolo(tmp_path, {"good": [GOOD], "bad": [GOOD]})
    (tmp_path / "images" / "train" / "bad.jpg").write_bytes(b"no picture")
    labels = read("yolo", tmp_path)
    assert labels.refused == {"unreadable_picture": 1}
    assert {picture.path.stem: bool(picture.problem) for picture in labels.pictures} == {"good": False, "bad": True}


def test_links_are_followed_once_and_dangling_ones_left(tmp_path: Path) -> None:
    root = write.write_yolo(tmp_path / "source", {"good": [GOOD]})
    (root / "images" / "loop").symlink_to(root)
    (root / "images" / "train" / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    outside = write.write_picture(tmp_path / "pool" / "linked.jpg")
    (root / "images" / "train" / "linked.jpg").symlink_to(outside)
    labels = read("yolo", root)
    assert sorted(picture.path.name for picture in labels.pictures) == ["good.jpg", "linked.jpg"]


def test_hostile_names_are_shown_escaped(tmp_path: Path) -> None:
    """A sentence never carries a terminal's control codes, line breaks, or bytes that cannot be written as UTF-8."""
    write.write_yolo(tmp_path, {"good": [GOOD]})
    for name in (b"\xff.jpg", b"a\x1b[31m.jpg"):
        (tmp_path / "images" / "train" / os.fsdecode(name)).write_bytes(b"no picture")
        (tmp_path / "labels" / "train" / os.fsdecode(name.replace(b".jpg", b".txt"))).write_text("0 .5 .5 .1 .1")
    labels = read("yolo", tmp_path)
    assert labels.refused == {"unreadable_picture": 2}
    sentences = [refusal.sentence for refusal in labels.refusals] + [picture.problem for picture in labels.pictures]
    assert all(sentence.isprintable() for sentence in sentences)
    assert "a\\x1b[31m.jpg" in "".join(sentences)


def test_files_that_are_no_files_are_left_alone(tmp_path: Path) -> None:
    write.write_yolo(tmp_path, {"good": [GOOD]})
    os.mkfifo(tmp_path / "labels" / "train" / "pipe.txt")
    (tmp_path / "labels" / "train" / "folder.txt").mkdir()
    assert read("yolo", tmp_path).pedestrians == 1


def test_a_file_beyond_its_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write.write_voc(tmp_path, {"good": [GOOD], "bad": []})
    with (tmp_path / "Annotations" / "bad.xml").open("wb") as stream:
        stream.truncate(17_000_000)
    labels = read("pascal_voc", tmp_path)
    assert labels.refused == {"too_large": 1}
    assert labels.pedestrians == 1


def test_many_refusals_are_all_counted_and_some_told(tmp_path: Path) -> None:
    content = b"0 x x x x\n" * 5000
    labels = read("yolo", yolo_with(content)(tmp_path))
    assert labels.refused == {"not_a_number": 5000}
    assert 0 < len(labels.refusals) < 5000


@pytest.mark.parametrize("name", format_names())
def test_an_empty_folder_is_one_sentence(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=str(tmp_path)) as caught:
        read(name, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", format_names())
def test_a_missing_images_folder_is_one_sentence(name: str, tmp_path: Path) -> None:
    writers = {
        "coco": write.write_coco,
        "yolo": write.write_yolo,
        "yolo_darknet": write.write_darknet,
        "pascal_voc": write.write_voc,
        "mot": write.write_mot,
        "citypersons": write.write_citypersons,
        "crowdhuman": write.write_crowdhuman,
        "widerperson": write.write_widerperson,
        "eurocity_persons": write.write_eurocity,
        "penn_fudan": write.write_penn_fudan,
    }
    root = writers[name](tmp_path / "source", {"000001": [("pedestrian", (10, 20, 30, 40))]})
    with pytest.raises(InputError, match="does not exist"):
        reader_named(name).read(root, ReaderOptions(images_dir=tmp_path / "absent"))
