"""Recognising a format, and saying so when there is none or more than one."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belisha.components.acquire.labels import ReaderOptions
from belisha.components.acquire.readers import detect_format, format_names, reader_named
from belisha.components.shared.errors import InputError
from tests.components.acquire import label_writers as write

TRUTH = {"000001": [("pedestrian", (10.0, 20.0, 30.0, 40.0))]}


@pytest.mark.parametrize(
    ("alias", "name"),
    [
        ("VOC", "pascal_voc"),
        ("pascal-voc", "pascal_voc"),
        ("darknet", "yolo_darknet"),
        ("ECP", "eurocity_persons"),
        ("motchallenge", "mot"),
        (" coco ", "coco"),
    ],
)
def test_other_words_for_a_format(alias: str, name: str) -> None:
    assert reader_named(alias).name == name


def test_every_format_is_found_by_its_name() -> None:
    assert [reader_named(name).name for name in format_names()] == list(format_names())
    assert len(format_names()) == 10


@pytest.mark.parametrize("name", ["", "cocoo", "../coco"])
def test_an_unknown_name_lists_the_known_ones(name: str) -> None:
    with pytest.raises(InputError, match=r"expected one of coco, yolo, yolo_darknet, pascal_voc, mot, citypersons"):
        reader_named(name)


def test_a_folder_without_labels(tmp_path: Path) -> None:
    write.write_picture(tmp_path / "a.jpg")
    write.write_text(tmp_path / "notes.txt", "nothing of interest\n")
    write.write_json(tmp_path / "other.json", {"hello": 1})
    write.write_text(tmp_path / "other.xml", "<annotations></annotations>")
    write.write_text(tmp_path / "other.yaml", "a: 1\n")
    with pytest.raises(InputError, match=r"no label format is recognised.*expected one of coco"):
        detect_format(tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        detect_format(tmp_path / "absent")


def both_formats(root: Path, coco_width: float) -> Path:
    """The same picture labelled in COCO and VOC, the width of its box as given in COCO and 30 in VOC."""
    write.write_coco(root, {"000001": [("pedestrian", (10.0, 20.0, coco_width, 40.0))]})
    write.write_text(root / "Annotations" / "000001.xml", write.voc_xml("000001", [("pedestrian", (10, 20, 30, 40))]))
    return root


def test_two_formats_that_agree_are_one(tmp_path: Path) -> None:
    root = both_formats(tmp_path, 30.0)
    labels = detect_format(root).read(root, ReaderOptions())
    assert labels.format == "coco"
    assert labels.pedestrians == 1
    assert any("several formats (coco, pascal_voc): those of coco were taken" in warning for warning in labels.warnings)


def test_two_formats_that_differ_are_not_guessed(tmp_path: Path) -> None:
    root = both_formats(tmp_path, 31.0)
    with pytest.raises(
        InputError, match=r"different labels in several formats \(coco 1 pictures.*choose one with --format"
    ):
        detect_format(root).read(root, ReaderOptions())
    assert reader_named("coco").read(root, ReaderOptions()).pedestrians == 1


@pytest.mark.parametrize(
    ("writer", "file"),
    [
        pytest.param(write.write_coco, "annotations/instances_all.json", id="coco"),
        pytest.param(write.write_crowdhuman, "annotation_train.odgt", id="crowdhuman"),
        pytest.param(write.write_yolo, "data.yaml", id="yolo"),
        pytest.param(write.write_voc, "Annotations/000001.xml", id="pascal_voc"),
    ],
)
def test_a_label_file_by_itself(writer: object, file: str, tmp_path: Path) -> None:
    root = writer(tmp_path, TRUTH)  # type: ignore[operator]
    labels = detect_format(root / file).read(root / file, ReaderOptions(images_dir=root))
    assert labels.pedestrians == 1
    assert labels.pictures[0].path.is_file()


def test_captions_and_panoptic_files_are_no_boxes(tmp_path: Path) -> None:
    images = [{"id": 1, "file_name": "a.jpg"}]
    write.write_json(tmp_path / "captions.json", {"images": images, "annotations": [{"image_id": 1, "caption": "x"}]})
    panoptic = {"images": images, "annotations": [{"image_id": 1, "segments_info": [{"bbox": [1, 2, 3, 4]}]}]}
    write.write_json(tmp_path / "panoptic.json", {**panoptic, "categories": []})
    with pytest.raises(InputError, match="no label format is recognised"):
        detect_format(tmp_path)


def test_hidden_files_are_left_out(tmp_path: Path) -> None:
    write.write_coco(tmp_path, TRUTH)
    write.write_text(tmp_path / "__MACOSX" / "a.xml", "<annotation>")
    write.write_text(tmp_path / ".cache" / "a.xml", "<annotation>")
    write.write_text(tmp_path / "images" / "._000001.jpg", "resource fork")
    assert [p.path.name for p in detect_format(tmp_path).read(tmp_path, ReaderOptions()).pictures] == ["000001.jpg"]


SUFFIXES = (".json", ".txt", ".xml", ".yaml", ".odgt", ".names", ".data", ".jpg.txt")
WORDS = [
    b'"images"',
    b'"annotations"',
    b'"bbox"',
    b'"categories"',
    b"names:",
    b"<annotation>",
    b"PASCAL Annotation",
    b'"identity"',
    b'"children"',
    b'"objects"',
    b'"bboxVis"',
    b"0 .5 .5 .1 .1\n",
    b"a.jpg\n",
    b"\xff",
    b"\x00",
    b"{",
    b"[",
]


def test_odd_files_never_break_recognition_or_reading(tmp_path: Path) -> None:
    @settings(max_examples=60, deadline=None)
    @given(
        contents=st.dictionaries(
            st.sampled_from(SUFFIXES),
            st.lists(st.sampled_from(WORDS), max_size=6).map(b"".join) | st.binary(max_size=40),
        )
    )
    def holds(contents: dict[str, bytes]) -> None:
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            for suffix, content in contents.items():
                (Path(folder) / f"odd{suffix}").write_bytes(content)
            try:
                labels = detect_format(Path(folder)).read(Path(folder), ReaderOptions())
            except InputError as told:
                assert folder in str(told)
            else:
                assert labels.warnings or labels.refused or labels.pictures

    holds()
