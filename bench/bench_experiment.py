"""The experiment's judge: how often it is wrong, how many disagreements and requests it needs; with Clopper-Pearson bounds."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import timedelta

import numpy as np
from scipy.stats import beta, chi2

from belisha.components.experiment.guards import Attempts, ServiceLevels, guard_gates
from belisha.components.experiment.judge import Evidence, judge
from belisha.components.experiment.outcome import Tally
from belisha.components.experiment.sample_ratio import Assignments, log_e_value
from belisha.components.experiment.settings import ExperimentSettings
from belisha.components.experiment.trial import PROMOTE, STOP
from belisha.components.shared.verdict import Verdict
from bench.experiment_simulation import BEGIN, Ended, bucketed, simulate, simulate_whole, trial_at, wins_by_choice
from bench.table import BenchRow

EXPERIMENTS = 1000
DISAGREEMENT_RATIOS = (0.1, 0.3, 0.6)
SHARES = (0.05, 0.25, 0.5)
SETTINGS = ExperimentSettings()


def run() -> list[BenchRow]:
    """All figures."""
    return [
        *_equal(),
        *_better(),
        *_worse(),
        *_choice(),
        *_ratio_false_alarms(),
        *_ratio_power(),
        *_guards(),
        *_whole(),
    ]


def clopper_pearson_upper(hits: int, trials: int, confidence: float = 0.95) -> float:
    """One-sided upper bound of a probability."""
    return 1.0 if hits == trials else float(beta.ppf(confidence, hits + 1, trials - hits))


def experiments(
    seed: int,
    *,
    disagreement_ratio: float,
    win_ratio: float,
    count: int = EXPERIMENTS,
    settings: ExperimentSettings = SETTINGS,
) -> list[Ended]:
    """Independent experiments, each long enough for the judge to end it."""
    rng = np.random.default_rng(seed)
    pictures = int(1.3 * settings.max_decided / disagreement_ratio)
    return [
        simulate(rng, disagreement_ratio=disagreement_ratio, win_ratio=win_ratio, settings=settings, pictures=pictures)
        for _ in range(count)
    ]


def _equal() -> list[BenchRow]:
    rows = []
    for number, ratio in enumerate(DISAGREEMENT_RATIOS):
        found = experiments(number, disagreement_ratio=ratio, win_ratio=0.5)
        promoted = sum(one.event == PROMOTE for one in found)
        reached = " ".join(f"{100 * share:g} %: {_share_of(found, share):.1%}" for share in SHARES[1:])
        upper = clopper_pearson_upper(promoted, len(found))
        detail = (
            f"{promoted} of {len(found)}, 95 % upper bound {upper:.3f}; a look after every picture; reached {reached}"
        )
        rows.append(
            _at_most(f"experiment: equal models promoted, {ratio:.0%} disagree", promoted / len(found), 0.05, detail)
        )
    return rows


def _share_of(found: Sequence[Ended], share: float) -> float:
    return sum(one.largest_share >= share or one.event == PROMOTE for one in found) / len(found)


def _better() -> list[BenchRow]:
    rows = []
    for win_ratio, bound in ((0.7, 60.0), (0.8, 60.0), (0.6, 250.0)):
        found = experiments(10, disagreement_ratio=0.3, win_ratio=win_ratio)
        # One that is not promoted needs more than any other.
        needed = sorted(one.decided if one.event == PROMOTE else np.inf for one in found)
        promoted = int(np.isfinite(needed).sum())
        late = needed[int(0.9 * len(needed))]
        detail = f"median through all steps; 90th percentile {late:g}; promoted {promoted} of {len(found)}"
        rows.append(
            _at_most(
                f"experiment: disagreements until promotion, wins {win_ratio:.0%}",
                float(np.median(needed)),
                bound,
                detail,
            )
        )
    return rows


def _worse() -> list[BenchRow]:
    rows = []
    for win_ratio, bound in ((0.3, 60.0), (0.4, 250.0)):
        found = experiments(20, disagreement_ratio=0.3, win_ratio=win_ratio)
        needed = [one.decided if one.event == STOP else np.inf for one in found]
        promoted = sum(one.event == PROMOTE for one in found)
        detail = f"median; promoted {promoted} of {len(found)}; at 25 % or more {_share_of(found, 0.25):.1%}"
        rows.append(
            _at_most(
                f"experiment: disagreements until stopped, wins {win_ratio:.0%}",
                float(np.median(needed)),
                bound,
                detail,
            )
        )
    return rows


def _choice() -> list[BenchRow]:
    """Why pictures that one model's doubt chose do not count."""
    found = wins_by_choice(np.random.default_rng(25), 2_000_000)
    fair = [ratio for name, ratio in found.items() if name != "doubt of the champion"]
    detail = "an equal challenger wins, by choice of pictures: " + ", ".join(f"{k} {v:.3f}" for k, v in found.items())
    value = max(abs(ratio - 0.5) for ratio in fair)
    return [_at_most("experiment: what the choice of pictures that count favours a model", value, 0.01, detail)]


