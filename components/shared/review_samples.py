"""Pictures that serving keeps for people to look at: why each was kept, and with which probability.

    review/pictures/ab/abcd…                                    the picture, by its digest
    review/samples/date=2026-05-01/<time>-<bytes>-<digest>.json  one record a kept picture and model version

A record is written after its picture, so what has a record is whole. The size stands in the name, so that a day's use of the
quota is known from a listing.

Why a picture is kept:

- `uniform`: a fixed share of all requests, drawn by a hash of the request id, whatever the model says. The only unbiased view
  of live quality: weight by 1 / probability.
- `paired`: a fixed share of the requests that both models answered (one of them as a shadow), drawn by a hash of the request id
  alone. The two answers meet in the request log under one request id, and where they disagree is found there; the probability
  is known here too.
- `uncertain`: the model was undecided about a box. Such pictures teach the most and say nothing about the average, so they
  have no probability.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from belisha.components.shared.errors import ContractError
from belisha.components.shared.files import canonical_json, sha256_hex
from belisha.components.shared.storage import ObjectStore

REVIEW_PREFIX = "review"
SAMPLE_SCHEMA = "belisha.review_sample/1"
_READERS = 8
_SAMPLES = f"{REVIEW_PREFIX}/samples"


class Reason(enum.StrEnum):
    """Why a picture is kept."""

    UNIFORM = "uniform"
    PAIRED = "paired"
    UNCERTAIN = "uncertain"


@dataclass(frozen=True, slots=True)
class ReviewSample:
    """One picture that was kept for one model's answer.

    Attributes:
        time: of the answer, UTC.
        request_id: leads to the answers in the request log.
        model_version: whose answer it is.
        role: of that model.
        camera: that took the picture, empty when unknown.
        picture_id: SHA-256 of its bytes.
        picture_uri: where it lies.
        size_bytes: of the picture.
        probabilities: reason to the probability with which it keeps a request it applies to; None where that is unknown.
        uncertainty: band score of the boxes, 0..1.
    """

    time: datetime
    request_id: str
    model_version: str
    role: str
    camera: str
    picture_id: str
    picture_uri: str
    size_bytes: int
    probabilities: Mapping[Reason, float | None]
    uncertainty: float

    def key(self) -> str:
        """Its record's key; the same answer has the same key however often it is written."""
        answer = answer_digest(self.request_id, self.model_version, self.picture_id)
        return f"{_day_prefix(self.time)}/{self.time:%H%M%S%f}-{self.size_bytes}-{answer}.json"

    def to_bytes(self) -> bytes:
        """The record."""
        names = [name for name in self.__slots__ if name not in ("time", "probabilities")]
        value: dict[str, Any] = {name: getattr(self, name) for name in names}
        reasons = {reason.value: probability for reason, probability in self.probabilities.items()}
        return canonical_json(
            {"schema": SAMPLE_SCHEMA, "time": self.time.isoformat(), "probabilities": reasons, **value}
        )


def read_samples(store: ObjectStore, day: datetime) -> Iterator[ReviewSample]:
    """Samples of a UTC day, in the order of their times.

    Raises:
        ContractError: a record is damaged or of another version.
        StorageError: the store failed.
    """
    with ThreadPoolExecutor(_READERS) as readers:
        yield from readers.map(
            lambda key: parse_sample(store.read(key), f"{store.uri}/{key}"), store.list(_day_prefix(day))
        )


def answer_digest(request_id: str, model_version: str, picture_id: str) -> str:
    """What a record's name says of the answer it is about."""
    return sha256_hex(f"{request_id}/{model_version}/{picture_id}".encode())[:24]


def read_samples_of(store: ObjectStore, day: datetime, answers: Collection[str]) -> Iterator[ReviewSample]:
    """Samples of a UTC day about these answers (see `answer_digest`); no other record is read. Raises as `read_samples`."""
    for key in store.list(_day_prefix(day)):
        if key.removesuffix(".json").rsplit("-", 1)[-1] in answers:
            yield parse_sample(store.read(key), f"{store.uri}/{key}")


def bytes_kept(store: ObjectStore, day: datetime) -> int:
    """Bytes of all pictures that were kept on a UTC day, from the names of their records alone."""
    sizes = (key.rsplit("/", 1)[1].split("-")[1:2] for key in store.list(_day_prefix(day)))
    return sum(int(size[0]) for size in sizes if size and size[0].isdigit())


def parse_sample(data: bytes, where: str) -> ReviewSample:
    """A record's sample; raises ContractError."""
    try:
        value = json.loads(data)
        if value.pop("schema") != SAMPLE_SCHEMA:
            raise ContractError(f"{where} is not a review sample of this version: use the belisha that wrote it")
        probabilities = {Reason(reason): p for reason, p in value.pop("probabilities").items()}
        time = datetime.fromisoformat(value.pop("time"))
        return ReviewSample(time=time, probabilities=probabilities, **value)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ContractError(f"{where} is not a readable review sample ({error}): move it away and go on") from None


def _day_prefix(moment: datetime) -> str:
    return f"{_SAMPLES}/date={moment.astimezone(UTC):%Y-%m-%d}"
