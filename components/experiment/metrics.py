"""A check as the gauges that the judge pushes; declared in `shared/loop_metrics.py`."""

from __future__ import annotations

from belisha.components.experiment.experiment import Check
from belisha.components.experiment.judge import ExperimentVerdict, bounds_of
from belisha.components.shared.loop_metrics import Job, LoopMetrics


def metrics_of(check: Check, deployment_name: str) -> LoopMetrics:
    """The gauges of a check; where there is no experiment only its time and a share of 0."""
    metrics = LoopMetrics(Job.EXPERIMENT, deployment_name)
    metrics.set("experiment_last_success_timestamp_seconds", check.at.timestamp())
    if check.gathered is None or check.judgement is None:
        metrics.set("experiment_share_ratio", 0.0)
        return metrics
    judgement, evidence = check.judgement, check.gathered.evidence
    metrics.set_one_of("experiment_verdict", judgement.verdict)
    promoted = judgement.verdict is ExperimentVerdict.PROMOTE
    metrics.set("experiment_share_ratio", 1.0 if promoted else judgement.state.challenger_traffic_ratio)
    tally = evidence.tally
    if tally.win_ratio is not None:
        low, high = bounds_of(tally, check.settings.alpha_ratio)
        for bound, value in (("estimate", tally.win_ratio), ("lower", low), ("upper", high)):
            metrics.set("experiment_win_ratio", value, bound=bound)
    samples = {
        "decided": tally.decided, "wins": tally.wins, "losses": tally.losses, "ties": tally.ties,
        "waiting": check.gathered.waiting, "challenger_answers": evidence.challenger_answers,
        "assigned_champion": evidence.assignments.champion, "assigned_challenger": evidence.assignments.challenger,
    }  # fmt: skip
    for kind, number in samples.items():
        metrics.set("experiment_samples", number, kind=kind)
    for kind, number in judgement.required:
        metrics.set("experiment_required_samples", number, kind=kind)
    return metrics
