"""Label Studio, CVAT and our own JSON: what is exported comes back the same, and hostile files are one sentence."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belisha.components.review import cvat, label_studio, own_json
from belisha.components.review.answers import MAX_BOXES, annotator_name
from belisha.components.review.suggestions import suggestions_of
from belisha.components.shared.errors import InputError
from belisha.components.shared.manifest import Box
from belisha.components.shared.review_queue import ModelAnswer, Pick, QueueItem, Vote
from tests.components.review.queue_world import NOON
from tests.factories import fake_id

WIDTH, HEIGHT = 640, 480
BOXES = st.lists(
    st.tuples(st.floats(0, 600), st.floats(0, 440), st.floats(2, 600), st.floats(2, 440), st.booleans()), max_size=8
)


def item(number: int = 0, **changes: object) -> QueueItem:
    found = QueueItem(fake_id(number), "file:///p", WIDTH, HEIGHT, NOON, "north", "day", Pick.UNCERTAIN, 0.5)
    return replace(found, **changes)


def items(*found: QueueItem) -> dict[str, QueueItem]:
    return {one.picture_id: one for one in found or (item(),)}


def answered(boxes: tuple[tuple[float, float, float, float], ...], scores: tuple[float, ...]) -> QueueItem:
    return item(answers=(ModelAnswer("v1", "champion", "r", shadow=False, boxes_xywh_px=boxes, scores=scores),))


def as_vote(drawn: list[tuple[float, float, float, float, bool]]) -> Vote:
    boxes = tuple(
        Box(x, y, min(width, WIDTH - x), min(height, HEIGHT - y), ignore) for x, y, width, height, ignore in drawn
    )
    return Vote(fake_id(0), "ada", tuple(box for box in boxes if min(box.width, box.height) >= 1.1))


def assert_same(found: list[Vote], expected: Vote) -> None:
    [vote] = found
    assert (vote.picture_id, vote.annotator) == (expected.picture_id, expected.annotator)
    assert [box.ignore for box in vote.boxes] == [box.ignore for box in expected.boxes]
    for one, other in zip(vote.boxes, expected.boxes, strict=True):
        assert (one.x, one.y, one.width, one.height) == pytest.approx(
            (other.x, other.y, other.width, other.height), abs=1e-6
        )


def label_studio_export(vote: Vote, **changes: Any) -> list[dict[str, Any]]:
    """As Label Studio 1.x writes the format JSON."""
    result = [
        {
            "original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0, "id": f"r{place}",
            "from_name": "boxes", "to_name": "image", "type": "rectanglelabels", "origin": "manual",
            "value": {
                "x": 100 * box.x / WIDTH, "y": 100 * box.y / HEIGHT, "width": 100 * box.width / WIDTH,
                "height": 100 * box.height / HEIGHT, "rotation": 0,
                "rectanglelabels": ["ignore" if box.ignore else "pedestrian"],
            },
        }
        for place, box in enumerate(vote.boxes)
    ]  # fmt: skip
    annotation = {
        "id": 1, "completed_by": vote.annotator, "result": result, "was_cancelled": False, "lead_time": 12.5, **changes,
    }  # fmt: skip
    data = {"image": f"s3://bucket/{vote.picture_id}", "picture_id": vote.picture_id}
    return [{"id": 1, "annotations": [annotation], "predictions": [], "data": data}]


def cvat_export(vote: Vote, **changes: str) -> bytes:
    boxes = "".join(
        f'<box label="{"ignore" if box.ignore else "pedestrian"}" source="manual" occluded="0" xtl="{box.x!r}" '
        f'ytl="{box.y!r}" xbr="{box.x + box.width!r}" ybr="{box.y + box.height!r}" z_order="0"></box>'
        for box in vote.boxes
    )
    size = {"width": str(WIDTH), "height": str(HEIGHT), "name": f"{vote.picture_id}.jpg", **changes}
    attributes = " ".join(f'{name}="{value}"' for name, value in size.items())
    return (
        '<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version><meta><job><id>3</id>'
        f'<assignee>{vote.annotator}</assignee></job></meta><image id="0" {attributes}>{boxes}</image></annotations>'
    ).encode()


@given(drawn=BOXES)
@settings(deadline=None)
def test_label_studio_comes_back(drawn: list) -> None:
    vote = as_vote(drawn)
    document = json.loads(json.dumps(label_studio_export(vote)))
    assert label_studio.is_label_studio(document)
    assert_same(label_studio.votes_of(document, items(), "f"), vote)


@given(drawn=BOXES)
@settings(deadline=None)
def test_cvat_comes_back_zipped_or_not(drawn: list) -> None:
    vote = as_vote(drawn)
    data, buffer = cvat_export(vote), io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("annotations.xml", data)
        packed.writestr("images/x.jpg", b"picture")
    for found in (data, buffer.getvalue()):
        assert cvat.is_cvat(found)
        assert_same(cvat.votes_of(found, items(), "f"), vote)


@given(drawn=BOXES)
@settings(deadline=None)
def test_our_own_json_comes_back(drawn: list) -> None:
    vote = as_vote(drawn)
    document = json.loads(json.dumps(own_json.answers_of(vote)))
    assert own_json.is_own(document)
    assert_same(own_json.votes_of(document, items(), "f"), vote)


@given(
    boxes=st.lists(st.tuples(*[st.integers(-50, 700)] * 2, *[st.integers(0, 700)] * 2), max_size=6),
    score=st.floats(0.26, 1),
)
@settings(deadline=None)
def test_what_is_suggested_is_what_an_untouched_export_says(boxes: list, score: float) -> None:
    """The models' boxes go out as pre-annotations and come back as an answer, in both tools alike."""
    one = answered(tuple(boxes), (round(score, 3),) * len(boxes))
    expected = sorted((x.x, x.y, x.x + x.width, x.y + x.height) for x in suggestions_of(one))
    [task] = label_studio.tasks_of([one], lambda found: f"http://files/{found.picture_id}")
    accepted = [
        {"data": task["data"], "annotations": [{"completed_by": 7, "result": task["predictions"][0]["result"]}]}
    ]
    [studio] = label_studio.votes_of(accepted, items(one), "f")
    [vat] = cvat.votes_of(cvat.xml_of([one]), items(one), "f", annotator="ada")
    for vote in (studio, vat):
        corners = sorted((box.x, box.y, box.x + box.width, box.y + box.height) for box in vote.boxes)
        assert len(corners) == len(expected)
        for found, wanted in zip(corners, expected, strict=True):
            assert found == pytest.approx(wanted, abs=0.02)


