"""How well people agree: pairwise F1 and overlap, Krippendorff's alpha, and each person against the consensus of the others."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from belisha.components.review.consensus import MIN_VOTES, clusters_of
from belisha.components.review.scores import matched_pairs
from belisha.components.shared.boxes import FloatArray, area_px2, intersection_px2, iou
from belisha.components.shared.manifest import Box
from belisha.components.shared.review_queue import Vote

# Krippendorff's own rules of thumb.
GOOD_ALPHA, TENTATIVE_ALPHA = 0.8, 0.667
_NOTHING = "nothing"
_MIN_OTHERS = 2


@dataclass(frozen=True, slots=True)
class Counts:
    """Boxes of one side that have a partner (pairs), and those of either side that have none."""

    pairs: int = 0
    only_one: int = 0
    only_other: int = 0
    iou_sum: float = 0.0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.pairs + other.pairs,
            self.only_one + other.only_one,
            self.only_other + other.only_other,
            self.iou_sum + other.iou_sum,
        )

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall, 0..1; None where neither side drew a box."""
        total = 2 * self.pairs + self.only_one + self.only_other
        return 2 * self.pairs / total if total else None

    @property
    def mean_iou(self) -> float | None:
        """Mean overlap of the pairs, 0..1; None without pairs."""
        return self.iou_sum / self.pairs if self.pairs else None


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Two people on the pictures that both have seen."""

    one: str
    other: str
    pictures: int
    f1: float | None
    mean_iou: float | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well people agree.

    Attributes:
        pictures: that two people or more have seen.
        annotators: who drew on them.
        pairs: of people.
        mean_f1: mean of the pairs' F1 at IoU 0.5; None where nobody shares a picture with a box on it.
        mean_iou: mean overlap of all matched boxes.
        alpha: Krippendorff's nominal alpha; None where there is nothing to agree on.
        leave_one_out_f1: person to F1 against the consensus of the others; people with fewer than two others are not there.
    """

    pictures: int
    annotators: tuple[str, ...]
    pairs: tuple[PairAgreement, ...]
    mean_f1: float | None
    mean_iou: float | None
    alpha: float | None
    leave_one_out_f1: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)

    @property
    def sentence(self) -> str:
        """For people."""
        if not self.pictures or self.mean_f1 is None:
            return (
                "No picture with a box was drawn on by two people, so there is no agreement to report: "
                "one person's boxes are taken as they are."
            )
        alpha = self.alpha if self.alpha is not None else float("nan")
        word = "good" if alpha >= GOOD_ALPHA else "tentative" if alpha >= TENTATIVE_ALPHA else "poor"
        overlap = f", mean IoU of matched boxes {self.mean_iou:.3f}" if self.mean_iou is not None else ""
        return (
            f"{len(self.annotators)} people drew on {self.pictures} common pictures: mean pairwise F1 at IoU 0.5 "
            f"{self.mean_f1:.3f}{overlap}, Krippendorff's alpha {alpha:.3f}, which is {word}."
        )


def agreement_of(votes: Mapping[str, Mapping[str, Vote]]) -> Agreement:
    """Agreement over pictures; adjudicators, who saw the others' boxes, do not count.

    Args:
        votes: picture id to annotator to vote.
    """
    drawn = [{name: vote.boxes for name, vote in by_name.items() if not vote.adjudicator} for by_name in votes.values()]
    shared = [boxes for boxes in drawn if len(boxes) > 1]
    people = tuple(sorted({name for boxes in shared for name in boxes}))
    pairs, total = _pairs(shared, people)
    scored = [pair.f1 for pair in pairs if pair.f1 is not None]
    alpha = krippendorff_alpha([unit for number, boxes in enumerate(shared) for unit in units_of(number, boxes)])
    left_out = {name: f1 for name in people if (f1 := leave_one_out_f1(shared, name)) is not None}
    return Agreement(
        len(shared), people, pairs, float(np.mean(scored)) if scored else None, total.mean_iou, alpha, left_out
    )


