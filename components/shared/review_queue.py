"""The review queue's contract: which pictures wait for people, and what people said about them.

    review/batches/000001.json    one selection: the pictures that were handed out, each in one batch only
    review/imports/000001.json    one import: who drew what, and the truth that follows for the pictures concerned

Both are numbered, create-only records (`numbered_records.py`); nothing is ever changed, a later import of a picture counts.
`components/review` writes them; `reviewed_pictures` is for whoever judges models by them.

    for reviewed in reviewed_pictures(open_store(storage_uri)):
        reviewed.item.answers     # what each model said, with its request id
        reviewed.boxes            # the truth, ignore regions among it
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from belisha.components.shared.boxes import FloatArray
from belisha.components.shared.errors import ContractError
from belisha.components.shared.manifest import Box
from belisha.components.shared.numbered_records import NumberedRecords
from belisha.components.shared.review_samples import REVIEW_PREFIX
from belisha.components.shared.storage import ObjectStore

BATCH_SCHEMA = "belisha.review_batch/1"
IMPORT_SCHEMA = "belisha.review_import/1"
BATCHES_PREFIX = f"{REVIEW_PREFIX}/batches"
IMPORTS_PREFIX = f"{REVIEW_PREFIX}/imports"
# `belisha acquire <storage>/review/dataset/reviewed` reads it as one more source, named by the last folder.
REVIEWED_SOURCE = "reviewed"
REVIEWED_DATASET_PREFIX = f"{REVIEW_PREFIX}/dataset/{REVIEWED_SOURCE}"


class Pick(enum.StrEnum):
    """Why a picture was chosen for people."""

    UNIFORM = "uniform"
    DISAGREEMENT = "disagreement"
    DRIFTED = "drifted"
    UNCERTAIN = "uncertain"


class Method(enum.StrEnum):
    """How the truth of a picture was found."""

    ONE_ANNOTATOR = "one annotator"
    CONSENSUS = "consensus"
    ADJUDICATED = "adjudicated"


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """What one model said about a picture.

    Attributes:
        model_version: whose answer it is.
        role: of that model at that moment.
        request_id: leads to the row in the request log.
        shadow: the answer went to the log alone.
        boxes_xywh_px: x, y, width, height of each box, in pixels of the upright picture, best first.
        scores: of the boxes, 0..1.
    """

    model_version: str
    role: str
    request_id: str
    shadow: bool
    boxes_xywh_px: tuple[tuple[float, float, float, float], ...] = ()
    scores: tuple[float, ...] = ()

    def boxes(self) -> FloatArray:
        """The boxes as `(n, 4)` float64."""
        return np.array(self.boxes_xywh_px, dtype=np.float64).reshape(-1, 4)


@dataclass(frozen=True, slots=True)
class QueueItem:
    """A picture that was handed out for review.

    Attributes:
        picture_id: SHA-256 of its bytes.
        picture_uri: where it lies.
        width_px: of the upright picture.
        height_px: of the upright picture.
        captured_at: when it was answered, UTC.
        camera: that took it, empty when unknown.
        condition: `day` or `night`, by its brightness.
        pick: why it was chosen.
        score: by which it was ranked, 0..1; higher is more worth a look.
        inclusion_probability: that a request of the window gets here by the uniform draw; None for all other picks.
        answers: of the models that saw it.
    """

    picture_id: str
    picture_uri: str
    width_px: int
    height_px: int
    captured_at: datetime
    camera: str
    condition: str
    pick: Pick
    score: float
    inclusion_probability: float | None = None
    answers: tuple[ModelAnswer, ...] = ()

    @property
    def stratum(self) -> str:
        """Camera and day or night."""
        return f"{self.camera or 'unknown'}/{self.condition or 'unknown'}"


@dataclass(frozen=True, slots=True)
class Batch:
    """One selection.

    Attributes:
        number: from 1 upwards.
        key: the same request for pictures has the same key, and is answered once.
        cause: why pictures were asked for, for people.
        created_at: UTC.
        begin: of the window that was looked at.
        end: of it, exclusive.
        items: what is handed out.
        drawn_before: pictures that the uniform draw chose although an earlier batch had handed them out, with the probability
            of this draw: they count for estimates and are not handed out again.
        left_out: reason to number of candidates that were passed over.
    """

    number: int
    key: str
    cause: str
    created_at: datetime
    begin: datetime
    end: datetime
    items: tuple[QueueItem, ...]
    drawn_before: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Vote:
    """What one person says of one picture.

    Attributes:
        picture_id: of the picture.
        annotator: who; 1 to 64 letters, digits or `._@+-`.
        boxes: pixels of the upright picture; none where there is nobody.
        adjudicator: the person has seen the others' boxes and decides.
        seconds: how long it took; None when unknown.
    """

    picture_id: str
    annotator: str
    boxes: tuple[Box, ...] = ()
    adjudicator: bool = False
    seconds: float | None = None

    @property
    def voice(self) -> str:
        """Who speaks: a person who has drawn and later decides has two voices, and neither replaces the other."""
        return f"{self.annotator} (adjudicator)" if self.adjudicator else self.annotator


@dataclass(frozen=True, slots=True)
class Truth:
    """What follows from all votes on one picture.

    Attributes:
        picture_id: of the picture.
        boxes: the truth; a box that nobody could settle is an ignore region with the occlusion word `disputed`.
        method: how it was found.
        annotators: who voted.
        disputed: boxes that wait for an adjudicator.
    """

    picture_id: str
    boxes: tuple[Box, ...]
    method: Method
    annotators: tuple[str, ...]
    disputed: int = 0


@dataclass(frozen=True, slots=True)
class Import:
    """One import: votes that came and the truths that follow from all votes so far."""

    number: int
    created_at: datetime
    digest: str
    origin: str
    votes: tuple[Vote, ...]
    truths: tuple[Truth, ...]


@dataclass(frozen=True, slots=True)
class ReviewedPicture:
    """A picture with its truth: `item` as it was handed out, `boxes` and the rest from the latest import."""

    item: QueueItem
    truth: Truth
    reviewed_at: datetime

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The truth."""
        return self.truth.boxes