def test_label_studio_tasks_are_as_it_documents_them() -> None:
    one = answered(((64, 48, 320, 240), (0, 0, 10, 10)), (0.9, 0.1))
    [task] = label_studio.tasks_of([one], lambda found: found.picture_uri)
    [prediction] = task["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("v1", 0.9)
    [region] = prediction["result"]
    assert (region["from_name"], region["to_name"], region["type"]) == ("boxes", "image", "rectanglelabels")
    assert region["value"] == {
        "x": 10, "y": 10, "width": 50, "height": 50, "rotation": 0, "rectanglelabels": ["pedestrian"],
    }  # fmt: skip
    assert (region["original_width"], region["original_height"]) == (WIDTH, HEIGHT)
    for word in ('name="boxes"', 'toName="image"', 'value="pedestrian"', 'value="ignore"', 'value="$image"'):
        assert word in label_studio.INTERFACE


def test_one_suggestion_stands_for_what_both_models_found() -> None:
    both = ((10.0, 10.0, 40.0, 100.0),)
    other = ((12.0, 10.0, 40.0, 100.0), (300.0, 10.0, 40.0, 100.0))
    one = item(
        answers=(
            ModelAnswer("v1", "champion", "r", shadow=False, boxes_xywh_px=both, scores=(0.6,)),
            ModelAnswer("v2", "challenger", "r", shadow=True, boxes_xywh_px=other, scores=(0.8, 0.7)),
        )
    )
    found = suggestions_of(one)
    assert [(box.x, box.score, box.models) for box in found] == [(12.0, 0.8, ("v1", "v2")), (300.0, 0.7, ("v2",))]


def test_cancelled_and_unfinished_tasks_are_left_out() -> None:
    vote = as_vote([(1, 1, 20, 40, False)])
    assert label_studio.votes_of(label_studio_export(vote, was_cancelled=True), items(), "f") == []
    assert label_studio.votes_of([{"id": 1, "data": {"picture_id": vote.picture_id}}], items(), "f") == []


def test_comments_and_choices_beside_the_boxes_do_no_harm() -> None:
    vote = as_vote([(1, 1, 20, 40, False)])
    document = label_studio_export(vote)
    document[0]["annotations"][0]["result"] += [
        {"type": "choices", "value": {"choices": ["hard"]}},
        {"type": "relation"},
    ]
    assert_same(label_studio.votes_of(document, items(), "f"), vote)


def test_several_people_of_one_export_stay_apart() -> None:
    document = label_studio_export(as_vote([(1, 1, 20, 40, False)]))
    document[0]["annotations"].append({"completed_by": {"id": 4, "email": "bob@x.org"}, "result": []})
    assert [vote.annotator for vote in label_studio.votes_of(document, items(), "f")] == ["ada", "bob@x.org"]


def studio_with(value: dict[str, Any], **changes: Any) -> list[dict[str, Any]]:
    document = label_studio_export(as_vote([(1, 1, 20, 40, False)]), **changes)
    document[0]["annotations"][0]["result"][0]["value"].update(value)
    return document


@pytest.mark.parametrize(
    ("document", "words"),
    [
        pytest.param({}, "expected a list", id="no list"),
        pytest.param([1], "expected a JSON object", id="no task"),
        pytest.param([{"data": 3}], "expected a JSON object", id="no data"),
        pytest.param([{"data": {"image": "/etc/passwd"}, "annotations": [{}]}], "names no picture", id="unknown"),
        pytest.param(studio_with({"x": "nan"}), "no coordinate", id="not a number"),
        pytest.param(studio_with({"x": 1e999}), "no coordinate", id="infinite"),
        pytest.param(studio_with({"x": None}), "no coordinate", id="missing"),
        pytest.param(studio_with({"x": 10**400}), "no coordinate", id="huge"),
        pytest.param(studio_with({"width": -5}), "draw it again", id="negative"),
        pytest.param(studio_with({"x": 5000}), "leaves the picture", id="far outside"),
        pytest.param(studio_with({"rotation": 30}), "turn it back", id="rotated"),
        pytest.param(studio_with({"rectanglelabels": ["car"]}), "expected one of pedestrian or ignore", id="label"),
        pytest.param(studio_with({"rectanglelabels": []}), "expected one of pedestrian or ignore", id="no label"),
        pytest.param(studio_with({}, completed_by="../../etc"), "cannot be an annotator", id="hostile name"),
        pytest.param(studio_with({}, completed_by=None), "cannot be an annotator", id="no name"),
        pytest.param(label_studio_export(as_vote([]), result=[{"type": "polygonlabels"}]), "draw boxes", id="polygon"),
        pytest.param(label_studio_export(as_vote([]), result=[{"type": "rectangle"}]), "draw boxes", id="no label at all"),
        pytest.param(label_studio_export(as_vote([]), result=[5]), "expected a JSON object", id="no region"),
    ],
)  # fmt: skip
def test_hostile_label_studio_files_are_one_sentence(document: Any, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        label_studio.votes_of(document, items(), "f.json")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


SMALL = as_vote([(1, 1, 9, 9, False)])
BILLION_LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;">]><annotations>&c;</annotations>'
)
OUTSIDE = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotations>&b;</annotations>'


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for name in names:
            packed.writestr(name, b"<annotations/>")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"<annotations>", "not readable as XML", id="cut"),
        pytest.param(b"<a/>", "not CVAT for images 1.1", id="another document"),
        pytest.param(BILLION_LAUGHS, "do not trust it", id="entities"),
        pytest.param(OUTSIDE, "do not trust it", id="outside entity"),
        pytest.param(zipped(), "cannot be unpacked|0 files", id="empty zip"),
        pytest.param(zipped("images/a.jpg"), "0 files annotations.xml", id="zip without labels"),
        pytest.param(zipped("annotations.xml", "b/annotations.xml"), "2 files", id="zip with two"),
        pytest.param(b"PK\x03\x04rubbish", "cannot be unpacked", id="damaged zip"),
        pytest.param(
            b"<annotations><version>1.1</version><track/></annotations>", "tracks of a video", id="video"
        ),
        pytest.param(cvat_export(SMALL).replace(b"</image>", b"<polygon/></image>"), "draw boxes", id="polygon"),
        pytest.param(cvat_export(as_vote([]), width="320"), "320 x 480 pixels there", id="another size"),
        pytest.param(cvat_export(as_vote([]), name="../../x.jpg"), "names no picture", id="unknown"),
        pytest.param(cvat_export(as_vote([])).replace(b"ada", b""), "does not say who drew", id="nobody"),
        pytest.param(cvat_export(SMALL).replace(b'xtl="1', b'xtl="x'), "no coordinate", id="letters"),
        pytest.param(cvat_export(SMALL).replace(b'"pedestrian"', b'"car"'), "no label of ours", id="label"),
    ],
)  # fmt: skip
def test_hostile_cvat_files_are_one_sentence(data: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words) as error:
        cvat.votes_of(data, items(), "f.xml")
    assert "\n" not in str(error.value)