def _pairs(
    pictures: Sequence[Mapping[str, Sequence[Box]]], people: Sequence[str]
) -> tuple[tuple[PairAgreement, ...], Counts]:
    pairs, total = [], Counts()
    for one, other in itertools.combinations(people, 2):
        common = [(boxes[one], boxes[other]) for boxes in pictures if one in boxes and other in boxes]
        if common:
            counts = sum((compare_boxes(first, second) for first, second in common), Counts())
            pairs.append(PairAgreement(one, other, len(common), counts.f1, counts.mean_iou))
            total += counts
    return tuple(pairs), total


def compare_boxes(one: Sequence[Box], other: Sequence[Box]) -> Counts:
    """Pair the pedestrians of two people at IoU 0.5; what lies in the other's ignore region counts for nobody."""
    first, second = _xywh(one, ignore=False), _xywh(other, ignore=False)
    pairs = matched_pairs(first, second)
    overlaps = iou(first, second)
    lonely_first = np.delete(first, [place for place, _ in pairs], axis=0)
    lonely_second = np.delete(second, [place for _, place in pairs], axis=0)
    return Counts(
        len(pairs),
        _outside(lonely_first, _xywh(other, ignore=True)),
        _outside(lonely_second, _xywh(one, ignore=True)),
        float(sum(overlaps[pair] for pair in pairs)),
    )


def _outside(boxes: FloatArray, regions: FloatArray) -> int:
    """How many boxes lie by less than half in any of the regions."""
    if not len(regions) or not len(boxes):
        return len(boxes)
    inside = intersection_px2(boxes, regions).max(axis=1)
    return int((inside < 0.5 * area_px2(boxes)).sum())


def leave_one_out_f1(pictures: Sequence[Mapping[str, Sequence[Box]]], name: str) -> float | None:
    """A person against what at least two of the others agree on; None where fewer than two others drew."""
    total, seen = Counts(), False
    for boxes in pictures:
        others = {other: drawn for other, drawn in boxes.items() if other != name}
        if name not in boxes or len(others) < _MIN_OTHERS:
            continue
        seen = True
        total += compare_boxes(boxes[name], agreed_boxes(others))
    return total.f1 if seen else None


def agreed_boxes(votes: Mapping[str, Sequence[Box]], min_votes: int = MIN_VOTES) -> tuple[Box, ...]:
    """Medians of the clusters with enough votes, ignore regions among them; single votes are left out."""
    found = []
    for cluster in clusters_of(votes):
        if len(cluster.boxes) >= min_votes:
            x, y, width, height = (float(value) for value in cluster.median_xywh_px)
            found.append(Box(x, y, width, height, cluster.ignore))
    return tuple(found)


def units_of(picture: int, votes: Mapping[str, Sequence[Box]]) -> list[list[Hashable]]:
    """One picture's boxes as units for alpha: at each place that somebody marked, what each person says is there.

    A value is the thing itself (place and kind) or nothing, so that two people agree by chance only when they would hit the
    same thing by chance. Were the values `somebody` and `nobody` alone, the places where all agree that nobody stands would
    be missing and alpha would be near 0 for the best of people.
    """
    return [
        [(picture, place, cluster.boxes[name].ignore) if name in cluster.boxes else _NOTHING for name in sorted(votes)]
        for place, cluster in enumerate(clusters_of(votes))
    ]


def krippendorff_alpha(units: Iterable[Sequence[Hashable]]) -> float | None:
    """Krippendorff's alpha for nominal values: 1 - D_o / D_e.

    Args:
        units: the values that were given to each unit, one a person; missing ones are left out.

    Returns:
        1 for full agreement, 0 for agreement by chance; None without two values in any unit, or where all values are one.
    """
    values: Counter[Hashable] = Counter()
    disagreeing = 0.0
    for unit in units:
        count = len(unit)
        if count < 2:
            continue
        same = Counter(unit)
        values.update(same)
        disagreeing += sum(times * (count - times) for times in same.values()) / (count - 1)
    total = sum(values.values())
    expected = sum(times * (total - times) for times in values.values())
    return 1 - (total - 1) * disagreeing / expected if expected else None


def _xywh(boxes: Iterable[Box], *, ignore: bool) -> FloatArray:
    kept = [(box.x, box.y, box.width, box.height) for box in boxes if box.ignore == ignore]
    return np.array(kept, dtype=np.float64).reshape(-1, 4)
