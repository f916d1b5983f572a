"""The experiment contract: `experiment.json` with the verdict, every check and number, and each picture that was counted.

    <storage>/experiments/<champion>-<challenger>-<record>/<sha256>/experiment.json   behind each record of the ledger
    <storage>/experiments/<champion>-<challenger>-<record>/<sha256>/report.html

The folder is named by the digest of `experiment.json`, which is the record's evidence digest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from belisha import __version__
from belisha.components.experiment.betting import e_value, lower_bound, upper_bound
from belisha.components.experiment.judge import Evidence, Judgement
from belisha.components.experiment.outcome import Judged, Winner
from belisha.components.experiment.settings import ExperimentSettings
from belisha.components.shared.verdict import Gate

EXPERIMENT_SCHEMA = "belisha.experiment/1"
EXPERIMENT_FILE, REPORT_FILE = "experiment.json", "report.html"


@dataclass(frozen=True, slots=True)
class TrailPoint:
    """The evidence after one decided picture.

    Attributes:
        at: when it was reviewed.
        decided: pictures decided so far.
        win_ratio: share that the challenger won.
        lower: lower end of the confidence sequence.
        upper: upper end.
        e_value: against "the challenger wins at most half".
    """

    at: datetime
    decided: int
    win_ratio: float
    lower: float
    upper: float
    e_value: float


def trail_of(judged: Sequence[Judged], alpha_ratio: float) -> list[TrailPoint]:
    """How the evidence grew, picture by picture."""
    return list(_trail(judged, alpha_ratio))


def _trail(judged: Sequence[Judged], alpha_ratio: float) -> Iterator[TrailPoint]:
    wins = losses = 0
    for one in judged:
        if one.winner is Winner.NEITHER:
            continue
        wins, losses = wins + (one.winner is Winner.CHALLENGER), losses + (one.winner is Winner.CHAMPION)
        low, high = lower_bound(wins, losses, alpha_ratio), upper_bound(wins, losses, alpha_ratio)
        decided = wins + losses
        yield TrailPoint(one.reviewed_at, decided, wins / decided, low, high, e_value(wins, losses))


def experiment_json(
    evidence: Evidence,
    judgement: Judgement,
    settings: ExperimentSettings,
    judged: Sequence[Judged],
    left_out: Mapping[str, int],
    judged_at: datetime,
) -> dict[str, Any]:
    """The contract's values; every number finite or null."""
    trial = evidence.trial
    return {
        "schema": EXPERIMENT_SCHEMA,
        "code_version": __version__,
        "judged_at": judged_at.isoformat(),
        "experiment": trial.name,
        "champion": trial.champion,
        "challenger": trial.challenger,
        "begun_at": trial.begun_at.isoformat(),
        "ledger_record": trial.last_record,
        "verdict": judgement.verdict.value,
        "sentence": judgement.sentence,
        "event": judgement.event,
        "share_ratio_before": trial.share_ratio,
        "state_after": asdict(judgement.state),
        "held_by": trial.held_by,
        "gates": [gate_json(gate) for gate in judgement.gates],
        "missing": list(judgement.missing),
        "required": dict(judgement.required),
        "assignments": asdict(evidence.assignments),
        "challenger_answers": evidence.challenger_answers,
        "outcome": outcome_json(evidence, settings),
        "steps": [{**asdict(step), "at": step.at.isoformat()} for step in trial.steps],
        "pictures": [_picture_json(one) for one in judged],
        "left_out": dict(left_out),
        "settings": asdict(settings),
    }


def outcome_json(evidence: Evidence, settings: ExperimentSettings) -> dict[str, Any]:
    """The tally with its confidence sequence and e-values."""
    tally, alpha = evidence.tally, settings.alpha_ratio
    decided = tally.decided > 0
    return {
        "wins": tally.wins,
        "losses": tally.losses,
        "ties": tally.ties,
        "champion_mistakes": tally.champion_mistakes,
        "challenger_mistakes": tally.challenger_mistakes,
        "win_ratio": tally.win_ratio,
        "lower": lower_bound(tally.wins, tally.losses, alpha) if decided else None,
        "upper": upper_bound(tally.wins, tally.losses, alpha) if decided else None,
        "e_value_better": finite(e_value(tally.wins, tally.losses)),
        "e_value_worse": finite(e_value(tally.losses, tally.wins)),
    }


def gate_json(gate: Gate) -> dict[str, Any]:
    """A check as JSON values."""
    interval = None if gate.interval is None else [finite(bound) for bound in gate.interval]
    return {
        "name": gate.name, "verdict": gate.verdict.value, "sentence": gate.sentence, "value": finite(gate.value),
        "bound": finite(gate.bound), "interval": interval,
    }  # fmt: skip


def finite(value: float | None) -> float | None:
    """The number, or None where JSON has no word for it."""
    return value if value is not None and math.isfinite(value) else None


def _picture_json(one: Judged) -> dict[str, Any]:
    times = {"answered_at": one.answered_at.isoformat(), "reviewed_at": one.reviewed_at.isoformat()}
    return {**asdict(one), **times, "winner": one.winner.value}
