"""Which reviewed pictures count: those whose choice favoured neither model.

Two equally good models win equally many decided pictures whatever the pictures are, provided that choosing them looked at both
alike. A uniform draw looks at neither. Disagreement, drift and doubt are ranked by the models' answers, so such a picture
counts only where

- both models had answered it: a picture on which one of two equal models is undecided is one that the other gets right more
  often than not, and most requests are answered by the champion alone;
- a draw that knows nothing of the models had kept it (a hash of the request): pictures that a predictor keeps for its own doubt
  are limited by camera and quota, and a champion with much traffic uses its limit up sooner.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from belisha.components.experiment.trial import Trial
from belisha.components.shared.review_queue import Pick, QueueItem
from belisha.components.shared.review_samples import Reason, answer_digest, read_samples_of
from belisha.components.shared.storage import ObjectStore

# Draws by a hash of the request.
_BLIND = frozenset({Reason.UNIFORM, Reason.PAIRED})


def why_not(item: QueueItem, trial: Trial, blindly_kept: frozenset[str]) -> str | None:
    """Why a picture does not count; None where it does.

    Args:
        item: the picture as it was handed out.
        trial: the experiment.
        blindly_kept: from `blindly_kept`.
    """
    if item.captured_at < trial.begun_at:
        return "older than the experiment"
    if item.pick is Pick.UNIFORM:
        return None
    if not _both_answered(item, trial):
        return f"chosen as {item.pick.value} by one model's answer alone"
    if item.picture_id not in blindly_kept:
        return "kept because one model was undecided"
    return None


def blindly_kept(store: ObjectStore, items: Iterable[QueueItem], trial: Trial) -> frozenset[str]:
    """Ids of the pictures that a draw by hash had kept, among those where that matters; raises ContractError, StorageError."""
    asked = [item for item in items if item.captured_at >= trial.begun_at and item.pick is not Pick.UNIFORM]
    answers = {
        answer_digest(answer.request_id, answer.model_version, item.picture_id): item.picture_id
        for item in asked
        for answer in item.answers
    }
    days = {_day(item.captured_at + timedelta(hours=hours)) for item in asked for hours in (0, 1)}
    return frozenset(
        sample.picture_id
        for day in sorted(days)
        for sample in read_samples_of(store, day, answers)
        if _BLIND & set(sample.probabilities)
    )


def _both_answered(item: QueueItem, trial: Trial) -> bool:
    return {trial.champion, trial.challenger} <= {answer.model_version for answer in item.answers}


def _day(moment: datetime) -> datetime:
    """The beginning of a UTC day; a shadow may answer just after midnight what was asked before."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
