"""What is written in a format comes back: the same boxes, roles and pictures, whatever the format."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from belisha.components.acquire.labels import Labels, ReaderOptions
from belisha.components.acquire.readers import detect_format
from tests.components.acquire import label_writers as write
from tests.components.acquire.label_writers import SIZE_PX, XYWH


@dataclass(frozen=True)
class Format:
    name: str
    writer: Callable[[Path, write.Truth], Path]
    pedestrian: str = "pedestrian"
    ignored: str = "rider"
    dropped: str = "car"
    whole_pixels: bool = False
    stem: str = "{:06d}"
    picture: str = "{}.jpg"
    half_visible: bool = False


FORMATS = [
    Format("coco", write.write_coco, pedestrian="person"),
    Format("yolo", write.write_yolo, pedestrian="Person"),
    Format("yolo_darknet", write.write_darknet),
    Format("pascal_voc", write.write_voc, pedestrian="person", whole_pixels=True),
    Format("mot", write.write_mot, ignored="person on vehicle", half_visible=True),
    Format(
        "citypersons",
        write.write_citypersons,
        stem="ulm_{:06d}_000019",
        picture="{}_leftImg8bit.png",
        half_visible=True,
    ),
    Format("crowdhuman", write.write_crowdhuman, "person", "mask", "dog", stem="2737,{:x}", half_visible=True),
    Format("widerperson", write.write_widerperson, dropped="", ignored="crowd", whole_pixels=True),
    Format("eurocity_persons", write.write_eurocity, dropped="bicycle", picture="berlin_{}.png"),
    Format(
        "penn_fudan", write.write_penn_fudan, "PASpersonWalking", "rider", "PAScar", whole_pixels=True, picture="{}.png"
    ),
]
each_format = pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)


@st.composite
def boxes(draw: st.DrawFn, *, whole_pixels: bool) -> XYWH:
    """Boxes inside the picture; some touch its border."""
    across, down = SIZE_PX
    if whole_pixels:
        x, y = draw(st.integers(0, across - 1)), draw(st.integers(0, down - 1))
        return x, y, draw(st.integers(1, across - x)), draw(st.integers(1, down - y))
    x, y = draw(st.floats(0, across - 2)), draw(st.floats(0, down - 2))
    return x, y, draw(st.floats(0.5, across - x)), draw(st.floats(0.5, down - y))


@st.composite
def truths(draw: st.DrawFn, form: Format) -> dict[str, list[tuple[str, XYWH]]]:
    """One to four pictures, empty ones among them."""
    names = [name for name in (form.pedestrian, form.ignored, form.dropped) if name]
    labelled = st.tuples(st.sampled_from(names), boxes(whole_pixels=form.whole_pixels))
    count = draw(st.integers(1, 4))
    return {form.stem.format(number + 1): draw(st.lists(labelled, max_size=5)) for number in range(count)}


def read(root: Path) -> Labels:
    return detect_format(root).read(root, ReaderOptions())


@each_format
def test_boxes_roles_and_pictures_come_back(form: Format) -> None:
    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(truth=truths(form))
    def holds(truth: dict[str, list[tuple[str, XYWH]]]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            root = form.writer(Path(folder), truth)
            labels = read(root)
            assert labels.format == form.name
            _assert_same(labels, truth, form)

    holds()


def _assert_same(labels: Labels, truth: dict[str, list[tuple[str, XYWH]]], form: Format) -> None:
    assert not labels.refused
    found = {picture.path.name: picture for picture in labels.pictures}
    assert sorted(found) == sorted(form.picture.format(stem) for stem in truth)
    for stem, written in truth.items():
        picture = found[form.picture.format(stem)]
        assert picture.path.is_file()
        assert not picture.problem
        kept = [(name, box) for name, box in written if name != form.dropped]
        assert [box.ignore for box in picture.boxes] == [name == form.ignored for name, _ in kept]
        for box, (_, wanted) in zip(picture.boxes, kept, strict=True):
            assert (box.x, box.y, box.width, box.height) == pytest.approx(wanted, abs=1e-4)
            if form.half_visible:
                assert box.visible_ratio == pytest.approx(0.5)
    dropped = sum(name == form.dropped for written in truth.values() for name, _ in written)
    assert sum(labels.dropped.values()) == dropped


@each_format
def test_the_user_turns_any_class_into_any_role(form: Format, tmp_path: Path) -> None:
    from belisha.components.acquire.class_map import class_map

    box = (10, 20, 30, 40)
    stem = form.stem.format(1)
    form.writer(tmp_path, {stem: [(form.pedestrian, box), (form.ignored, box)]})
    rules = {form.pedestrian.upper(): "drop"}
    if form.name != "mot":  # its flag 0 keeps the row an ignore region
        rules[form.ignored] = "pedestrian"
    labels = detect_format(tmp_path).read(tmp_path, ReaderOptions(class_map=class_map(rules)))
    assert sum(labels.dropped.values()) == 1
    assert labels.pedestrians == (0 if form.name == "mot" else 1)


@each_format
def test_pictures_elsewhere_are_found_through_images_dir(form: Format, tmp_path: Path) -> None:
    """The labels stay, every picture moves into one folder that only `images_dir` names."""
    root, elsewhere = tmp_path / "labels_only", tmp_path / "pictures"
    elsewhere.mkdir()
    stem = form.stem.format(1)
    form.writer(root, {stem: [(form.pedestrian, (10, 20, 30, 40))]})
    for path in sorted(root.rglob(form.picture.format(stem))):
        path.rename(elsewhere / path.name)
    labels = detect_format(root).read(root, ReaderOptions(images_dir=elsewhere))
    (picture,) = labels.pictures
    assert picture.path == elsewhere / form.picture.format(stem)
    assert labels.pedestrians == 1
    assert not labels.refused


@each_format
def test_labels_survive_without_pictures_where_they_can(form: Format, tmp_path: Path) -> None:
    """Relative boxes need a picture's size, and MOT frames count only when they are there; all others keep the label."""
    stem = form.stem.format(1)
    root = form.writer(tmp_path, {stem: [(form.pedestrian, (10, 20, 30, 40))]})
    for path in sorted(root.rglob(form.picture.format(stem))):
        path.unlink()
    labels = detect_format(root).read(root, ReaderOptions())
    assert labels.warnings
    if form.name in ("yolo", "yolo_darknet"):
        assert labels.refused["missing_picture"] == 1
    elif form.name == "mot":
        assert not labels.pictures
    else:
        (picture,) = labels.pictures
        assert (picture.path.is_file(), len(picture.boxes), picture.problem) == (False, 1, "")


@each_format
def test_licence_of_the_options_is_put_on_every_picture(form: Format, tmp_path: Path) -> None:
    root = form.writer(tmp_path, {form.stem.format(1): [(form.pedestrian, (10, 20, 30, 40))]})
    labels = detect_format(root).read(root, ReaderOptions(licence="CC-BY-4.0"))
    assert [picture.licence for picture in labels.pictures] == ["CC-BY-4.0"]