def _ratio_false_alarms(walks: int = 2000, requests: int = 20_000, every: int = 100) -> list[BenchRow]:
    rng = np.random.default_rng(30)
    alarms = textbook = 0
    for number in range(walks):
        share = SHARES[number % len(SHARES)]
        counts = np.arange(every, requests + 1, every)
        drawn = rng.binomial(every, share, len(counts)).cumsum()
        alarms += any(
            log_e_value(Assignments(share, int(count - hit), int(hit))) > -np.log(SETTINGS.srm_alpha_ratio)
            for count, hit in zip(counts, drawn, strict=True)
        )
        distance = (drawn - share * counts) ** 2 / (counts * share * (1 - share))
        textbook += bool((chi2.sf(distance, 1) < SETTINGS.srm_alpha_ratio).any())
    looks = requests // every
    detail = (
        f"{alarms} of {walks} fair runs with {looks} looks, 95 % upper bound {clopper_pearson_upper(alarms, walks):.4f}; "
        f"the textbook's chi-square: {textbook}"
    )
    return [_at_most("experiment: sample-ratio false alarms", alarms / walks, SETTINGS.srm_alpha_ratio * 2, detail)]


def _ratio_power(walks: int = 200, most: int = 400_000) -> list[BenchRow]:
    """Requests until an alarm when a share of the challenger's requests is lost, with a look every 200."""
    rng, every = np.random.default_rng(31), 200
    medians = []
    for share in SHARES:
        for lost in (0.1, 0.2, 0.5):
            true = share * (1 - lost) / (1 - share * lost)
            medians.append(
                (share, lost, float(np.median([_until_alarm(rng, share, true, every, most) for _ in range(walks)])))
            )
    detail = ", ".join(f"{lost:.0%} lost at {100 * share:g} %: {needed:,.0f}" for share, lost, needed in medians)
    worst = next(needed for share, lost, needed in medians if (share, lost) == (0.5, 0.2))
    return [_at_most("experiment: requests until a mismatch is found, 20 % lost at 50 %", worst, 5000, detail)]


def _until_alarm(rng: np.random.Generator, share: float, true: float, every: int, most: int) -> float:
    count = hit = 0
    while count < most:
        hit, count = hit + int(rng.binomial(every, true)), count + every
        if log_e_value(Assignments(share, count - hit, hit)) > -np.log(SETTINGS.srm_alpha_ratio):
            return count
    return np.inf


def _guards(runs: int = 300) -> list[BenchRow]:
    rng = np.random.default_rng(40)
    healthy = sum(_attempts_until_out(rng, 0.002, 5000) < np.inf for _ in range(runs))
    at_bound = sum(_attempts_until_out(rng, SETTINGS.max_error_ratio, 5000) < np.inf for _ in range(runs))
    broken = {
        ratio: float(np.median([_attempts_until_out(rng, ratio, 5000) for _ in range(runs)]))
        for ratio in (1.0, 0.1, 0.03)
    }
    slow = float(np.median([_answers_until_slow(rng, 2.0, 5000) for _ in range(runs)]))
    same = sum(_answers_until_slow(rng, 1.0, 5000) < np.inf for _ in range(runs))
    detail = ", ".join(f"{ratio:.0%} fail: {needed:g}" for ratio, needed in broken.items())
    upper = clopper_pearson_upper(healthy, runs)
    return [
        _at_most("experiment: healthy challenger taken out for errors", healthy / runs, 0.05,
                 f"{healthy} of {runs} at 0.2 % failures, a look after each of 5000 attempts, upper bound {upper:.3f}; "
                 f"at the bound of 1 % itself: {at_bound}"),
        _at_most("experiment: attempts until taken out, all fail", broken[1.0], 3, f"median; {detail}"),
        _at_most("experiment: answers until taken out, twice as slow", slow, 300,
                 f"median, a look every 20; as fast: {same} of {runs}"),
        _at_most("experiment: checks until out once a guard is broken", float(_checks_until_out()), 1,
                 "the check that sees it, however good the evidence"),
    ]  # fmt: skip