def test_a_picture_with_thousands_of_boxes_is_refused() -> None:
    vote = Vote(fake_id(0), "ada", tuple(Box(1, 1, 20, 40) for _ in range(MAX_BOXES + 1)))
    with pytest.raises(InputError, match="at most 2000"):
        own_json.votes_of(own_json.answers_of(vote), items(), "f")


def test_boxes_are_cut_at_the_border_and_stray_clicks_dropped() -> None:
    vote = Vote(fake_id(0), "ada", (Box(-10, -10, 50, 60), Box(5, 5, 0.2, 0.2)))
    [found] = own_json.votes_of(own_json.answers_of(vote), items(), "f")
    assert found.boxes == (Box(0, 0, 40, 50),)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["data", "annotations", "result", "schema", "pictures", "boxes", "value", "x"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
@settings(deadline=None)
def test_no_json_whatever_breaks_the_readers(document: Any) -> None:
    for read in (label_studio.votes_of, own_json.votes_of):
        try:
            assert read(document, items(), "f") == []
        except InputError as error:
            assert "\n" not in str(error)


@given(st.binary(max_size=200))
@settings(deadline=None)
def test_no_bytes_whatever_break_the_xml_reader(data: bytes) -> None:
    with pytest.raises(InputError):
        cvat.votes_of(data, items(), "f")


@pytest.mark.parametrize("name", ["ada", "Ada.L@example.org", "7", "a" * 64, "a+b_c-d", 7])
def test_names_that_are_names(name: object) -> None:
    assert annotator_name(name, "w") == str(name)


@pytest.mark.parametrize(
    "name", ["", "..", ".", "a/b", "a b", "a\n", "ä", "a" * 65, None, True, 1.5, {}, "../x", "a\0"]
)
def test_names_that_are_none(name: object) -> None:
    with pytest.raises(InputError, match="cannot be an annotator"):
        annotator_name(name, "w")
