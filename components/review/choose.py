"""Which candidates to hand out: quotas by reason, the uniform draw first, each other reason spread over its best candidates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from belisha.components.review.candidates import Candidate
from belisha.components.review.spread import Room, features_of, k_centre_order
from belisha.components.shared.drift_alert import ANY, DriftedStratum
from belisha.components.shared.errors import InputError
from belisha.components.shared.hashing import unit_interval
from belisha.components.shared.review_queue import Pick, QueueItem

DEFAULT_SHARES: Mapping[Pick, float] = {
    Pick.UNCERTAIN: 0.5, Pick.DISAGREEMENT: 0.2, Pick.DRIFTED: 0.15, Pick.UNIFORM: 0.15,
}  # fmt: skip
# Rarer reasons choose first; what they cannot use goes to the next.
_ORDER = (Pick.DISAGREEMENT, Pick.DRIFTED, Pick.UNCERTAIN)


@dataclass(frozen=True, slots=True)
class Look:
    """What opening a candidate's picture shows: upright size and perceptual hash."""

    width_px: int
    height_px: int
    hash64: int


Looker = Callable[[Sequence[Candidate]], Sequence[Look | None]]


@dataclass(frozen=True, slots=True)
class ChoiceSettings:
    """How to choose.

    Attributes:
        pictures: to hand out at most.
        shares: of each reason, summing to 1.
        seconds_between: least time between two pictures of one camera; the uniform draw knows of no camera.
        pool_factor: each reason is spread over so many times its quota of the best candidates.
    """

    pictures: int = 60
    shares: Mapping[Pick, float] = field(default_factory=lambda: DEFAULT_SHARES)
    seconds_between: float = 30.0
    pool_factor: int = 5

    def __post_init__(self) -> None:
        if self.pictures < 1:
            raise InputError(f"{self.pictures} pictures were asked for, expected at least 1")
        if min(self.shares.values()) < 0 or abs(sum(self.shares.values()) - 1) > 1e-6:
            shown = ", ".join(f"{pick} {share:g}" for pick, share in self.shares.items())
            raise InputError(f"the shares of the reasons ({shown}) must be at least 0 and sum to 1")


@dataclass(frozen=True, slots=True)
class Choice:
    """What was chosen, as a batch records it; see `review_queue.Batch`."""

    items: tuple[QueueItem, ...]
    drawn_before: dict[str, float]
    left_out: dict[str, int]


def quota_of(pictures: int, shares: Mapping[Pick, float]) -> dict[Pick, int]:
    """Whole pictures a reason, summing to `pictures`, by largest remainder."""
    exact = {pick: pictures * shares.get(pick, 0.0) for pick in Pick}
    counts = {pick: int(value + 1e-9) for pick, value in exact.items()}
    by_rest = sorted(Pick, key=lambda pick: exact[pick] - counts[pick], reverse=True)
    for pick in by_rest[: pictures - sum(counts.values())]:
        counts[pick] += 1
    return counts


def choose(
    candidates: Sequence[Candidate],
    handed_out: frozenset[str],
    strata: Sequence[DriftedStratum],
    settings: ChoiceSettings,
    salt: str,
    look: Looker,
) -> Choice:
    """Choose pictures for people.

    Args:
        candidates: all pictures of the window, also those that were handed out before.
        handed_out: ids of pictures in earlier batches.
        strata: where drift was found; none when there is none.
        settings: how to choose.
        salt: the uniform draw's; another salt is another draw.
        look: opens pictures; None for one that is gone or no picture.

    Returns:
        At most `settings.pictures` items, no two of them alike. The uniform draw takes its pictures out of all candidates that
        serving drew uniformly, whether or not they were handed out before, so that its probability is what it says.
    """
    return _Choosing(candidates, handed_out, strata, settings, look).run(salt)