def batch_records(store: ObjectStore) -> NumberedRecords:
    """The records of the selections."""
    return NumberedRecords(store, BATCHES_PREFIX, BATCH_SCHEMA)


def import_records(store: ObjectStore) -> NumberedRecords:
    """The records of the imports."""
    return NumberedRecords(store, IMPORTS_PREFIX, IMPORT_SCHEMA)


def read_batches(store: ObjectStore) -> list[Batch]:
    """All selections, oldest first; raises ContractError, StorageError."""
    return [parse_batch(value) for value in batch_records(store).read_all()]


def read_imports(store: ObjectStore) -> list[Import]:
    """All imports, oldest first; raises ContractError, StorageError."""
    return [parse_import(value) for value in import_records(store).read_all()]


def reviewed_pictures(store: ObjectStore) -> list[ReviewedPicture]:
    """Every picture that people have looked at, by the order in which they were handed out; the latest truth counts.

    Args:
        store: of the storage URI itself, not of `review/`.

    Raises:
        ContractError: a record is damaged.
        StorageError: the store failed.
    """
    return join_reviewed(read_batches(store), read_imports(store))


def join_reviewed(batches: Iterable[Batch], imports: Iterable[Import]) -> list[ReviewedPicture]:
    """Items of the batches that have a truth."""
    latest = {truth.picture_id: (truth, one.created_at) for one in imports for truth in one.truths}
    return [
        ReviewedPicture(item, *latest[item.picture_id])
        for batch in batches
        for item in batch.items
        if item.picture_id in latest
    ]


