"""What the review page saves while people work: one object a person and picture, replaced as a whole at every change.

    review/answers/<annotator>/<picture id>.json

It becomes a vote when the person has said that the picture is done and `belisha review import --page` is run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from belisha.components.review.answers import Items, annotator_name
from belisha.components.review.own_json import picture_vote
from belisha.components.shared.errors import InputError, NotFoundError
from belisha.components.shared.files import canonical_json, parse_json
from belisha.components.shared.review_queue import Vote
from belisha.components.shared.review_samples import REVIEW_PREFIX
from belisha.components.shared.storage import ObjectStore

DRAFT_SCHEMA = "belisha.review_draft/1"
DRAFTS_PREFIX = f"{REVIEW_PREFIX}/answers"


@dataclass(frozen=True, slots=True)
class Draft:
    """A person's work on a picture.

    Attributes:
        vote: what they have drawn so far.
        done: whether they say that it is finished.
        revision: how often it was saved; tells two open pages of one person apart.
    """

    vote: Vote
    done: bool
    revision: int


def draft_key(annotator: str, picture_id: str) -> str:
    """Where a draft lies; both names must have been checked."""
    return f"{DRAFTS_PREFIX}/{annotator}/{picture_id}.json"


def draft_of(value: dict[str, Any], items: Items, annotator: str, where: str) -> Draft:
    """A draft from JSON values of unknown origin; raises InputError."""
    done, revision = value.get("done"), value.get("revision")
    if not isinstance(done, bool) or isinstance(revision, bool) or not isinstance(revision, int) or revision < 0:
        raise InputError(f"{where}: expected `done` to be true or false and `revision` a whole number")
    vote = picture_vote(value, items, where, annotator, adjudicator=value.get("adjudicator") is True)
    return Draft(vote, done, revision)


def draft_json(draft: Draft) -> dict[str, Any]:
    """JSON values of a draft."""
    vote = draft.vote
    boxes = [
        {
            "x": box.x,
            "y": box.y,
            "width": box.width,
            "height": box.height,
            "label": "ignore" if box.ignore else "pedestrian",
        }
        for box in vote.boxes
    ]
    return {
        "schema": DRAFT_SCHEMA,
        "picture_id": vote.picture_id,
        "annotator": vote.annotator,
        "adjudicator": vote.adjudicator,
        "seconds": vote.seconds,
        "boxes": boxes,
        "done": draft.done,
        "revision": draft.revision,
    }


def save_draft(store: ObjectStore, draft: Draft) -> None:
    """Replace the draft; raises StorageError."""
    store.write(draft_key(draft.vote.annotator, draft.vote.picture_id), canonical_json(draft_json(draft)))


def read_draft(store: ObjectStore, annotator: str, picture_id: str, items: Items) -> Draft | None:
    """A person's draft of a picture; None when there is none; raises ContractError, InputError, StorageError."""
    key = draft_key(annotator, picture_id)
    try:
        data = store.read(key)
    except NotFoundError:
        return None
    where = f"{store.uri}/{key}"
    return draft_of(parse_json(data, where, schema=DRAFT_SCHEMA), items, annotator, where)


def read_drafts(store: ObjectStore, items: Items, annotator: str = "") -> Iterator[Draft]:
    """All drafts, of one person where a name is given; raises ContractError, InputError, StorageError."""
    prefix = f"{DRAFTS_PREFIX}/{annotator}" if annotator else DRAFTS_PREFIX
    for key in store.list(prefix):
        name, _, file_name = key.removeprefix(f"{DRAFTS_PREFIX}/").partition("/")
        draft = read_draft(store, annotator_name(name, key), file_name.removesuffix(".json"), items)
        if draft is not None:
            yield draft


def finished_votes(store: ObjectStore, items: Items) -> list[Vote]:
    """Votes of all pictures that somebody has called done; raises as `read_drafts`."""
    return [draft.vote for draft in read_drafts(store, items) if draft.done]
