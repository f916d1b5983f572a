"""Five imperfect people look at 300 drawn scenes: how good is each way of making one truth of their boxes?

The numbers behind the choice of `consensus.py`, and the check that it still has them. Nothing here is used in production.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from belisha.components.review.agreement import Counts, agreed_boxes, compare_boxes
from belisha.components.review.consensus import clusters_of, is_disputed
from belisha.components.shared.boxes import iou
from belisha.components.shared.manifest import Box

_SCENE_PX = (1280.0, 720.0)
_LARGE_PX, _HARDEST = 150.0, 6.0
_FREE_IOU = 0.3


@dataclass(frozen=True, slots=True)
class Person:
    """One simulated annotator.

    Attributes:
        miss_ratio: share of large people that are missed; the smaller somebody is, the more often, up to six times.
        jitter_ratio: of each edge over the box's side; place and size each have three quarters of it as standard deviation.
        false_boxes: expected number of boxes around nobody, a picture.
    """

    miss_ratio: float
    jitter_ratio: float
    false_boxes: float


PEOPLE = (
    Person(0.03, 0.03, 0.05), Person(0.05, 0.04, 0.10), Person(0.08, 0.05, 0.15),
    Person(0.12, 0.06, 0.20), Person(0.20, 0.08, 0.30),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture's true boxes, and what each person drew."""

    truth: tuple[Box, ...]
    votes: Mapping[str, tuple[Box, ...]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How good a method is: F1, recall and precision at IoU 0.5 and the mean overlap of matched boxes, each 0..1."""

    method: str
    f1: float
    recall: float
    precision: float
    mean_iou: float


def scenes(pictures: int, seed: int, people: Sequence[Person] = PEOPLE) -> list[Scene]:
    """Seeded scenes of 0 to 12 people."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(pictures):
        truth = _truth(rng)
        found.append(
            Scene(truth, {f"person {place}": _drawn(truth, person, rng) for place, person in enumerate(people)})
        )
    return found


def _truth(rng: np.random.Generator) -> tuple[Box, ...]:
    boxes: list[Box] = []
    for _ in range(int(rng.integers(0, 13))):
        box = _somewhere(rng)
        corners = np.array([[other.x, other.y, other.width, other.height] for other in boxes]).reshape(-1, 4)
        if not len(corners) or iou(np.array([[box.x, box.y, box.width, box.height]]), corners).max() < _FREE_IOU:
            boxes.append(box)
    return tuple(boxes)


def _somewhere(rng: np.random.Generator) -> Box:
    height = float(np.exp(rng.uniform(np.log(30), np.log(350))))
    width = 0.41 * height
    return Box(float(rng.uniform(0, _SCENE_PX[0] - width)), float(rng.uniform(0, _SCENE_PX[1] - height)), width, height)


def _drawn(truth: Sequence[Box], person: Person, rng: np.random.Generator) -> tuple[Box, ...]:
    seen = [box for box in truth if rng.random() >= person.miss_ratio * _difficulty(box)]
    drawn = [_jittered(box, person.jitter_ratio, rng) for box in seen]
    return tuple(drawn + [_somewhere(rng) for _ in range(rng.poisson(person.false_boxes))])


def _difficulty(box: Box) -> float:
    return float(np.clip(_LARGE_PX / box.height, 1, _HARDEST))


def _jittered(box: Box, ratio: float, rng: np.random.Generator) -> Box:
    x, width = np.array([box.x, box.width]) + rng.normal(0, 0.75 * ratio * box.width, 2)
    y, height = np.array([box.y, box.height]) + rng.normal(0, 0.75 * ratio * box.height, 2)
    return Box(float(x), float(y), max(1.0, float(width)), max(1.0, float(height)))


def at_least(votes: int) -> Callable[[Scene], tuple[Box, ...]]:
    """Medians of clusters with so many votes."""
    return lambda scene: agreed_boxes(scene.votes, votes)


def outcomes(found: Sequence[Scene]) -> list[Outcome]:
    """Every way of making one truth, measured."""
    people = sorted({name for scene in found for name in scene.votes})
    singles = [_outcome("single", found, lambda scene, name=name: scene.votes[name]) for name in people]  # type: ignore[misc]
    best = max(singles, key=lambda one: one.f1)
    two = people[1:3]
    return [
        Outcome("best single annotator", best.f1, best.recall, best.precision, best.mean_iou),
        _outcome("median, 2 votes of 5", found, at_least(2)),
        _outcome("median, 3 votes of 5", found, at_least(3)),
        _outcome("median, 4 votes of 5", found, at_least(4)),
        _outcome("two annotators: union", found, lambda scene: agreed_boxes(_of(scene, two), 1)),
        _outcome("two annotators: intersection", found, lambda scene: agreed_boxes(_of(scene, two), 2)),
    ]


def disputed_ratio(found: Sequence[Scene]) -> float:
    """Share of all clusters that would go to an adjudicator."""
    clusters = [cluster for scene in found for cluster in clusters_of(scene.votes)]
    return sum(map(is_disputed, clusters)) / len(clusters)


def _of(scene: Scene, people: Sequence[str]) -> dict[str, tuple[Box, ...]]:
    return {name: scene.votes[name] for name in people}


def _outcome(method: str, found: Sequence[Scene], boxes_of: Callable[[Scene], Sequence[Box]]) -> Outcome:
    counts = sum((compare_boxes(boxes_of(scene), scene.truth) for scene in found), Counts())
    recall = counts.pairs / max(1, counts.pairs + counts.only_other)
    precision = counts.pairs / max(1, counts.pairs + counts.only_one)
    return Outcome(method, counts.f1 or 0.0, recall, precision, counts.mean_iou or 0.0)
