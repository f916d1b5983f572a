"""What is particular to the pedestrian data sets: their ignore rules, visible boxes and conditions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from belisha.components.acquire.labels import LabelledPicture, Labels, ReaderOptions
from belisha.components.acquire.readers import detect_format
from tests.components.acquire import label_writers as write

BOX = (10.0, 20.0, 30.0, 40.0)


def read(root: Path, **options: object) -> Labels:
    return detect_format(root).read(root, ReaderOptions(**options))  # type: ignore[arg-type]


def only(labels: Labels) -> LabelledPicture:
    (picture,) = labels.pictures
    return picture


def mot(root: Path, *rows: str, frames: int = 1) -> Path:
    write.write_mot(root, {f"{frame:06d}": [] for frame in range(1, frames + 1)})
    write.write_text(root / "MOT17-99" / "gt" / "gt.txt", "\n".join(rows) + "\n")
    return root


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        pytest.param("1,1,1,1,50,60,1,1,0.5", (0, 0, False, 0.5), id="pedestrian; the top left pixel is 1,1"),
        pytest.param("1,1,1,1,50,60,0,1,0.5", (0, 0, True, 0.5), id="pedestrian that is not counted"),
        pytest.param("1,1,1,1,50,60,0,2,1", (0, 0, True, 1.0), id="person on vehicle"),
        pytest.param("1,1,1,1,50,60,0,7,1", (0, 0, True, 1.0), id="static person"),
        pytest.param("1,1,1,1,50,60,0,8,1", (0, 0, True, 1.0), id="distractor"),
        pytest.param("1,1,1,1,50,60,0,12,1", (0, 0, True, 1.0), id="reflection"),
        pytest.param("1,1,1,1,50,60,0,3,1", None, id="car"),
        pytest.param("1,1,1,1,50,60,0,9,1", None, id="occluder"),
        pytest.param("1,1,1.5,-3,50,60,1,1,1.2", (0.5, -4, False, 1.0), id="fractions, beyond the border"),
        pytest.param("1,1,1,1,50,60,1,-1,-1,-1", (0, 0, False, None), id="MOT15 has no class"),
        pytest.param("1,1,1,1,50,60,0,-1,-1,-1", (0, 0, True, None), id="MOT15 row that is not counted"),
        pytest.param(" 1 , 1 , 1 , 1 , 50 , 60 , 1 , 1 , 0.5 ", (0, 0, False, 0.5), id="spaces"),
    ],
)
def test_mot_rows(row: str, wanted: tuple[float, float, bool, float | None] | None, tmp_path: Path) -> None:
    labels = read(mot(tmp_path, row))
    found = [(box.x, box.y, box.ignore, box.visible_ratio) for box in only(labels).boxes]
    assert found == ([] if wanted is None else [wanted])
    assert not labels.refused
    assert sum(labels.dropped.values()) == (1 if wanted is None else 0)


@pytest.mark.parametrize(
    ("row", "reason", "marked"),
    [
        pytest.param("1,1,1,1,nan,60,1,1,1", "not_a_number", True, id="NaN"),
        pytest.param("1,1,1,1,-5,60,1,1,1", "negative_size", True, id="negative width"),
        pytest.param("1,1,1,1,50,60,1,99,1", "unknown_class", True, id="unknown class"),
        pytest.param("1,1,1,1", "wrong_line", False, id="too few fields"),
        pytest.param("one,1,1,1,50,60,1,1,1", "not_a_number", False, id="frame is a word"),
        pytest.param("1.5,1,1,1,50,60,1,1,1", "not_a_number", False, id="half a frame"),
    ],
)
def test_mot_rows_that_are_broken(row: str, reason: str, marked: bool, tmp_path: Path) -> None:
    labels = read(mot(tmp_path, row, "1,2,1,1,50,60,1,1,1"))
    assert labels.refused == {reason: 1}
    assert "gt.txt line 1" in labels.refusals[0].sentence or "MOT17-99" in labels.refusals[0].sentence or marked
    assert bool(only(labels).problem) is marked


def test_mot_keeps_frames_without_rows_and_leaves_rows_without_frame(tmp_path: Path) -> None:
    labels = read(mot(tmp_path, "1,1,1,1,50,60,1,1,1", "600,1,1,1,50,60,1,1,1", "601,1,1,1,50,60,1,1,1", frames=2))
    assert [len(picture.boxes) for picture in labels.pictures] == [1, 0]
    assert any("2 rows of 2 frames have no picture" in warning for warning in labels.warnings)


def test_mot_sequences_without_truth_are_left_out(tmp_path: Path) -> None:
    mot(tmp_path, "1,1,1,1,50,60,1,1,1")
    write.write_picture(tmp_path / "MOT17-01" / "img1" / "000001.jpg")
    write.write_text(tmp_path / "MOT17-01" / "seqinfo.ini", "[Sequence]\nname=MOT17-01\n")
    labels = read(tmp_path)
    assert only(labels).camera == "MOT17-99"
    assert any("MOT17-01 has no gt/gt.txt and was left out" in warning for warning in labels.warnings)


@pytest.mark.parametrize("content", ["", "[Other]\n", "no section", "[Sequence]\nimWidth=wide\nimHeight=4\n", "\x00"])
def test_mot_does_without_a_sequence_description(content: str, tmp_path: Path) -> None:
    mot(tmp_path, "1,1,1,1,50,60,1,1,1")
    write.write_text(tmp_path / "MOT17-99" / "seqinfo.ini", content)
    labels = read(tmp_path)
    assert (only(labels).camera, len(only(labels).boxes)) == ("MOT17-99", 1)
    assert labels.refused == {"bad_seqinfo": 1}


def test_mot_truth_that_cannot_be_read_marks_every_frame(tmp_path: Path) -> None:
    mot(tmp_path, "1,1,1,1,50,60,1,1,1", frames=3)
    (tmp_path / "MOT17-99" / "gt" / "gt.txt").write_bytes(b"\xff\xfe\x00")
    labels = read(tmp_path)
    assert [bool(picture.problem) for picture in labels.pictures] == [True, True, True]
    assert labels.refused == {"not_utf8": 1, "no_labels": 3}


@pytest.mark.parametrize(
    ("content", "condition"),
    [
        pytest.param("sequence,time_of_day\nMOT17-99,night\n", "night", id="time of day"),
        pytest.param("sequence,time_of_day,condition\nMOT17-99,night,rain\n", "rain", id="condition goes first"),
        pytest.param("sequence,time_of_day\nMOT17-98,night\n", "", id="another sequence"),
        pytest.param("", "", id="empty"),
        pytest.param("a,b\n1\n", "", id="other columns"),
    ],
)
def test_mot_conditions(content: str, condition: str, tmp_path: Path) -> None:
    mot(tmp_path, "1,1,1,1,50,60,1,1,1")
    write.write_text(tmp_path / "conditions.csv", content)
    assert only(read(tmp_path)).condition == condition


@pytest.mark.parametrize(
    ("label", "ignore"),
    [
        pytest.param("pedestrian", False, id="1 pedestrian"),
        pytest.param("rider", True, id="2 rider"),
        pytest.param("sitting person", True, id="3 sitting"),
        pytest.param("person (other)", True, id="4 other"),
        pytest.param("person group", True, id="5 group"),
        pytest.param("ignore", True, id="0 ignore"),
    ],
)
def test_citypersons_classes(label: str, ignore: bool, tmp_path: Path) -> None:
    root = write.write_citypersons(tmp_path, {"ulm_000001_000019": [(label, (-5.0, 20.0, 30.0, 40.0))]})
    picture = only(read(root))
    (box,) = picture.boxes
    assert (box.x, box.ignore, box.visible_ratio) == (-5, ignore, 0.5)
    assert (picture.camera, picture.group_id) == ("ulm", "ulm_000001")


def test_citypersons_flat_form_by_category(tmp_path: Path) -> None:
    """The flat form may carry its classes in the categories instead of the flag."""
    names = ["ignore region", "pedestrian", "rider", "sitting person", "other person", "people group"]
    boxes = [
        {
            "image_id": 1,
            "category_id": number,
            "bbox": [1, 2, 30, 60],
            "vis_bbox": [1, 2, 30, 30],
            "ignore": 0,
            "vis_ratio": 0.5,
        }
        for number in range(6)
    ]
    document = {
        "images": [{"id": 1, "im_name": "ulm_000001_000019_leftImg8bit.png", "width": 2048, "height": 1024}],
        "annotations": boxes,
        "categories": [{"id": number, "name": name} for number, name in enumerate(names)],
    }
    write.write_json(tmp_path / "val_gt.json", document)
    labels = read(tmp_path)
    assert labels.format == "citypersons"
    assert [box.ignore for box in only(labels).boxes] == [True, False, True, True, True, True]


def test_citypersons_leaves_out_unlabelled_pictures(tmp_path: Path) -> None:
    root = write.write_citypersons(tmp_path, {"ulm_000001_000019": []})
    write.write_picture(root / "leftImg8bit" / "test" / "bonn" / "bonn_000001_000019_leftImg8bit.png")
    write.write_picture(root / "gtFine" / "ulm_000001_000019_gtFine_labelIds.png")
    labels = read(root)
    assert only(labels).boxes == ()
    assert any("1 pictures have no *_gtBboxCityPersons.json" in warning for warning in labels.warnings)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        pytest.param({}, (False, 0.5, ""), id="person"),
        pytest.param({"tag": "mask"}, (True, 0.5, ""), id="mask"),
        pytest.param({"extra": {"ignore": 1}}, (True, 0.5, ""), id="extra.ignore"),
        pytest.param({"extra": {"ignore": 0, "occ": 1, "box_id": 3}}, (False, 0.5, "1"), id="extra without ignore"),
        pytest.param({"vbox": None}, (False, None, ""), id="no visible box"),
        pytest.param({"head_attr": {"ignore": 1}}, (False, 0.5, ""), id="the head's ignore is not the person's"),
        pytest.param({"tag": "horse"}, None, id="another tag"),
    ],
)
def test_crowdhuman_boxes(
    changes: dict[str, object], wanted: tuple[bool, float | None, str] | None, tmp_path: Path
) -> None:
    write.write_picture(tmp_path / "Images" / "a.jpg")
    box = {"tag": "person", "fbox": [-72, 202, 163, 503], "vbox": [-72, 202, 163, 251.5], **changes}
    write.write_text(tmp_path / "a.odgt", json.dumps({"ID": "a", "gtboxes": [box]}) + "\n\n")
    found = [(box.ignore, box.visible_ratio, box.occlusion) for box in only(read(tmp_path)).boxes]
    assert found == ([] if wanted is None else [wanted])


def test_crowdhuman_goes_on_after_a_broken_line(tmp_path: Path) -> None:
    lines = [
        '{"ID": "a", "gtboxes": []}',
        "{broken",
        "7",
        '{"gtboxes": []}',
        '{"ID": "b"}',
        '{"ID": "c", "gtboxes": [7]}',
    ]
    write.write_text(tmp_path / "a.odgt", "\n".join(lines))
    labels = read(tmp_path)
    assert {picture.path.name: bool(picture.problem) for picture in labels.pictures} == {
        "a.jpg": False,
        "b.jpg": False,
        "c.jpg": True,
    }
    assert labels.refused == {"not_json": 1, "wrong_type": 2, "missing_key": 1}
    assert "a.odgt line 2" in labels.refusals[0].sentence


@pytest.mark.parametrize(
    ("number", "ignore", "occlusion"),
    [(1, False, ""), (2, True, ""), (3, False, "partially visible"), (4, True, ""), (5, True, "")],
)
def test_widerperson_classes(number: int, ignore: bool, occlusion: str, tmp_path: Path) -> None:
    write.write_picture(tmp_path / "Images" / "a.jpg")
    write.write_text(tmp_path / "Annotations" / "a.jpg.txt", f"1\n{number} 10 20 40 60\n")
    (box,) = only(read(tmp_path)).boxes
    assert (box.x, box.y, box.width, box.height) == (10, 20, 30, 40)
    assert (box.ignore, box.occlusion) == (ignore, occlusion)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param("2\n1 10 20 40 60\n", "wrong_count", id="too few lines"),
        pytest.param("0\n1 10 20 40 60\n", "wrong_count", id="too many lines"),
        pytest.param("", "wrong_count", id="empty"),
        pytest.param("1\n6 10 20 40 60\n", "wrong_line", id="unknown class"),
        pytest.param("1\n1 10 20 40\n", "wrong_line", id="a corner is missing"),
        pytest.param("1\n1 40 20 10 60\n", "negative_size", id="corners the wrong way round"),
    ],
)
def test_widerperson_faults(content: str, reason: str, tmp_path: Path) -> None:
    write.write_picture(tmp_path / "Images" / "a.jpg")
    write.write_picture(tmp_path / "Images" / "test.jpg")
    write.write_text(tmp_path / "Annotations" / "a.jpg.txt", content)
    labels = read(tmp_path)
    assert labels.refused == {reason: 1}
    assert only(labels).problem
    assert any("1 pictures have no annotation file" in warning for warning in labels.warnings)


def eurocity(root: Path, *objects: object, tags: tuple[str, ...] = (), time: str = "day") -> Path:
    write.write_eurocity(root, {"00001": []}, time)
    frame = write.eurocity_frame(objects, tags)
    write.write_json(root / time / "labels" / "val" / "berlin" / "berlin_00001.json", frame)
    return root


@pytest.mark.parametrize(
    ("name", "tags", "wanted"),
    [
        pytest.param("pedestrian", [], (False, 1.0, ""), id="pedestrian"),
        pytest.param("pedestrian", ["occluded>10"], (False, 0.75, "occluded>10"), id="10 to 40 percent hidden"),
        pytest.param("pedestrian", ["occluded>40"], (False, 0.4, "occluded>40"), id="40 to 80 percent hidden"),
        pytest.param(
            "pedestrian", ["truncated>10", "occluded>80"], (False, 0.1, "truncated>10 occluded>80"), id="the worse"
        ),
        pytest.param("pedestrian", ["sitting-lying"], (True, 1.0, ""), id="sitting"),
        pytest.param("pedestrian", ["behind-glass"], (True, 1.0, ""), id="behind glass"),
        pytest.param("pedestrian", ["depiction"], None, id="depiction"),
        pytest.param("rider", [], (True, 1.0, ""), id="rider"),
        pytest.param("person-group-far-away", [], (True, 1.0, ""), id="group far away"),
        pytest.param("bicycle", [], None, id="bicycle"),
    ],
)
def test_eurocity_objects(name: str, tags: list[str], wanted: tuple[bool, float, str] | None, tmp_path: Path) -> None:
    labels = read(eurocity(tmp_path, write.eurocity_object(name, BOX, tags)))
    found = [(box.ignore, box.visible_ratio, box.occlusion) for box in only(labels).boxes]
    assert found == ([] if wanted is None else [wanted])


def test_eurocity_reads_nested_children(tmp_path: Path) -> None:
    pillion = write.eurocity_object("rider", (1, 2, 3, 4))
    ride = write.eurocity_object("rider", BOX, children=[write.eurocity_object("bicycle", BOX, children=[pillion])])
    labels = read(eurocity(tmp_path, ride, write.eurocity_object("pedestrian", BOX)))
    assert [box.ignore for box in only(labels).boxes] == [True, True, False]
    assert labels.dropped == {"bicycle": 1}


@pytest.mark.parametrize(
    ("time", "tags", "condition"),
    [("day", (), "day"), ("night", (), "night"), ("day", ("rainy",), "rain"), ("night", ("rainy",), "night rain")],
)
def test_eurocity_conditions(time: str, tags: tuple[str, ...], condition: str, tmp_path: Path) -> None:
    picture = only(read(eurocity(tmp_path, tags=tags, time=time)))
    assert (picture.condition, picture.camera) == (condition, "berlin")


def test_eurocity_never_mixes_day_and_night(tmp_path: Path) -> None:
    eurocity(tmp_path, write.eurocity_object("pedestrian", BOX))
    eurocity(tmp_path, time="night")
    found = {picture.condition: (len(picture.boxes), picture.path.is_file()) for picture in read(tmp_path).pictures}
    assert found == {"day": (1, True), "night": (0, True)}
    (tmp_path / "day" / "img" / "val" / "berlin" / "berlin_00001.png").unlink()
    found = {picture.condition: (len(picture.boxes), picture.path.is_file()) for picture in read(tmp_path).pictures}
    assert found == {"day": (1, False), "night": (0, True)}


def test_eurocity_nesting_without_end_marks_the_picture(tmp_path: Path) -> None:
    inner: dict[str, object] = write.eurocity_object("pedestrian", BOX)
    for _ in range(30):
        inner = write.eurocity_object("rider", BOX, children=[inner])
    labels = read(eurocity(tmp_path, inner))
    assert labels.refused == {"too_deep": 1}
    assert only(labels).problem


@pytest.mark.parametrize(
    ("first_pixel", "name"), [(1, "PASpersonWalking"), (1, "PASpersonStanding"), (0, "UprightPerson")]
)
def test_penn_fudan_says_where_pixels_begin(first_pixel: int, name: str, tmp_path: Path) -> None:
    write.write_picture(tmp_path / "PNGImages" / "a.png")
    content = write.penn_fudan_text("a", [(name, (10, 20, 30, 40))], first_pixel)
    write.write_text(tmp_path / "Annotation" / "a.txt", content + "# Entour\u00e9\n", encoding="latin-1")
    picture = only(read(tmp_path))
    (box,) = picture.boxes
    assert (box.x, box.y, box.width, box.height, box.ignore) == (10, 20, 30, 40, False)
    assert picture.labelled_size_px == write.SIZE_PX


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        pytest.param("(1, 1)", "(5, 5)", "unknown_origin", id="odd origin"),
        pytest.param("# Top left", "# Bottom right", "unknown_origin", id="no origin"),
        pytest.param("ground truth : 1", "ground truth : 2", "wrong_count", id="a box is missing"),
        pytest.param(" - (40", " - (x", "wrong_line", id="a corner is a letter"),
    ],
)
def test_penn_fudan_faults(old: str, new: str, reason: str, tmp_path: Path) -> None:
    write.write_picture(tmp_path / "PNGImages" / "a.png")
    content = write.penn_fudan_text("a", [("PASpersonWalking", (10, 20, 30, 40))])
    assert old in content
    write.write_text(tmp_path / "Annotation" / "a.txt", content.replace(old, new))
    labels = read(tmp_path)
    assert labels.refused == {reason: 1}
    assert only(labels).problem
