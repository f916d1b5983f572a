"""Who was right on the pictures that people have looked at: each model's mistakes counted against the truth.

A picture is decided when one model made fewer mistakes on it than the other. Two models that are equally good win such pictures
equally often, whatever the pictures are, provided that the choice of pictures favours neither (see `fairness.py`), that the
challenger cannot have learned from them, for they are younger than the experiment, and that neighbours do not count as so many
proofs: of one camera's pictures within half a minute one counts.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from belisha.components.shared.boxes import FloatArray, area_px2, intersection_px2, iou
from belisha.components.shared.manifest import Box

MATCH_RATIO = 0.5


class Winner(enum.StrEnum):
    """Whose answer had fewer mistakes."""

    CHALLENGER = "challenger"
    CHAMPION = "champion"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True)
class Judged:
    """One reviewed picture on which both models were compared.

    Attributes:
        picture_id: SHA-256 of its bytes.
        answered_at: when a model answered it.
        reviewed_at: when its truth first stood.
        camera: that took it, empty when unknown.
        pick: why people were shown it.
        champion_mistakes: pedestrians missed and boxes on nobody.
        challenger_mistakes: the same of the challenger.
    """

    picture_id: str
    answered_at: datetime
    reviewed_at: datetime
    camera: str
    pick: str
    champion_mistakes: int
    challenger_mistakes: int

    @property
    def winner(self) -> Winner:
        """Who made fewer mistakes."""
        if self.challenger_mistakes == self.champion_mistakes:
            return Winner.NEITHER
        return Winner.CHALLENGER if self.challenger_mistakes < self.champion_mistakes else Winner.CHAMPION


@dataclass(frozen=True, slots=True)
class Tally:
    """How the decided pictures fell.

    Attributes:
        wins: of the challenger.
        losses: of the challenger.
        ties: both made as many mistakes; they say nothing about who is better.
        champion_mistakes: on all these pictures, ties included.
        challenger_mistakes: on all of them.
    """

    wins: int = 0
    losses: int = 0
    ties: int = 0
    champion_mistakes: int = 0
    challenger_mistakes: int = 0

    @property
    def decided(self) -> int:
        """Pictures that one of the two won."""
        return self.wins + self.losses

    @property
    def win_ratio(self) -> float | None:
        """Share of the decided pictures that the challenger won; None without any."""
        return self.wins / self.decided if self.decided else None


def tally_of(judged: Iterable[Judged]) -> Tally:
    """Count the winners."""
    pictures = list(judged)
    counts = Counter(one.winner for one in pictures)
    return Tally(
        counts[Winner.CHALLENGER],
        counts[Winner.CHAMPION],
        counts[Winner.NEITHER],
        sum(one.champion_mistakes for one in pictures),
        sum(one.challenger_mistakes for one in pictures),
    )


def mistakes(found_xywh_px: FloatArray, truth: Sequence[Box]) -> int:
    """Pedestrians missed plus boxes on nobody.

    Boxes choose in the order given, which is that of their scores; each takes the free pedestrian that it overlaps most (IoU at
    least 0.5). A box that takes none is forgiven where at least half of its area lies in an ignore region.

    Args:
        found_xywh_px: `(n, 4)` boxes at the serving threshold, best first.
        truth: labelled boxes, ignore regions among them.
    """
    people = _geometry([box for box in truth if not box.ignore])
    regions = _geometry([box for box in truth if box.ignore])
    found = np.asarray(found_xywh_px, np.float64).reshape(-1, 4)
    free = iou(found, people)
    matched, wrong = 0, 0
    for row in range(len(found)):
        best = int(np.argmax(free[row])) if len(people) else -1
        if best >= 0 and free[row, best] >= MATCH_RATIO:
            free[:, best] = -1.0
            matched += 1
        elif not _forgiven(found[row : row + 1], regions):
            wrong += 1
    return len(people) - matched + wrong


def thinned(judged: Iterable[Judged], seconds: float) -> list[Judged]:
    """Of one camera's pictures in the same stretch of so many seconds the one reviewed first; in the order of the reviews.

    The stretches lie on a fixed grid, and whichever picture of one is reviewed first keeps its place: what was counted once is
    never exchanged for another.
    """
    ordered = sorted(judged, key=lambda one: (one.reviewed_at, one.answered_at, one.picture_id))
    kept: dict[object, Judged] = {}
    for one in ordered:
        # Of an unknown camera nobody knows whether two pictures are neighbours: all count as one camera's.
        place = (one.camera, int(one.answered_at.timestamp() // seconds)) if seconds > 0 else one.picture_id
        kept.setdefault(place, one)
    return list(kept.values())


def _geometry(boxes: Sequence[Box]) -> FloatArray:
    return np.array([(box.x, box.y, box.width, box.height) for box in boxes], np.float64).reshape(-1, 4)


def _forgiven(box_xywh: FloatArray, regions_xywh: FloatArray) -> bool:
    if not len(regions_xywh):
        return False
    area = float(area_px2(box_xywh)[0])
    return area > 0 and bool((intersection_px2(box_xywh, regions_xywh) / area).max() >= MATCH_RATIO)
