"""What is particular to COCO, YOLO and VOC files as people have them."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from belisha.components.acquire.labels import LabelledPicture, Labels, ReaderOptions
from belisha.components.acquire.readers import detect_format, reader_named
from tests.components.acquire import label_writers as write

BOX = (10.0, 20.0, 30.0, 40.0)
GOOD = ("person", BOX)


def read(root: Path, **options: object) -> Labels:
    return detect_format(root).read(root, ReaderOptions(**options))  # type: ignore[arg-type]


def only(labels: Labels) -> LabelledPicture:
    (picture,) = labels.pictures
    return picture


@pytest.mark.parametrize(
    ("keys", "ignore", "visible", "occlusion"),
    [
        pytest.param({}, False, None, "", id="plain"),
        pytest.param({"iscrowd": 1, "segmentation": {"counts": [1, 2], "size": [4, 4]}}, True, None, "", id="crowd"),
        pytest.param({"ignore": 1}, True, None, "", id="ignore"),
        pytest.param({"vis_bbox": [10, 20, 15, 40]}, False, 0.5, "", id="visible box"),
        pytest.param({"vis_bbox": [10, 20, 15, 40], "vis_ratio": 0.25}, False, 0.25, "", id="ratio goes first"),
        pytest.param({"vis_bbox": [0, 0, 0, 0]}, False, 0.0, "", id="nothing visible"),
        pytest.param({"vis_bbox": [0, 0, 900, 900]}, False, 1.0, "", id="visible box beyond the full one"),
        pytest.param({"vis_ratio": 1.7}, False, 1.0, "", id="ratio above 1"),
        pytest.param({"attributes": {"occluded": True}}, False, None, "occluded", id="CVAT occluded"),
        pytest.param({"occlusion": "heavy"}, False, None, "heavy", id="its own word"),
    ],
)
def test_coco_extra_keys(
    keys: dict[str, object], ignore: bool, visible: float | None, occlusion: str, tmp_path: Path
) -> None:
    (box,) = only(read(write.write_coco(tmp_path, {"a": [GOOD]}, **keys))).boxes
    assert (box.ignore, box.visible_ratio, box.occlusion) == (ignore, visible, occlusion)


def test_coco_picture_fields(tmp_path: Path) -> None:
    image = {"id": "x", "file_name": "a.jpg", "width": 640, "height": 480, "license": 3, "camera": "north"}
    image |= {"condition": "night", "group_id": 12, "date_captured": "2020-05-06 07:08:09"}
    licences = [{"id": 3, "name": "CC BY 4.0"}]
    write.write_json(
        tmp_path / "l.json",
        {"images": [image], "annotations": [], "categories": [{"id": 1, "name": "person"}], "licenses": licences},
    )
    picture = only(read(tmp_path, licence="something else"))
    assert (picture.camera, picture.condition, picture.group_id) == ("north", "night", "12")
    assert (picture.licence, picture.labelled_size_px) == ("CC BY 4.0", (640, 480))
    assert picture.captured_at == datetime.datetime(2020, 5, 6, 7, 8, 9, tzinfo=datetime.UTC)
    assert picture.boxes == ()


@pytest.mark.parametrize("value", [0, "", "yesterday", "0001-01-01T00:00:00+23:00", None, [1]])
def test_coco_moments_that_are_none(value: object, tmp_path: Path) -> None:
    image = {"id": 1, "file_name": "a.jpg", "date_captured": value}
    write.write_json(tmp_path / "l.json", {"images": [image], "annotations": [], "categories": []})
    assert only(read(tmp_path)).captured_at is None


def test_coco_takes_the_picture_beside_its_own_file(tmp_path: Path) -> None:
    """Roboflow's layout: the same names in train and valid."""
    for part, x in (("train", 1), ("valid", 2)):
        write.write_picture(tmp_path / part / "a.jpg")
        boxes = [{"image_id": 1, "category_id": 1, "bbox": [x, 2, 3, 4]}]
        document = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": boxes}
        write.write_json(
            tmp_path / part / "_annotations.coco.json", {**document, "categories": [{"id": 1, "name": "person"}]}
        )
    found = {picture.path.parent.name: picture.boxes[0].x for picture in read(tmp_path).pictures}
    assert found == {"train": 1, "valid": 2}


def test_coco_instances_go_before_keypoints(tmp_path: Path) -> None:
    write.write_coco(tmp_path, {"a": [GOOD]})
    boxes = [{"image_id": 1, "category_id": 1, "bbox": [5, 5, 5, 5]}]
    images = [{"id": 1, "file_name": "a.jpg"}]
    document = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "person"}]}
    write.write_json(tmp_path / "annotations" / "person_keypoints.json", document)
    assert only(read(tmp_path)).boxes[0].x == 10


