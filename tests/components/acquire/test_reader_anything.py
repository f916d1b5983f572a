"""Readers under anything at all: whatever JSON or bytes they are given, labels come out in order and each fault is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from belisha.components.acquire.labels import Labels, ReaderOptions
from belisha.components.acquire.readers import reader_named
from tests.components.acquire import label_writers as write


def read(name: str, root: Path) -> Labels:
    return reader_named(name).read(root, ReaderOptions())


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "image_id",
                    "category_id",
                    "bbox",
                    "file_name",
                    "name",
                    "label",
                    "objects",
                    "imgWidth",
                    "imgHeight",
                    "identity",
                    "children",
                    "x0",
                    "tags",
                    "imagewidth",
                    "imageheight",
                    "gtboxes",
                    "tag",
                    "fbox",
                    "extra",
                    "ID",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
JSON_FORMS = {
    "coco": ("l.json", ["images", "annotations", "categories"]),
    "citypersons": ("a_b_c_gtBboxCityPersons.json", ["objects", "imgWidth", "imgHeight", "bboxVis"]),
    "eurocity_persons": ("berlin_00000.json", ["identity", "children", "imagewidth", "imageheight", "tags"]),
    "crowdhuman": ("a.odgt", ["ID", "gtboxes"]),
}


@pytest.mark.parametrize("name", JSON_FORMS)
def test_any_json_gives_labels_or_refusals(name: str, tmp_path: Path) -> None:
    file, keys = JSON_FORMS[name]

    @settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(document=st.fixed_dictionaries({key: json_values | st.lists(json_values, max_size=4) for key in keys}))
    def holds(document: dict[str, object]) -> None:
        (tmp_path / file).write_text(json.dumps(document))
        _assert_told(read(name, tmp_path))

    holds()


TEXT_FORMS: dict[str, tuple[str, bytes]] = {
    "yolo": ("labels/train/good.txt", b""),
    "pascal_voc": ("Annotations/good.xml", b"<annotation>"),
    "widerperson": ("Annotations/good.jpg.txt", b"1\n"),
    "penn_fudan": ("Annotation/good.txt", b"# PASCAL Annotation Version 1.00\n"),
    "mot": ("S/gt/gt.txt", b"1,1,1,1,"),
    "crowdhuman": ("a.odgt", b'{"ID": "good"}\n'),
}


@pytest.mark.parametrize("name", TEXT_FORMS)
def test_any_bytes_give_labels_or_refusals(name: str, tmp_path: Path) -> None:
    file, start = TEXT_FORMS[name]
    write.write_picture(tmp_path / "images" / "train" / "good.jpg")
    write.write_picture(tmp_path / "S" / "img1" / "000001.jpg")
    path = write.write_text(tmp_path / file, "")
    pieces = st.sampled_from(
        [b"1", b" ", b",", b"\n", b"-", b".5", b"nan", b"1e999", b"(", b")", b"\x00", b"\xff", b"9" * 40]
    )

    @settings(max_examples=80, deadline=None)
    @given(tail=st.lists(pieces, max_size=30).map(b"".join) | st.binary(max_size=60))
    def holds(tail: bytes) -> None:
        path.write_bytes(start + tail)
        _assert_told(read(name, tmp_path))

    holds()


def _assert_told(labels: Labels) -> None:
    """Whatever was given, the result is in order: finite boxes with area, and each fault a sentence."""
    for picture in labels.pictures:
        for box in picture.boxes:
            assert min(box.width, box.height) > 0
            assert max(map(abs, (box.x, box.y, box.width, box.height))) < 1e8
            assert box.visible_ratio is None or 0 <= box.visible_ratio <= 1
    assert sum(labels.refused.values()) >= len(labels.refusals) >= bool(labels.refused)
    assert all(refusal.sentence for refusal in labels.refusals)
