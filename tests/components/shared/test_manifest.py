"""The dataset contract: whole or absent, the same for the same content, refused when damaged."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from belisha.components.shared.errors import ContractError
from belisha.components.shared.manifest import (
    Box,
    Picture,
    boxes_of,
    content_digest,
    read_info,
    read_pictures,
    read_table,
    write_dataset,
)

BOX = Box(10.0, 20.0, 30.0, 60.0, visible_ratio=0.5, occlusion="car", annotator="ann")


def picture(image_id: str = "a" * 64, boxes: tuple[Box, ...] = (BOX,), **changes: object) -> Picture:
    base = Picture(image_id, f"file:///p/{image_id}", 640, 480, "street", boxes=boxes)
    return dataclasses.replace(base, **changes)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    pictures = [
        picture("b" * 64, captured_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), camera="cam", condition="night"),
        picture("a" * 64, boxes=()),
    ]
    info = write_dataset(tmp_path / "data", pictures, name="two", parents=["p"], details={"seed": 1})
    assert read_pictures(tmp_path / "data") == sorted(pictures, key=lambda found: found.image_id)
    assert read_info(tmp_path / "data") == info
    assert (info.images, info.pedestrians, info.ignored) == (2, 1, 0)


def test_same_content_gives_the_same_bytes_whatever_the_order(tmp_path: Path) -> None:
    pictures = [picture(letter * 64) for letter in "abc"]
    write_dataset(tmp_path / "one", pictures, name="n")
    write_dataset(tmp_path / "two", reversed(pictures), name="n")
    assert (tmp_path / "one/manifest.parquet").read_bytes() == (tmp_path / "two/manifest.parquet").read_bytes()


@pytest.mark.parametrize(
    ("change", "same"),
    [
        pytest.param({"x": 10.004}, True, id="rounding of a format that stores fractions"),
        pytest.param({"x": 11.0}, False, id="a pixel aside"),
        pytest.param({"ignore": True}, False, id="ignored"),
        pytest.param(
            {"visible_ratio": None, "occlusion": "", "annotator": ""}, True, id="attributes that a format cannot say"
        ),
    ],
)
def test_digest_covers_what_formats_agree_on(change: dict[str, object], same: bool) -> None:
    changed = picture(boxes=(dataclasses.replace(BOX, **change),))
    assert (content_digest([picture()]) == content_digest([changed])) is same


def test_digest_does_not_depend_on_source_store_or_order_of_boxes() -> None:
    other = Box(1.0, 1.0, 5.0, 5.0)
    one = picture(boxes=(BOX, other))
    two = picture(boxes=(other, BOX), uri="s3://bucket/x", source="elsewhere", camera="c")
    assert content_digest([one]) == content_digest([two])


def test_a_picture_twice_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="stands twice"):
        write_dataset(tmp_path / "data", [picture(), picture()], name="n")
    assert not (tmp_path / "data").exists()


def test_a_failure_leaves_the_old_dataset(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data", [picture()], name="old")
    with pytest.raises(ContractError):
        write_dataset(tmp_path / "data", [picture(), picture()], name="new")
    assert read_info(tmp_path / "data").name == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        pytest.param(lambda folder: (folder / "dataset.json").unlink(), "does not exist", id="missing"),
        pytest.param(lambda folder: (folder / "dataset.json").write_text("{"), "not readable as JSON", id="half"),
        pytest.param(lambda folder: (folder / "dataset.json").write_text("[]"), "has schema None", id="no object"),
        pytest.param(
            lambda folder: (folder / "dataset.json").write_text(json.dumps({"schema": "belisha.dataset/9"})),
            "belisha.dataset/9",
            id="another version",
        ),
    ],
)
def test_damage_is_one_sentence(tmp_path: Path, damage: object, sentence: str) -> None:
    write_dataset(tmp_path / "data", [picture()], name="n")
    damage(tmp_path / "data")  # type: ignore[operator]
    with pytest.raises(ContractError, match=sentence):
        read_info(tmp_path / "data")


def test_a_damaged_manifest_is_one_sentence(tmp_path: Path) -> None:
    write_dataset(tmp_path / "data", [picture()], name="n")
    (tmp_path / "data/manifest.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ContractError, match="not a readable manifest"):
        read_table(tmp_path / "data")


def test_boxes_of_none_is_a_first_class_array() -> None:
    assert boxes_of(picture(boxes=())).shape == (0, 4)
    both = picture(boxes=(BOX, dataclasses.replace(BOX, ignore=True, x=1.0)))
    assert np.array_equal(boxes_of(both, ignore=True), [[1.0, 20.0, 30.0, 60.0]])
