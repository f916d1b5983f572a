"""Label Studio: tasks with the models' boxes as predictions, and its JSON export back.

Coordinates are percent of the picture, 0..100. Docs: https://labelstud.io/guide/task_format and …/guide/predictions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from belisha.components.review.answers import (
    IGNORE,
    LABELS,
    PEDESTRIAN,
    Items,
    a_list,
    an_object,
    annotator_name,
    checked_box,
    item_named,
    number_of,
    seconds_or_none,
    vote_of,
)
from belisha.components.review.suggestions import IGNORE_REGIONS, LEAST_SCORE, clipped
from belisha.components.shared.boxes import FloatArray
from belisha.components.shared.errors import InputError
from belisha.components.shared.manifest import Box
from belisha.components.shared.review_queue import ModelAnswer, QueueItem, Vote

# Shapes that somebody drew and gave no label.
_BARE_SHAPES = frozenset({"rectangle", "ellipse", "polygon", "keypoint", "brush", "vector"})
FROM_NAME, TO_NAME = "boxes", "image"
# What the project's labelling interface must be for the predictions to show.
INTERFACE = f"""<View>
  <Image name="{TO_NAME}" value="$image" zoom="true" zoomControl="true" rotateControl="false"/>
  <RectangleLabels name="{FROM_NAME}" toName="{TO_NAME}" canRotate="false">
    <Label value="{PEDESTRIAN}" background="#12a150" hotkey="1"/>
    <Label value="{IGNORE}" background="#8a8f98" hotkey="2"/>
  </RectangleLabels>
</View>
"""


def tasks_of(
    items: Iterable[QueueItem], address_of: Callable[[QueueItem], str], least_score: float = LEAST_SCORE
) -> list[dict[str, Any]]:
    """One task a picture, one prediction a model.

    Args:
        items: pictures.
        address_of: where Label Studio's browser finds a picture.
        least_score: weakest box to suggest.
    """
    return [
        {
            "data": {
                "image": address_of(item),
                "picture_id": item.picture_id,
                "camera": item.camera,
                "condition": item.condition,
                "captured_at": item.captured_at.isoformat(),
                "pick": item.pick.value,
            },
            "predictions": [_prediction(item, answer, least_score) for answer in item.answers],
        }
        for item in items
    ]


def _prediction(item: QueueItem, answer: ModelAnswer, least_score: float) -> dict[str, Any]:
    boxes = clipped(item, answer.boxes())
    result = [
        _region(item, row, score, answer.model_version, place)
        for place, (row, score) in enumerate(zip(boxes, answer.scores, strict=False))
        if score >= least_score and min(row[2], row[3]) >= 1
    ]
    score = max((region["score"] for region in result), default=0.0)
    return {"model_version": answer.model_version, "score": score, "result": result}


def _region(item: QueueItem, xywh_px: FloatArray, score: float, version: str, place: int) -> dict[str, Any]:
    x, y, width, height = (float(value) for value in xywh_px)
    value = {
        "x": 100 * x / item.width_px,
        "y": 100 * y / item.height_px,
        "width": 100 * width / item.width_px,
        "height": 100 * height / item.height_px,
        "rotation": 0,
        "rectanglelabels": [IGNORE if version == IGNORE_REGIONS else PEDESTRIAN],
    }
    return {
        "id": f"{version}-{place}",
        "from_name": FROM_NAME,
        "to_name": TO_NAME,
        "type": "rectanglelabels",
        "original_width": item.width_px,
        "original_height": item.height_px,
        "image_rotation": 0,
        "value": value,
        "score": score,
    }


def is_label_studio(document: object) -> bool:
    """Whether parsed JSON is Label Studio's export."""
    return isinstance(document, list) and all(isinstance(task, dict) and "data" in task for task in document)


def votes_of(
    document: object, items: Items, where: str, annotator: str = "", *, adjudicator: bool = False
) -> list[Vote]:
    """Votes of an export in the format `JSON`; tasks that nobody has finished are left out.

    Args:
        document: parsed.
        items: pictures that were handed out, by their ids.
        where: the file, for people.
        annotator: stands in for everybody whom the export names; empty takes its own `completed_by`.
        adjudicator: whether these people decide.

    Raises:
        InputError: anything in it is not as Label Studio writes it; the sentence says what and where.
    """
    votes = []
    for number, task in enumerate(a_list(document, where)):
        at = f"{where}: task {number}"
        fields = an_object(task, at)
        data = an_object(fields.get("data"), f"{at}: data")
        finished = [an_object(one, at) for one in a_list(fields.get("annotations", []), f"{at}: annotations")]
        for one in finished:
            if not one.get("was_cancelled"):
                item = item_named(data.get("picture_id") or data.get("image"), items, at)
                votes.append(_vote(one, item, at, annotator, adjudicator=adjudicator))
    return votes


def _vote(value: dict[str, Any], item: QueueItem, at: str, annotator: str, *, adjudicator: bool) -> Vote:
    name = annotator or annotator_name(_completed_by(value.get("completed_by")), at)
    boxes = [_box(an_object(region, at), item, at) for region in a_list(value.get("result", []), f"{at}: result")]
    return vote_of(item, name, boxes, seconds_or_none(value.get("lead_time")), at, adjudicator=adjudicator)


def _completed_by(value: object) -> object:
    """Exports name a person by number, or by an object with e-mail address and number."""
    return (value.get("email") or value.get("id")) if isinstance(value, dict) else value


def _box(region: dict[str, Any], item: QueueItem, at: str) -> Box | None:
    """A rectangle; what is no region (a choice, a comment) is None."""
    kind = region.get("type")
    if kind != "rectanglelabels":
        if isinstance(kind, str) and (kind.endswith("labels") or kind in _BARE_SHAPES):
            raise InputError(
                f"{at}: a region is of the type {kind[:40]!r}: draw boxes with a label, nothing else can be read"
            )
        return None
    value = an_object(region.get("value"), f"{at}: value")
    if number_of(value.get("rotation", 0), at) % 360:
        raise InputError(f"{at}: a box is rotated, which boxes around pedestrians never are: turn it back")
    labels = a_list(value.get("rectanglelabels"), f"{at}: rectanglelabels")
    if len(labels) != 1 or labels[0] not in LABELS:
        raise InputError(f"{at}: a box has the labels {str(labels)[:80]}, expected one of {' or '.join(LABELS)}")
    x, y, width, height = (number_of(value.get(name), f"{at}: {name}") for name in ("x", "y", "width", "height"))
    across, down = item.width_px / 100, item.height_px / 100
    return checked_box(item, labels[0], (x * across, y * down, width * across, height * down), at)