def waiting_items(
    batches: Iterable[Batch], imports: Iterable[Import], people: int = 1
) -> list[tuple[Batch, QueueItem]]:
    """Pictures that fewer than so many people have looked at and no adjudicator has decided, oldest first."""
    truths = {truth.picture_id: truth for one in imports for truth in one.truths}
    done = {
        picture_id
        for picture_id, truth in truths.items()
        if truth.method is Method.ADJUDICATED or len(truth.annotators) >= people
    }
    return [(batch, item) for batch in batches for item in batch.items if item.picture_id not in done]


def latest_votes(imports: Iterable[Import]) -> dict[str, dict[str, Vote]]:
    """Picture id to voice to the last that it said."""
    found: dict[str, dict[str, Vote]] = {}
    for one in imports:
        for vote in one.votes:
            found.setdefault(vote.picture_id, {})[vote.voice] = vote
    return found


def batch_json(batch: Batch) -> dict[str, Any]:
    """A batch as JSON values, without its number."""
    value = {name: getattr(batch, name) for name in ("key", "cause", "drawn_before", "left_out")}
    times = {name: getattr(batch, name).isoformat() for name in ("created_at", "begin", "end")}
    return {**value, **times, "items": [item_json(item) for item in batch.items]}


def item_json(item: QueueItem) -> dict[str, Any]:
    """An item as JSON values."""
    return {**asdict(item), "captured_at": item.captured_at.isoformat()}


def import_json(one: Import) -> dict[str, Any]:
    """An import as JSON values, without its number."""
    return {
        "created_at": one.created_at.isoformat(),
        "digest": one.digest,
        "origin": one.origin,
        "votes": [asdict(vote) for vote in one.votes],
        "truths": [asdict(truth) for truth in one.truths],
    }


def parse_batch(value: dict[str, Any]) -> Batch:
    """A batch of a record's values; raises ContractError."""
    try:
        items = tuple(_item(item) for item in value["items"])
        times: dict[str, Any] = {name: datetime.fromisoformat(value[name]) for name in ("created_at", "begin", "end")}
        rest: dict[str, Any] = {name: value[name] for name in ("number", "key", "cause", "drawn_before", "left_out")}
        return Batch(items=items, **times, **rest)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged("batch", value, error) from None


def parse_import(value: dict[str, Any]) -> Import:
    """An import of a record's values; raises ContractError."""
    try:
        votes = tuple(Vote(**{**vote, "boxes": _boxes(vote["boxes"])}) for vote in value["votes"])
        truths = tuple(_truth(truth) for truth in value["truths"])
        created_at = datetime.fromisoformat(value["created_at"])
        return Import(value["number"], created_at, value["digest"], value["origin"], votes, truths)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged("import", value, error) from None


def _item(value: dict[str, Any]) -> QueueItem:
    answers = tuple(_answer(answer) for answer in value["answers"])
    captured_at = datetime.fromisoformat(value["captured_at"])
    return QueueItem(**{**value, "captured_at": captured_at, "pick": Pick(value["pick"]), "answers": answers})


def _answer(value: dict[str, Any]) -> ModelAnswer:
    boxes = tuple((float(x), float(y), float(w), float(h)) for x, y, w, h in value["boxes_xywh_px"])
    return ModelAnswer(**{**value, "boxes_xywh_px": boxes, "scores": tuple(value["scores"])})


def _truth(value: dict[str, Any]) -> Truth:
    return Truth(
        value["picture_id"],
        _boxes(value["boxes"]),
        Method(value["method"]),
        tuple(value["annotators"]),
        value["disputed"],
    )


def _boxes(values: Sequence[dict[str, Any]]) -> tuple[Box, ...]:
    return tuple(Box(**value) for value in values)


def _damaged(kind: str, value: dict[str, Any], error: Exception) -> ContractError:
    number = value.get("number") if isinstance(value, dict) else None
    return ContractError(f"the review {kind} {number} is damaged ({error}): restore it from a backup")
