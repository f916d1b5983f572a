"""COCO files of other people: forms that are read, and each fault as one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belisha.components.shared.errors import InputError
from belisha.components.shared.evaluation.coco_files import CocoTruth, read_detections, read_truth


def labels(**changes: Any) -> dict[str, Any]:
    """Two pictures, two boxes, one category."""
    return {
        "images": [{"id": 2, "height": 480, "file_name": "b.jpg"}, {"id": 1, "height": 480, "file_name": "a.jpg"}],
        "annotations": [
            {"id": 1, "image_id": 2, "category_id": 7, "bbox": [1, 2, 3, 4]},
            {"id": 2, "image_id": 1, "category_id": 7, "bbox": [5, 6, 7, 8], "ignore": 1},
        ],
        "categories": [{"id": 7, "name": "walker"}],
        **changes,
    }


def box(**changes: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": 1, "category_id": 7, "bbox": [1, 2, 3, 4], **changes}


def hit(**changes: Any) -> dict[str, Any]:
    return {"image_id": 1, "category_id": 7, "bbox": [1, 2, 3, 4], "score": 0.5, **changes}


@pytest.fixture
def written(tmp_path: Path) -> Any:
    def write(value: Any, name: str = "file.json") -> Path:
        path = tmp_path / name
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path

    return write


@pytest.fixture
def truth(written: Any) -> CocoTruth:
    return read_truth(written(labels(), "truth.json"))


def test_pictures_are_ordered_by_id(truth: CocoTruth) -> None:
    assert truth.labels.image_ids == ("1", "2")
    assert truth.labels.box_image.tolist() == [1, 0]
    assert truth.labels.ignore.tolist() == [False, True]
    assert (truth.category, truth.category_id, truth.has_heights) == ("walker", 7, True)


def test_optional_keys_of_annotations(written: Any) -> None:
    rows = [box(vis_ratio=0.5, height=9), box(id=2, iscrowd=1), box(id=3, ignore=True, iscrowd=0)]
    found = read_truth(written(labels(annotations=rows))).labels
    assert found.visible_ratio.tolist() == [0.5, 1.0, 1.0]
    assert found.box_height_px.tolist() == [9, 4, 4]
    assert found.ignore.tolist() == [False, True, True]


def test_heights_of_pictures_may_be_missing(written: Any) -> None:
    assert not read_truth(written(labels(images=[{"id": 1}, {"id": 2, "height": 480}]))).has_heights


@pytest.mark.parametrize(
    ("names", "category", "chosen"),
    [
        pytest.param(["car", "person"], None, "person", id="person by default"),
        pytest.param(["person", "pedestrian"], None, "pedestrian", id="pedestrian before person"),
        pytest.param(["dog"], None, "dog", id="the only one"),
        pytest.param(["dog", "cat"], "cat", "cat", id="as asked for"),
    ],
)
def test_category_of_the_truth(written: Any, names: list[str], category: str | None, chosen: str) -> None:
    categories = [{"id": number, "name": name} for number, name in enumerate(names)]
    rows = [box(id=number, category_id=number) for number in range(len(names))]
    found = read_truth(written(labels(categories=categories, annotations=rows)), category)
    assert found.category == chosen
    assert len(found.labels.box_image) == 1


def test_a_file_without_categories_has_one(written: Any) -> None:
    document = labels(annotations=[box(), box(id=2)])
    del document["categories"]
    assert len(read_truth(written(document)).labels.box_image) == 2


@pytest.mark.parametrize(
    ("document", "category", "expected"),
    [
        pytest.param("", None, "is not JSON", id="empty file"),
        pytest.param("{", None, "is not JSON", id="cut off"),
        pytest.param("[" * 100_000, None, "nested too deeply", id="bomb of brackets"),
        pytest.param([], None, "expected a JSON object", id="a list"),
        pytest.param({"annotations": []}, None, "expected a list under the key images", id="no images"),
        pytest.param({"images": []}, None, "expected a list under the key annotations", id="no annotations"),
        pytest.param(labels(images=[1]), None, "expected an object at images[0]", id="image is no object"),
        pytest.param(labels(images=[{"id": 1}, {"id": 1}]), None, "1 image ids stand twice", id="image twice"),
        pytest.param(labels(images=[{"id": None}]), None, "expected a number or text as id", id="image without id"),
        pytest.param(labels(images=[{"id": True}]), None, "expected a number or text as id", id="id is a truth value"),
        pytest.param(labels(annotations=[box(), box()]), None, "1 annotation ids stand twice", id="annotation twice"),
        pytest.param(labels(annotations=[box(image_id=9)]), None, "1 of 1 entries name pictures", id="unknown picture"),
        pytest.param(labels(annotations=[box(bbox=[1, 2, 3])]), None, "expected bbox [x, y, width, height]", id="3 sides"),
        pytest.param(labels(annotations=[box(bbox="1234")]), None, "expected bbox [x, y, width, height]", id="text box"),
        pytest.param(labels(annotations=[box(bbox=[1, 2, -3, 4])]), None, "negative width or height", id="negative"),
        pytest.param(labels(annotations=[box(bbox=[1, 2, "3", 4])]), None, "expected a number as bbox", id="text side"),
        pytest.param(labels(annotations=[box(bbox=[1e6, 2, 3, 4])]), None, "beyond 100000 pixels", id="huge"),
        pytest.param(labels(annotations=[box(bbox=[10**400, 2, 3, 4])]), None, "is not JSON", id="endless digits"),
        pytest.param(labels(annotations=[box(vis_ratio=1.5)]), None, "expected every vis_ratio in 0..1", id="ratio"),
        pytest.param(labels(annotations=[box(height=None)]), None, "expected a number as height", id="height nothing"),
        pytest.param(labels(), "pigeon", "has no category pigeon, only walker", id="unknown category"),
        pytest.param(
            labels(categories=[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]), None, "name one by --category", id="which?"
        ),
    ],
)  # fmt: skip
def test_faults_of_the_truth(written: Any, document: Any, category: str | None, expected: str) -> None:
    path = written(document)
    with pytest.raises(InputError) as refused:
        read_truth(path, category)
    assert expected in str(refused.value)
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("document", "category", "expected"),
    [
        pytest.param({}, None, "expected a list under the key annotations", id="no list"),
        pytest.param(3, None, "expected a JSON list", id="a number"),
        pytest.param([hit(image_id=9), hit()], None, "1 of 2 entries name pictures", id="unknown picture"),
        pytest.param([hit(image_id="1")], None, "1 of 1 entries name pictures", id="id of another kind"),
        pytest.param([hit(score=None)], None, "expected a number as score", id="score nothing"),
        pytest.param('[{"image_id": 1, "bbox": [1, 2, 3, 4], "score": NaN}]', None, "is not JSON", id="NaN score"),
        pytest.param([{"image_id": 1, "bbox": [1, 2, 3, 4]}], None, "1 of 1 detections have no score", id="no score"),
        pytest.param([hit(bbox=[1, 2, 3, -4])], None, "1 boxes have a negative width or height", id="negative"),
        pytest.param([hit(category_id=1), hit(category_id=2)], None, "name one by --detection-category", id="which?"),
        pytest.param([hit()], "8", "has no category 8, only 7", id="category that is not there"),
        pytest.param(
            {"annotations": [hit(category_id=0)], "categories": [{"id": 0, "name": "car"}]},
            None,
            "has no category walker, only 0, car",
            id="named otherwise",
        ),
    ],
)
def test_faults_of_detections(
    written: Any, truth: CocoTruth, document: Any, category: str | None, expected: str
) -> None:
    path = written(document)
    with pytest.raises(InputError) as refused:
        read_detections(path, truth, category)
    assert expected in str(refused.value)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    ("document", "category", "count", "note"),
    [
        pytest.param([], None, 0, "", id="none"),
        pytest.param([hit(), hit(image_id=2)], None, 2, "", id="the same id"),
        pytest.param([{key: hit()[key] for key in ("image_id", "bbox", "score")}], None, 1, "", id="no category"),
        pytest.param([hit(category_id=1)], None, 1, "taken as walker", id="one other id"),
        pytest.param([hit(), hit(category_id=1)], None, 1, "1 of 2 detections have category_id 7", id="several"),
        pytest.param([hit(category_id=0), hit(category_id=1)], "0", 1, "category_id 0", id="by id"),
        pytest.param(
            {
                "annotations": [hit(category_id=0), hit(category_id=7)],
                "categories": [{"id": 0, "name": "walker"}, {"id": 7, "name": "car"}],
            },
            None,
            1,
            "category_id 0",
            id="by name, although the id means something else",
        ),
    ],
)
def test_category_of_detections(
    written: Any, truth: CocoTruth, document: Any, category: str | None, count: int, note: str
) -> None:
    found = read_detections(written(document), truth, category)
    assert len(found.detections) == count
    assert note in " ".join(found.notes)
    assert bool(found.notes) is bool(note)


def test_detections_with_pictures_of_their_own_are_joined_by_file_name(written: Any, truth: CocoTruth) -> None:
    own = [{"id": 1, "file_name": "b.jpg"}, {"id": 5, "file_name": "a.jpg"}]
    found = read_detections(written({"images": own, "annotations": [hit(), hit(image_id=5)]}), truth)
    assert found.detections.image.tolist() == [1, 0]
    assert "pictures are found by file name" in found.notes
    with pytest.raises(InputError, match="1 of 1 entries name pictures"):
        read_detections(written({"images": own, "annotations": [hit(image_id=2)]}), truth)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            read_truth(path)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "picture.json"
    path.write_bytes(b"\xff\xd8\xff\xe0" * 100)
    with pytest.raises(InputError, match="is not JSON"):
        read_truth(path)


def test_a_file_beyond_the_limit_is_not_read(written: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("belisha.components.shared.evaluation.coco_files.MAX_BYTES", 10)
    with pytest.raises(InputError, match="but 10 are allowed"):
        read_truth(written(labels()))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["images", "annotations", "categories", "id", "image_id", "category_id", "bbox", "score", "name"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@settings(max_examples=60, deadline=None)
@given(document=_JSON, rows=st.lists(_JSON, max_size=3))
def test_any_json_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, document: Any, rows: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("json")
    path, known = folder / "any.json", folder / "known.json"
    known.write_text(json.dumps(labels()))
    for value in (document, labels(annotations=rows), labels(images=rows), labels(categories=rows), rows):
        path.write_text(json.dumps(value))
        for read in (read_truth, lambda each: read_detections(each, read_truth(known))):
            try:
                read(path)
            except InputError as refused:
                assert str(path) in str(refused)