@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_yolo_fractions_are_of_the_upright_picture(orientation: int, suffix: str, tmp_path: Path) -> None:
    write.write_yolo(tmp_path, {"a": [GOOD]})
    (tmp_path / "images" / "train" / "a.jpg").unlink()
    write.write_picture(tmp_path / "images" / "train" / f"a{suffix}", (640, 480), orientation)
    write.write_text(tmp_path / "labels" / "train" / "a.txt", "0 0.5 0.5 1 1\n")
    (box,) = only(read(tmp_path)).boxes
    assert (box.width, box.height) == ((480, 640) if orientation >= 5 else (640, 480))


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        pytest.param("0 0.5 0.5 0.25 0.5", (240, 120, 160, 240), id="box"),
        pytest.param("0.0 0.5 0.5 0.25 0.5", (240, 120, 160, 240), id="class with a point"),
        pytest.param("\t0  0.5 0.5\t0.25 0.5  ", (240, 120, 160, 240), id="any blanks"),
        pytest.param("0 0.1 0.2 0.5 0.2 0.5 0.6 0.1 0.6", (64, 96, 256, 192), id="polygon"),
        pytest.param("0 -0.1 0.5 0.4 0.5", (-192, 120, 256, 240), id="beyond the border"),
    ],
)
def test_yolo_lines(line: str, wanted: tuple[float, ...], tmp_path: Path) -> None:
    write.write_yolo(tmp_path, {"a": [GOOD]})
    write.write_text(tmp_path / "labels" / "train" / "a.txt", f"\n{line}\r\n\n")
    (box,) = only(read(tmp_path)).boxes
    assert (box.x, box.y, box.width, box.height) == pytest.approx(wanted)


def test_yolo_keypoints_are_left_out_when_the_yaml_says_so(tmp_path: Path) -> None:
    write.write_yolo(tmp_path, {"a": [GOOD]})
    write.write_text(tmp_path / "data.yaml", "names: [person]\nkpt_shape: [2, 3]\n")
    write.write_text(tmp_path / "labels" / "train" / "a.txt", "0 0.5 0.5 0.25 0.5 0.1 0.1 2 0.2 0.2 2\n")
    (box,) = only(read(tmp_path)).boxes
    assert (box.width, box.height) == pytest.approx((160, 240))


def test_yolo_background_and_unlabelled_pictures_are_told_apart(tmp_path: Path) -> None:
    write.write_yolo(tmp_path, {"a": [GOOD], "empty": []})
    write.write_picture(tmp_path / "images" / "train" / "bare.jpg")
    write.write_picture(tmp_path / "images" / "test" / "unknown.jpg")
    labels = read(tmp_path)
    assert {picture.path.stem: len(picture.boxes) for picture in labels.pictures} == {"a": 1, "empty": 0, "bare": 0}
    assert any("1 pictures have no label folder and were left out" in warning for warning in labels.warnings)
    (tmp_path / "labels" / "test").mkdir()
    assert "unknown" in {picture.path.stem for picture in read(tmp_path).pictures}


def test_yolo_never_lends_a_label_to_a_picture_of_the_same_name(tmp_path: Path) -> None:
    write.write_yolo(tmp_path, {"a": [GOOD]})
    write.write_picture(tmp_path / "images" / "val" / "a.jpg")
    (tmp_path / "labels" / "val").mkdir()
    found = {picture.path.parent.name: len(picture.boxes) for picture in read(tmp_path).pictures}
    assert found == {"train": 1, "val": 0}


@pytest.mark.parametrize(
    ("files", "pedestrians"),
    [
        pytest.param({"data.yaml": "names: {0: car, 1: person}\n"}, 1, id="YAML with numbers"),
        pytest.param({"data.yml": 'nc: 2\nnames: ["car", "person"]\n'}, 1, id="YAML with a list"),
        pytest.param({"labels/train/classes.txt": "car\nperson\n"}, 1, id="classes.txt"),
        pytest.param({}, 0, id="no names: nothing is guessed"),
        pytest.param({"data.yaml": "names: [car\n"}, 0, id="broken YAML"),
        pytest.param({"data.yaml": "names: !!python/object/apply:os.system ['true']\n"}, 0, id="YAML with code"),
    ],
)
def test_yolo_class_names(files: dict[str, str], pedestrians: int, tmp_path: Path) -> None:
    write.write_picture(tmp_path / "images" / "train" / "a.jpg")
    write.write_text(tmp_path / "labels" / "train" / "a.txt", "1 0.5 0.5 0.1 0.1\n")
    for name, content in files.items():
        write.write_text(tmp_path / name, content)
    labels = reader_named("yolo").read(tmp_path, ReaderOptions())
    assert labels.pedestrians == pedestrians
    assert bool(labels.warnings) is (pedestrians == 0)