def _attempts_until_out(rng: np.random.Generator, ratio: float, most: int) -> float:
    failed = np.cumsum(rng.random(most) < ratio)
    # Only an attempt that failed can break the guard.
    for number in np.flatnonzero(np.diff(failed, prepend=0)):
        if _errors_verdict(int(number) + 1, int(failed[number])) is Verdict.FAIL:
            return float(number + 1)
    return np.inf


@functools.cache
def _errors_verdict(attempts: int, failed: int) -> Verdict:
    return guard_gates(ServiceLevels([Attempts(attempts, failed, "so far")]), SETTINGS)[0].verdict


def _answers_until_slow(rng: np.random.Generator, factor: float, most: int, every: int = 20) -> float:
    """Answers until the guard breaks; latencies are log-normal, seen through a predictor's buckets as Prometheus has them."""
    champion = bucketed(rng.lognormal(np.log(0.05), 0.3, 5000))
    challenger = rng.lognormal(np.log(0.05 * factor), 0.3, most)
    for count in range(every, most + 1, every):
        levels = ServiceLevels((), bucketed(challenger[:count]), champion)
        if guard_gates(levels, SETTINGS)[1].verdict is Verdict.FAIL:
            return float(count)
    return np.inf


def _checks_until_out() -> int:
    """Checks from the first that sees an outage to the one that takes the challenger out, however good its evidence."""
    levels = ServiceLevels([Attempts(1000, 40, "since the last check")])
    evidence = Evidence(trial_at(0.5), Assignments(0.5, 5000, 5000), 5000, levels, Tally(300, 10))
    judgement = judge(evidence, SETTINGS, BEGIN + timedelta(hours=1))
    return 1 if judgement.state.challenger is None and judgement.state.champion == "v1" else 99


def _whole(runs: int = 150) -> list[BenchRow]:
    """Everything at once: how often noise in dice, failures and latencies takes a good challenger out, and a bad one stays."""
    rng = np.random.default_rng(50)
    better = [simulate_whole(rng, win_ratio=0.7, settings=SETTINGS, pictures=400) for _ in range(runs)]
    lost = sum(one.event not in (PROMOTE, "") for one in better)
    needed = float(np.median([one.decided if one.event == PROMOTE else np.inf for one in better]))
    slow = [simulate_whole(rng, win_ratio=0.7, settings=SETTINGS, pictures=400, slowdown=2.0) for _ in range(runs // 3)]
    failing = [
        simulate_whole(rng, win_ratio=0.7, settings=SETTINGS, pictures=400, error_ratio=0.1) for _ in range(runs // 3)
    ]
    upper = clopper_pearson_upper(lost, runs)
    bad = [*slow, *failing]
    kept = sum(one.event != STOP for one in bad)
    minutes = float(np.median([one.pictures for one in bad]))
    detail = f"{lost} of {runs}, upper bound {upper:.3f}; promoted after a median of {needed:g} disagreements"
    return [
        _at_most("experiment: better challengers lost, everything drawn", lost / runs, 0.05, detail),
        _at_most("experiment: twice as slow or 10 % failing, not taken out", kept / len(bad), 0.0,
                 f"{kept} of {len(bad)}; out after a median of {minutes:g} minutes at 2 requests a minute on the challenger"),
    ]  # fmt: skip


def _at_most(name: str, value: float, bound: float, detail: str) -> BenchRow:
    return BenchRow(name, value, bound, at_least=False, detail=detail)