class _Choosing:
    def __init__(
        self,
        candidates: Sequence[Candidate],
        handed_out: frozenset[str],
        strata: Sequence[DriftedStratum],
        settings: ChoiceSettings,
        look: Looker,
    ) -> None:
        self._candidates, self._handed_out, self._settings, self._look = candidates, handed_out, settings, look
        fresh = [one for one in candidates if one.picture_id not in handed_out]
        self._ranked = {
            Pick.DISAGREEMENT: _best(fresh, lambda one: one.disagreement),
            Pick.DRIFTED: _best((one for one in fresh if is_in(one, strata)), lambda one: 1e-9 + one.uncertainty),
            Pick.UNCERTAIN: _best(fresh, lambda one: one.uncertainty),
        }
        self._room = Room(settings.seconds_between)
        self._items: dict[str, QueueItem] = {}
        self._seen: dict[str, Look | None] = {}
        self._refused: dict[str, str] = {}

    def run(self, salt: str) -> Choice:
        quota = quota_of(self._settings.pictures, self._settings.shares)
        others = {one.picture_id for ranked in self._ranked.values() for one in ranked}
        drawn_before = self._draw_uniform(max(quota[Pick.UNIFORM], self._settings.pictures - len(others)), salt)
        for pick in _ORDER:
            self._spread(pick, quota[pick])
        for pick in (Pick.UNCERTAIN, Pick.DISAGREEMENT, Pick.DRIFTED):
            self._spread(pick, self._settings.pictures - len(self._items))
        left_out = Counter(why for picture_id, why in self._refused.items() if picture_id not in self._items)
        return Choice(tuple(self._items.values()), drawn_before, dict(sorted(left_out.items())))

    def _draw_uniform(self, count: int, salt: str) -> dict[str, float]:
        """Draw, hand out what is new, and return the rest with its probabilities."""
        pool = [one for one in self._candidates if one.uniform_probability is not None]
        drawn = sorted(pool, key=lambda one: unit_interval(salt, one.picture_id))[:count]
        looks = self._looks(drawn)
        before: dict[str, float] = {}
        for one, seen in zip(drawn, looks, strict=True):
            probability = (one.uniform_probability or 0.0) * len(drawn) / len(pool)
            if one.picture_id in self._handed_out:
                before[one.picture_id] = probability
            elif seen is not None:
                self._take(one, seen, Pick.UNIFORM, one.uncertainty, probability)
        return before

    def _spread(self, pick: Pick, count: int) -> None:
        """Take up to `count` of a reason's best candidates, far apart from each other."""
        ranked = [one for one in self._ranked[pick] if one.picture_id not in self._items]
        begin = 0
        while count > 0 and begin < len(ranked):
            pool = ranked[begin : begin + max(self._settings.pool_factor * count, 20)]
            begin += len(pool)
            count -= self._take_apart(pick, pool, count)

    def _take_apart(self, pick: Pick, pool: Sequence[Candidate], count: int) -> int:
        looks = self._looks(pool)
        taken = 0
        for place in k_centre_order(features_of(pool)):
            one, seen = pool[place], looks[place]
            if taken == count:
                break
            if seen is None:
                continue
            if refusal := self._room.refusal(one, seen.hash64):
                self._refused[one.picture_id] = refusal
                continue
            self._take(one, seen, pick, _score_of(one, pick), None)
            taken += 1
        return taken

    def _looks(self, pool: Sequence[Candidate]) -> list[Look | None]:
        unseen = [one for one in pool if one.picture_id not in self._seen]
        for one, seen in zip(unseen, self._look(unseen), strict=True):
            self._seen[one.picture_id] = seen
            if seen is None:
                self._refused[one.picture_id] = "unreadable"
        return [self._seen[one.picture_id] for one in pool]

    def _take(self, one: Candidate, seen: Look, pick: Pick, score: float, probability: float | None) -> None:
        self._room.take(one, seen.hash64)
        self._items[one.picture_id] = QueueItem(
            one.picture_id, one.picture_uri, seen.width_px, seen.height_px, one.captured_at, one.camera, one.condition,
            pick, round(score, 6), probability, one.answers,
        )  # fmt: skip


def _best(candidates: Iterable[Candidate], score: Callable[[Candidate], float]) -> list[Candidate]:
    return sorted((one for one in candidates if score(one) > 0), key=lambda one: (-score(one), one.picture_id))


def _score_of(one: Candidate, pick: Pick) -> float:
    return one.disagreement if pick is Pick.DISAGREEMENT else one.uncertainty


def is_in(one: Candidate, strata: Iterable[DriftedStratum]) -> bool:
    """Whether a picture lies in a drifted stratum: its camera, and the time of the windows that were flagged."""
    return any(
        stratum.camera in (ANY, one.camera) and stratum.begin <= one.captured_at < stratum.end + timedelta(seconds=1)
        for stratum in strata
    )


def window_of(strata: Iterable[DriftedStratum], begin: datetime, end: datetime) -> tuple[datetime, datetime]:
    """The window, widened so that it holds the pictures that drifted."""
    known = list(strata)
    return (
        min([begin, *(stratum.begin for stratum in known)]),
        max([end, *(stratum.end + timedelta(seconds=1) for stratum in known)]),
    )