def test_yolo_labels_beside_their_pictures(tmp_path: Path) -> None:
    write.write_picture(tmp_path / "a.jpg")
    write.write_text(tmp_path / "a.txt", "0 0.5 0.5 0.1 0.1\n")
    write.write_text(tmp_path / "classes.txt", "person\n")
    assert read(tmp_path).pedestrians == 1


def test_darknet_lists_decide_which_pictures_count(tmp_path: Path) -> None:
    write.write_darknet(tmp_path, {"a": [GOOD], "b": [GOOD], "c": []})
    write.write_text(tmp_path / "train.txt", "data/obj_train_data/a.jpg\ndata\\obj_train_data\\c.jpg\nC:/x/gone.jpg\n")
    (tmp_path / "obj_train_data" / "c.txt").unlink()
    labels = read(tmp_path)
    assert {picture.path.stem: len(picture.boxes) for picture in labels.pictures} == {"a": 1, "c": 0, "gone": 0}
    assert any("1 of 3 labelled pictures have no file (first: gone.jpg)" in warning for warning in labels.warnings)
    assert any("1 pictures have no line in a list of pictures" in warning for warning in labels.warnings)
    assert not labels.refused


def test_coco_says_which_pictures_it_has_no_entry_for(tmp_path: Path) -> None:
    root = write.write_coco(tmp_path, {"a": [GOOD]})
    write.write_picture(root / "images" / "more.jpg")
    labels = read(root)
    assert only(labels).path.name == "a.jpg"
    assert any("1 pictures have no entry in the labels and were left out" in warning for warning in labels.warnings)


@pytest.mark.parametrize("ignored", [False, True])
def test_voc_flags(ignored: bool, tmp_path: Path) -> None:
    flags = "<truncated>1</truncated><occluded>0</occluded><difficult>1</difficult>"
    root = write.write_voc(tmp_path, {"a": [("person", (10, 20, 30, 40))]}, flags=flags)
    (box,) = only(read(root, difficult_is_ignored=ignored)).boxes
    assert (box.ignore, box.occlusion) == (ignored, "truncated difficult")


def test_voc_reads_the_object_and_not_its_parts(tmp_path: Path) -> None:
    root = write.write_voc(tmp_path, {"a": []})
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    box = "<bndbox><xmin>11.5</xmin><ymin> 21 </ymin><xmax>40</xmax><ymax>60</ymax></bndbox>"
    xml = f"<annotation><filename>a</filename><object><name>person</name>{part}{box}</object></annotation>"
    write.write_text(root / "Annotations" / "a.xml", xml)
    (found,) = only(read(root)).boxes
    assert (found.x, found.y, found.width, found.height) == (10.5, 20, 29.5, 40)


def test_voc_leaves_out_masks_and_says_which_pictures_are_unlabelled(tmp_path: Path) -> None:
    root = write.write_voc(tmp_path, {"a": [("person", (10, 20, 30, 40))]})
    write.write_picture(root / "SegmentationClass" / "a.png")
    write.write_picture(root / "JPEGImages" / "unlabelled.jpg")
    labels = read(root)
    assert only(labels).path.name == "a.jpg"
    assert any("1 pictures have no annotation XML and were left out" in warning for warning in labels.warnings)


def test_voc_trusts_its_own_name_when_the_one_inside_is_of_no_picture(tmp_path: Path) -> None:
    root = write.write_voc(tmp_path, {"a": [("person", (10, 20, 30, 40))]})
    path = root / "Annotations" / "a.xml"
    path.write_text(path.read_text().replace("a.jpg", "export_0001.jpg"))
    assert only(read(root)).path.name == "a.jpg"


def test_an_xml_of_another_kind_is_counted(tmp_path: Path) -> None:
    root = write.write_voc(tmp_path, {"a": [("person", (10, 20, 30, 40))]})
    write.write_text(root / "meta.xml", "<annotations/>")
    labels = read(root)
    assert labels.refused == {"not_voc": 1}
    assert labels.pedestrians == 1
