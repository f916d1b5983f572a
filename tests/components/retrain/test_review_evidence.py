"""What reviewed pictures say of the champion, and when they say nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest

from belisha.components.retrain.policy import ReviewFinding
from belisha.components.retrain.review_evidence import judged, review_evidence
from belisha.components.retrain.settings import RetrainSettings
from belisha.components.shared.manifest import Box
from belisha.components.shared.review_queue import Method, ModelAnswer, Pick, QueueItem, ReviewedPicture, Truth
from tests.components.retrain.retraining_world import NOW

SETTINGS = RetrainSettings()
PEDESTRIAN = (10.0, 10.0, 20.0, 50.0)
ELSEWHERE = (200.0, 10.0, 20.0, 50.0)


def picture(
    number: int,
    found: tuple[tuple[float, float, float, float], ...],
    *,
    pick: Pick = Pick.UNIFORM,
    score: float = 0.9,
    ignore: bool = False,
) -> ReviewedPicture:
    """A picture with one pedestrian, and what v1 found there."""
    answer = ModelAnswer(
        "v1", "champion", f"r{number}", shadow=False, boxes_xywh_px=found, scores=(score,) * len(found)
    )
    item = QueueItem(
        picture_id=f"{number:064x}",
        picture_uri="x",
        width_px=320,
        height_px=240,
        captured_at=NOW + timedelta(minutes=number),
        camera="gate",
        condition="night",
        pick=pick,
        score=0.5,
        answers=(answer,),
    )
    x, y, width, height = PEDESTRIAN
    box = Box(x=x, y=y, width=width, height=height, ignore=ignore)
    return ReviewedPicture(item, Truth(item.picture_id, (box,), Method.CONSENSUS, ("ann",)), NOW)


def pictures(found: int, missed: int, **options: object) -> list[ReviewedPicture]:
    hits = [picture(number, (PEDESTRIAN,), **options) for number in range(found)]  # type: ignore[arg-type]
    return hits + [picture(1000 + number, (), **options) for number in range(missed)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("case", "found", "missed", "test_f1", "expected"),
    [
        ("too few", 20, 20, 0.9, ReviewFinding.TOO_FEW),
        ("none", 0, 0, 0.9, ReviewFinding.TOO_FEW),
        ("much worse", 30, 40, 0.9, ReviewFinding.WORSE),
        ("as good", 70, 0, 0.9, ReviewFinding.AS_GOOD),
        ("unclear", 45, 15, 0.9, ReviewFinding.UNCLEAR),
        ("no test to compare with", 70, 0, None, ReviewFinding.UNCLEAR),
    ],
)
def test_findings(case: str, found: int, missed: int, test_f1: float | None, expected: ReviewFinding) -> None:
    evidence = review_evidence(pictures(found, missed), "v1", 0.5)
    finding, sentence = judged(evidence, test_f1, SETTINGS)
    assert finding is expected, sentence
    assert evidence.lower <= evidence.f1 <= evidence.upper


def test_f1_is_that_of_the_counts() -> None:
    rows = [*pictures(6, 2), picture(2000, (PEDESTRIAN, ELSEWHERE))]
    assert review_evidence(rows, "v1", 0.5).f1 == pytest.approx(2 * 7 / (2 * 7 + 1 + 2))


@pytest.mark.parametrize(
    ("case", "options", "version"),
    [("not of the uniform draw", {"pick": Pick.UNCERTAIN}, "v1"), ("another model's answers", {}, "v2")],
)
def test_only_fair_pictures_count(case: str, options: dict[str, object], version: str) -> None:
    assert review_evidence(pictures(60, 0, **options), version, 0.5).pictures == 0


def test_boxes_below_the_threshold_are_not_served_and_disputed_ones_count_for_nothing() -> None:
    assert review_evidence(pictures(60, 0, score=0.4), "v1", 0.5).f1 == 0
    assert review_evidence(pictures(30, 30, ignore=True), "v1", 0.5).f1 == 1
