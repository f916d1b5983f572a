"""Our own JSON: what the review page writes, and the plainest way for any other tool.

{"schema": "belisha.review_answers/1", "annotator": "ada",
"pictures": [{"picture_id": "…", "seconds": 12.5,
"boxes": [{"x": 10, "y": 20, "width": 30, "height": 60, "label": "pedestrian"}]}]}
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from belisha.components.review.answers import (
    IGNORE,
    PEDESTRIAN,
    Items,
    a_list,
    an_object,
    annotator_name,
    checked_box,
    item_named,
    seconds_or_none,
    vote_of,
)
from belisha.components.review.suggestions import LEAST_SCORE, suggestions_of
from belisha.components.shared.errors import InputError
from belisha.components.shared.manifest import Box
from belisha.components.shared.review_queue import QueueItem, Vote

TASKS_SCHEMA = "belisha.review_tasks/1"
ANSWERS_SCHEMA = "belisha.review_answers/1"


def tasks_of(items: Iterable[QueueItem], least_score: float = LEAST_SCORE) -> dict[str, Any]:
    """Pictures with the models' boxes."""
    return {"schema": TASKS_SCHEMA, "pictures": [task_of(item, least_score) for item in items]}


def task_of(item: QueueItem, least_score: float = LEAST_SCORE) -> dict[str, Any]:
    """One picture with the models' boxes."""
    return {
        "picture_id": item.picture_id,
        "picture_uri": item.picture_uri,
        "width_px": item.width_px,
        "height_px": item.height_px,
        "camera": item.camera,
        "condition": item.condition,
        "captured_at": item.captured_at.isoformat(),
        "pick": item.pick.value,
        "suggestions": [asdict(one) for one in suggestions_of(item, least_score)],
    }


def is_own(document: object) -> bool:
    """Whether parsed JSON is ours."""
    return isinstance(document, dict) and document.get("schema") == ANSWERS_SCHEMA


def votes_of(
    document: object, items: Items, where: str, annotator: str = "", *, adjudicator: bool = False
) -> list[Vote]:
    """Votes of one person's file.

    Args:
        document: parsed.
        items: pictures that were handed out, by their ids.
        where: the file, for people.
        annotator: who drew; empty takes the name in the file.
        adjudicator: whether this person decides.

    Raises:
        InputError: anything in it is not as described above.
    """
    fields = an_object(document, where)
    if fields.get("schema") != ANSWERS_SCHEMA:
        raise InputError(f"{where} has schema {str(fields.get('schema'))[:60]!r}, expected {ANSWERS_SCHEMA!r}")
    name = annotator or annotator_name(fields.get("annotator"), where)
    pictures = a_list(fields.get("pictures"), f"{where}: pictures")
    return [
        picture_vote(an_object(value, f"{where}: picture {number}"), items, f"{where}: picture {number}", name,
                     adjudicator=adjudicator)
        for number, value in enumerate(pictures)
    ]  # fmt: skip


def picture_vote(value: dict[str, Any], items: Items, at: str, annotator: str, *, adjudicator: bool = False) -> Vote:
    """One entry of `pictures`; raises InputError."""
    item = item_named(value.get("picture_id"), items, at)
    boxes = [_box(an_object(box, at), item, at) for box in a_list(value.get("boxes"), f"{at}: boxes")]
    return vote_of(item, annotator, boxes, seconds_or_none(value.get("seconds")), at, adjudicator=adjudicator)


def _box(value: dict[str, Any], item: QueueItem, at: str) -> Box | None:
    corners = [value.get(name) for name in ("x", "y", "width", "height")]
    return checked_box(item, value.get("label"), corners, at)


def answers_of(vote: Vote) -> dict[str, Any]:
    """A vote as a file of its own."""
    boxes = [
        {
            "x": box.x,
            "y": box.y,
            "width": box.width,
            "height": box.height,
            "label": IGNORE if box.ignore else PEDESTRIAN,
        }
        for box in vote.boxes
    ]
    picture = {"picture_id": vote.picture_id, "seconds": vote.seconds, "boxes": boxes}
    return {"schema": ANSWERS_SCHEMA, "annotator": vote.annotator, "pictures": [picture]}
