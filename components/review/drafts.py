"""What the review page saves while people work: one object a person and picture, replaced as a whole at every change.

    review/answers/<annotator>/<picture id>.json       what people draw
    review/decisions/<annotator>/<picture id>.json     what adjudicators decide

It becomes a vote when the person has said that the picture is done and `belisha review import --page` is run.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
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
ANSWERS_PREFIX, DECISIONS_PREFIX = f"{REVIEW_PREFIX}/answers", f"{REVIEW_PREFIX}/decisions"
_READERS = 8


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


def prefix_of(*, adjudicator: bool) -> str:
    """Where drafts of annotators, or of adjudicators, lie."""
    return DECISIONS_PREFIX if adjudicator else ANSWERS_PREFIX


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
    vote = draft.vote
    key = f"{prefix_of(adjudicator=vote.adjudicator)}/{vote.annotator}/{vote.picture_id}.json"
    store.write(key, canonical_json(draft_json(draft)))


def read_draft(
    store: ObjectStore, annotator: str, picture_id: str, items: Items, *, adjudicator: bool = False
) -> Draft | None:
    """A person's draft of a picture, both names checked; None when there is none; raises ContractError, StorageError."""
    return _read(store, f"{prefix_of(adjudicator=adjudicator)}/{annotator}/{picture_id}.json", annotator, items)


def read_drafts(store: ObjectStore, items: Items, annotator: str = "", *, adjudicator: bool = False) -> Iterator[Draft]:
    """All drafts, of one person where a name is given; raises ContractError, InputError, StorageError."""
    prefix = prefix_of(adjudicator=adjudicator)

    def read(key: str) -> Draft | None:
        name = key.removeprefix(f"{prefix}/").partition("/")[0]
        return _read(store, key, annotator_name(name, key), items)

    keys = list(store.list(f"{prefix}/{annotator}" if annotator else prefix))
    with ThreadPoolExecutor(_READERS) as readers:
        yield from (draft for draft in readers.map(read, keys) if draft is not None)


def finished_votes(store: ObjectStore, items: Items) -> list[Vote]:
    """Votes and decisions of all pictures that somebody has called done; raises as `read_drafts`."""
    both = (draft for adjudicator in (False, True) for draft in read_drafts(store, items, adjudicator=adjudicator))
    return [draft.vote for draft in both if draft.done]


def _read(store: ObjectStore, key: str, annotator: str, items: Items) -> Draft | None:
    try:
        data = store.read(key)
    except NotFoundError:
        return None
    where = f"{store.uri}/{key}"
    return draft_of(parse_json(data, where, schema=DRAFT_SCHEMA), items, annotator, where)
