"""What may be handed out: the pictures that serving kept, with what each model said about them in the request log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from belisha.components.review.scores import disagreement, uncertainty
from belisha.components.shared.picture_statistics import STATISTIC_NAMES
from belisha.components.shared.request_log import read_log
from belisha.components.shared.review_queue import ModelAnswer
from belisha.components.shared.review_samples import Reason, ReviewSample, read_samples
from belisha.components.shared.storage import ObjectStore

# The grey level below which a street lies in the dark; lamps alone light 0.05 to 0.25, a dull day 0.35.
NIGHT_BELOW_BRIGHTNESS = 0.3
_COLUMNS = (
    *("time", "request_id", "model_version", "role", "shadow", "picture_id", "embedding", "scores", "boxes_xywh_px"),
    *STATISTIC_NAMES,
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A kept picture.

    Attributes:
        picture_id: SHA-256 of its bytes.
        picture_uri: where it lies.
        captured_at: time of the first answer about it, UTC.
        camera: that took it, empty when unknown.
        answers: of the models, those that people saw before shadows.
        statistics: of the picture by `STATISTIC_NAMES`; empty when its row in the log was lost.
        embedding: the model's own description; empty when it gives none.
        uniform_probability: with which serving's uniform draw kept it; None when another draw did.
        uncertainty: 0..1, see `scores.uncertainty`.
        disagreement: of the two models, 0..1; 0 where only one answered.
    """

    picture_id: str
    picture_uri: str
    captured_at: datetime
    camera: str
    answers: tuple[ModelAnswer, ...] = ()
    statistics: tuple[float, ...] = ()
    embedding: tuple[float, ...] = ()
    uniform_probability: float | None = None
    uncertainty: float = 0.0
    disagreement: float = 0.0

    @property
    def condition(self) -> str:
        """`day` or `night` by its brightness; empty when that is unknown."""
        if not self.statistics:
            return ""
        dark = self.statistics[STATISTIC_NAMES.index("brightness")] < NIGHT_BELOW_BRIGHTNESS
        return "night" if dark else "day"


def read_candidates(storage: ObjectStore, log: ObjectStore, begin: datetime, end: datetime) -> list[Candidate]:
    """Pictures kept with begin <= time < end, in the order of their times.

    Args:
        storage: where `review/samples` lies.
        log: where the request log lies, mostly the same.
        begin: timezone-aware.
        end: timezone-aware.

    Raises:
        ContractError: a record or a shard is damaged.
        StorageError: a store failed.
    """
    samples = [sample for sample in _samples(storage, begin, end) if begin <= sample.time < end]
    rows = _rows_of({sample.request_id for sample in samples}, log, begin, end)
    by_picture: dict[str, list[ReviewSample]] = defaultdict(list)
    for sample in samples:
        by_picture[sample.picture_id].append(sample)
    found = (_candidate(kept, rows) for kept in by_picture.values())
    return sorted(found, key=lambda one: (one.captured_at, one.picture_id))


def _samples(storage: ObjectStore, begin: datetime, end: datetime) -> Iterator[ReviewSample]:
    day = begin.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    while day < end:
        yield from read_samples(storage, day)
        day += timedelta(days=1)


def _rows_of(
    request_ids: set[str], log: ObjectStore, begin: datetime, end: datetime
) -> dict[str, list[dict[str, Any]]]:
    """Rows of the log about these requests, by request; a shadow may answer a little after the window."""
    wanted = pa.array(sorted(request_ids), pa.string())
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    if not len(wanted):
        return found
    for table in read_log(log, begin - timedelta(minutes=1), end + timedelta(minutes=1), _COLUMNS):
        for row in table.filter(pc.is_in(table["request_id"], value_set=wanted)).to_pylist():
            found[row["request_id"]].append(row)
    return found


def _candidate(kept: Sequence[ReviewSample], rows: dict[str, list[dict[str, Any]]]) -> Candidate:
    first = min(kept, key=lambda sample: (sample.time, sample.request_id))
    told = [row for request_id in sorted({one.request_id for one in kept}) for row in rows.get(request_id, [])]
    told = sorted((row for row in told if row["picture_id"] == first.picture_id), key=lambda row: row["shadow"])
    answers = _answers(told)
    return Candidate(
        picture_id=first.picture_id,
        picture_uri=first.picture_uri,
        captured_at=first.time.astimezone(UTC),
        camera=first.camera,
        answers=answers,
        statistics=tuple(float(told[0][name]) for name in STATISTIC_NAMES) if told else (),
        embedding=tuple(told[0]["embedding"] or ()) if told else (),
        uniform_probability=_uniform_probability(kept),
        uncertainty=max((uncertainty(answer.scores) for answer in answers), default=0.0),
        disagreement=disagreement(answers[0], answers[1]) if len(answers) > 1 else 0.0,
    )


def _uniform_probability(kept: Iterable[ReviewSample]) -> float | None:
    found = [one.probabilities[Reason.UNIFORM] for one in kept if Reason.UNIFORM in one.probabilities]
    return next((probability for probability in found if probability), None)


def _answers(rows: Iterable[dict[str, Any]]) -> tuple[ModelAnswer, ...]:
    """One answer a model version, the first of it."""
    found: dict[str, ModelAnswer] = {}
    for row in rows:
        flat = [float(value) for value in row["boxes_xywh_px"] or ()]
        boxes = tuple((flat[at], flat[at + 1], flat[at + 2], flat[at + 3]) for at in range(0, len(flat) - 3, 4))
        scores = tuple(float(score) for score in row["scores"] or ())
        answer = ModelAnswer(row["model_version"], row["role"], row["request_id"], row["shadow"], boxes, scores)
        found.setdefault(answer.model_version, answer)
    return tuple(found.values())
