"""Review: how good each way of making one truth of five people's boxes is, and what finding it costs.

The table that the consensus rule stands on: 300 simulated pictures, five people of very different care.
"""

from __future__ import annotations

import time

from belisha.components.review.agreement import agreement_of, leave_one_out_f1
from belisha.components.review.consensus import truth_of
from belisha.components.review.simulation import PEOPLE, Outcome, Scene, disputed_ratio, outcomes, scenes
from belisha.components.shared.review_queue import Vote
from bench.table import BenchRow

PICTURES = 300
SEED = 0
# F1 that the rule must reach; every other method is bounded by what it reaches.
MIN_F1 = 0.985
MIN_GAIN_OVER_BEST_PERSON = 0.02
MAX_SECONDS_PER_1000_PICTURES = 10.0
# A person left out of the consensus is judged a little too strictly if good; the reference found about .03.
MAX_STRICTNESS = 0.05


def run() -> list[BenchRow]:
    """Simulate, measure every method, and time the consensus itself."""
    found = scenes(PICTURES, SEED)
    by_method = {one.method: one for one in outcomes(found)}
    chosen = by_method["median, 2 votes of 5"]
    rows = [BenchRow("review: F1, median of 2 votes of 5", chosen.f1, MIN_F1, at_least=True, detail=_detail(chosen))]
    rows += [
        BenchRow(f"review: F1, {method}", one.f1, chosen.f1, at_least=False, detail=_detail(one))
        for method, one in by_method.items()
        if one is not chosen
    ]
    gain = chosen.f1 - by_method["best single annotator"].f1
    detail = f"{PICTURES} pictures, {len(PEOPLE)} people"
    rows.append(
        BenchRow("review: gain over the best person", gain, MIN_GAIN_OVER_BEST_PERSON, at_least=True, detail=detail)
    )
    share = disputed_ratio(found)
    rows.append(BenchRow("review: share of boxes for an adjudicator", share, 0.25, at_least=False, detail=detail))
    return [*rows, _strictness(found), _cost(found)]


def _detail(one: Outcome) -> str:
    return f"recall {one.recall:.3f}, precision {one.precision:.3f}, mean IoU {one.mean_iou:.3f}"


def _strictness(found: list[Scene]) -> BenchRow:
    """How far leaving a person out of the consensus is from the truth, for the best of them."""
    drawn = [scene.votes for scene in found]
    left_out = leave_one_out_f1(drawn, "person 0") or 0.0
    true = next(one for one in outcomes(found) if one.method == "best single annotator").f1
    agreement = agreement_of(_votes(found))
    detail = f"{left_out:.3f} against the others, {true:.3f} against the truth; alpha of all five {agreement.alpha:.3f}"
    return BenchRow(
        "review: best person judged too strictly by", true - left_out, MAX_STRICTNESS, at_least=False, detail=detail
    )


def _cost(found: list[Scene]) -> BenchRow:
    votes = _votes(found)
    begin = time.perf_counter()
    for picture_id, by_name in votes.items():
        truth_of(picture_id, list(by_name.values()))
    seconds = (time.perf_counter() - begin) * 1000 / len(found)
    return BenchRow(
        "review: seconds of consensus for 1,000 pictures", seconds, MAX_SECONDS_PER_1000_PICTURES, at_least=False,
        detail=f"{len(PEOPLE)} people, one core",
    )  # fmt: skip


def _votes(found: list[Scene]) -> dict[str, dict[str, Vote]]:
    return {
        str(number): {name: Vote(str(number), name, boxes) for name, boxes in scene.votes.items()}
        for number, scene in enumerate(found)
    }
