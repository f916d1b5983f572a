"""Reviewed pictures as evidence: both models' boxes against what people said.

A model's boxes come from its answer to the request or, where it did not answer that one, from running it on the kept picture:
the same file with the same preprocessing gives the same boxes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from belisha.components.experiment.fairness import blindly_kept, why_not
from belisha.components.experiment.outcome import Judged, mistakes, thinned
from belisha.components.experiment.trial import Trial
from belisha.components.shared.boxes import FloatArray
from belisha.components.shared.errors import BelishaError
from belisha.components.shared.manifest import Box
from belisha.components.shared.review_queue import (
    QueueItem,
    ReviewedPicture,
    join_reviewed,
    read_batches,
    read_imports,
    waiting_items,
)
from belisha.components.shared.storage import ObjectStore


class ModelRunner(Protocol):
    """Runs a model version on a kept picture."""

    def __call__(self, version: str, item: QueueItem) -> FloatArray:
        """`(n, 4)` boxes at the serving threshold, best first; raises BelishaError."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """A reviewed picture with what each side says, for people to look at.

    Attributes:
        judged: how it was counted.
        item: the picture.
        truth: what people drew.
        champion_xywh_px: `(n, 4)` the champion's boxes.
        challenger_xywh_px: `(m, 4)` the challenger's boxes.
    """

    judged: Judged
    item: QueueItem
    truth: tuple[Box, ...]
    champion_xywh_px: FloatArray
    challenger_xywh_px: FloatArray


@dataclass(frozen=True, slots=True)
class ReviewEvidence:
    """What the reviews say.

    Attributes:
        compared: pictures that count, in the order in which people reviewed them.
        waiting: pictures of the experiment that nobody has looked at yet.
        left_out: reason to number of reviewed pictures that do not count.
    """

    compared: tuple[Compared, ...]
    waiting: int
    left_out: Mapping[str, int]

    @property
    def judged(self) -> tuple[Judged, ...]:
        """How each of them was counted."""
        return tuple(one.judged for one in self.compared)


def read_review_evidence(
    store: ObjectStore, trial: Trial, run: ModelRunner | None, min_picture_seconds: float
) -> ReviewEvidence:
    """Compare both models on every reviewed picture that counts.

    Args:
        store: of the storage URI itself.
        trial: the experiment.
        run: for a model that did not answer a picture; None leaves such pictures out.
        min_picture_seconds: see `thinned`.

    Raises:
        ContractError: a record of the reviews is damaged.
        StorageError: the store failed.
    """
    batches, imports = read_batches(store), read_imports(store)
    first_reviewed: dict[str, datetime] = {}
    for one in imports:
        for truth in one.truths:
            first_reviewed.setdefault(truth.picture_id, one.created_at)
    blind = blindly_kept(store, (item for batch in batches for item in batch.items), trial)
    waiting = [item for _, item in waiting_items(batches, imports) if why_not(item, trial, blind) is None]
    left_out: dict[str, int] = {}
    fair = list(_fair(join_reviewed(batches, imports), trial, blind, left_out))
    found = {one.judged.picture_id: one for one in _compared(fair, trial, run, first_reviewed, left_out)}
    kept = thinned((one.judged for one in found.values()), min_picture_seconds)
    _count(left_out, "too near to another picture of its camera", len(found) - len(kept))
    return ReviewEvidence(tuple(found[one.picture_id] for one in kept), len(waiting), left_out)


def _fair(
    pictures: Iterable[ReviewedPicture], trial: Trial, blind: frozenset[str], left_out: dict[str, int]
) -> Iterator[ReviewedPicture]:
    for picture in pictures:
        if reason := why_not(picture.item, trial, blind):
            _count(left_out, reason, 1)
        else:
            yield picture


def _compared(
    pictures: Iterable[ReviewedPicture],
    trial: Trial,
    run: ModelRunner | None,
    first_reviewed: Mapping[str, datetime],
    left_out: dict[str, int],
) -> Iterator[Compared]:
    for picture in pictures:
        item = picture.item
        try:
            champion, challenger = (_boxes(item, version, run) for version in (trial.champion, trial.challenger))
        except BelishaError:
            _count(left_out, "a model that did not answer it could not be run on it", 1)
            continue
        judged = Judged(
            item.picture_id, item.captured_at, first_reviewed[item.picture_id], item.camera, item.pick.value,
            mistakes(champion, picture.boxes), mistakes(challenger, picture.boxes),
        )  # fmt: skip
        yield Compared(judged, item, picture.boxes, champion, challenger)


def _boxes(item: QueueItem, version: str, run: ModelRunner | None) -> FloatArray:
    answer = next((answer for answer in item.answers if answer.model_version == version), None)
    if answer is not None:
        return answer.boxes()
    if run is None:
        raise BelishaError(f"{version} did not answer picture {item.picture_id}, and there is nothing to run it with")
    return run(version, item)


def _count(left_out: dict[str, int], reason: str, number: int) -> None:
    if number:
        left_out[reason] = left_out.get(reason, 0) + number
