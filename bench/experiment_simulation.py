"""Simulated experiments for the real judge: equal, better and worse challengers, a look after every picture."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from belisha.components.experiment.guards import Attempts, BucketedLatencies, MeasuredLatencies, ServiceLevels
from belisha.components.experiment.judge import Evidence, Judgement, judge
from belisha.components.experiment.outcome import Tally
from belisha.components.experiment.sample_ratio import Assignments
from belisha.components.experiment.settings import ExperimentSettings
from belisha.components.experiment.trial import PROMOTE, STEP, STOP, ShareStep, Trial

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


BUCKETS_SECONDS = (0.01, 0.02, 0.03, 0.04, 0.05, 0.065, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.35, 0.5, 1.0, 2.5, np.inf)


@dataclass(slots=True)
class _Share:
    """What one share of the traffic has brought since it was set."""

    at: datetime
    ratio: float
    counts: tuple[int, int] = (0, 0)
    failed: int = 0
    latencies: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))

    def serve(self, rng: np.random.Generator, requests: int, error_ratio: float, slowdown: float) -> None:
        """Answer requests: dice, failures of the challenger, log-normal latencies around 50 ms."""
        challenger = int(rng.binomial(requests, self.ratio))
        failed = int(rng.binomial(challenger, error_ratio))
        self.counts = (self.counts[0] + requests - challenger, self.counts[1] + challenger - failed)
        self.failed += failed
        for place, (number, factor) in enumerate(((requests - challenger, 1.0), (challenger - failed, slowdown))):
            self.latencies[place].extend(rng.lognormal(np.log(0.05 * factor), 0.3, number))

    def evidence(self, tally: Tally) -> Evidence:
        """As a judge meets it who reads Prometheus and a log without failures."""
        champion, challenger = self.counts
        levels = ServiceLevels(
            [Attempts(challenger + self.failed, self.failed, "at this share")],
            bucketed(np.array(self.latencies[1])),
            bucketed(np.array(self.latencies[0])),
        )
        trial = trial_at(self.ratio, self.at)
        return Evidence(trial, Assignments(self.ratio, champion, challenger), challenger, levels, tally)


def bucketed(seconds: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> BucketedLatencies:
    """Latencies as a predictor's histogram has them."""
    return BucketedLatencies(BUCKETS_SECONDS, tuple(float((seconds <= bound).sum()) for bound in BUCKETS_SECONDS))


def simulate_whole(
    rng: np.random.Generator,
    *,
    win_ratio: float,
    settings: ExperimentSettings,
    pictures: int,
    requests_a_picture: int = 40,
    error_ratio: float = 0.001,
    slowdown: float = 1.0,
) -> Ended:
    """An experiment with everything drawn: dice, failures, latencies and reviews; a review and a check every minute."""
    wins = losses = 0
    now, share, largest = BEGIN, _Share(BEGIN, 0.0), 0.0
    for number in range(1, pictures + 1):
        now += timedelta(minutes=1)
        share.serve(rng, requests_a_picture, error_ratio, slowdown)
        won = rng.random() < win_ratio
        wins, losses = wins + won, losses + (not won)
        judgement = judge(share.evidence(Tally(wins, losses)), settings, now)
        if judgement.event and judgement.event != STEP:
            return Ended(judgement.event, wins + losses, number, largest)
        if judgement.event == STEP:
            share = _Share(now, judgement.state.challenger_traffic_ratio)
            largest = share.ratio
    return Ended("", wins + losses, pictures, largest)
