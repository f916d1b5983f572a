"""Simulated experiments for the real judge: equal, better and worse challengers, a look after every picture."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from belisha.components.experiment.guards import Attempts, MeasuredLatencies, ServiceLevels
from belisha.components.experiment.judge import Evidence, Judgement, judge
from belisha.components.experiment.outcome import Tally
from belisha.components.experiment.sample_ratio import Assignments
from belisha.components.experiment.settings import ExperimentSettings
from belisha.components.experiment.trial import PROMOTE, STOP, ShareStep, Trial

BEGIN = datetime(2026, 5, 1, tzinfo=UTC)
_QUIET_SECONDS = np.full(1000, 0.05, np.float32)
_QUIET = ServiceLevels(
    [Attempts(1000, 0, "always")], MeasuredLatencies(_QUIET_SECONDS), MeasuredLatencies(_QUIET_SECONDS)
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a simulated experiment ended.

    Attributes:
        event: `promote`, `stop`, `pause`, or empty where the pictures ran out.
        decided: disagreements that were decided by then.
        pictures: that were reviewed by then.
        largest_share: of the challenger on the way, 0..1.
    """

    event: str
    decided: int
    pictures: int
    largest_share: float


def trial_at(share_ratio: float, begun_at: datetime = BEGIN) -> Trial:
    """A trial whose share stands where it does since the beginning."""
    return Trial(
        "v1", "v2", 2, begun_at, (ShareStep(3, begun_at, share_ratio, "judge", by_judge=True),), 3, 3, begun_at
    )


@functools.lru_cache(maxsize=200_000)
def judged_quietly(share_ratio: float, wins: int, losses: int, settings: ExperimentSettings) -> Judgement:
    """The judgement where the guards are content and the dice fall as they should, so that only the outcome speaks."""
    challenger = round(10_000 * share_ratio)
    evidence = Evidence(
        trial_at(share_ratio),
        Assignments(share_ratio, 10_000 - challenger, challenger),
        challenger,
        _QUIET,
        Tally(wins, losses),
    )
    return judge(evidence, settings, BEGIN + timedelta(hours=1))


def simulate(
    rng: np.random.Generator,
    *,
    disagreement_ratio: float,
    win_ratio: float,
    settings: ExperimentSettings,
    pictures: int,
) -> Ended:
    """Review pictures one by one and ask the judge after each.

    Args:
        rng: of the pictures.
        disagreement_ratio: share of the pictures that one model wins.
        win_ratio: share of those that the challenger wins.
        settings: of the judge.
        pictures: to end after.
    """
    decided = rng.random(pictures) < disagreement_ratio
    won = rng.random(pictures) < win_ratio
    share, wins, losses, largest = 0.0, 0, 0, 0.0
    for number in range(pictures):
        wins += bool(decided[number] and won[number])
        losses += bool(decided[number] and not won[number])
        judgement = judged_quietly(share, wins, losses, settings)
        if judgement.event in (PROMOTE, STOP):
            return Ended(judgement.event, wins + losses, number + 1, largest)
        share = judgement.state.challenger_traffic_ratio
        largest = max(largest, share)
    return Ended("", wins + losses, pictures, largest)


def wins_by_choice(rng: np.random.Generator, pictures: int, chosen_ratio: float = 0.05) -> dict[str, float]:
    """Share of decided pictures that a challenger wins which is as good as the champion, by how the pictures were chosen.

    On each picture is a pedestrian or something like one. Both models see the same hint of it with a noise of their own, and
    each says yes where its score is above one half.

    Args:
        rng: of the pictures.
        pictures: to choose from.
        chosen_ratio: share of them that is chosen, 0..1.
    """
    is_person = rng.random(pictures) < 0.5
    hint = np.where(is_person, 1.2, -1.2) + rng.normal(0, 0.8, pictures)
    champion, challenger = (1 / (1 + np.exp(-(hint + rng.normal(0, 0.8, pictures)))) for _ in range(2))
    doubt, other_doubt = -np.abs(champion - 0.5), -np.abs(challenger - 0.5)
    worth = {
        "any": rng.random(pictures),
        "disagreement": np.abs(champion - challenger),
        "doubt of either": np.maximum(doubt, other_doubt),
        "doubt of the champion": doubt,
    }
    right, other_right = (champion > 0.5) == is_person, (challenger > 0.5) == is_person
    found = {}
    for name, values in worth.items():
        decided = (values > np.quantile(values, 1 - chosen_ratio)) & (right != other_right)
        found[name] = float((other_right & decided).sum() / decided.sum())
    return found
