"""What a check tells Prometheus."""

from __future__ import annotations

from datetime import datetime

from belisha.components.drift.check import DriftCheck
from belisha.components.drift.findings import DriftVerdict, StratumFinding
from belisha.components.shared.drift_features import EMBEDDING
from belisha.components.shared.loop_metrics import Job, LoopMetrics


def metrics_of(check: DriftCheck, at: datetime) -> LoopMetrics:
    """The gauges of a check that came to an end."""
    metrics = LoopMetrics(Job.DRIFT, check.deployment_name)
    metrics.set("drift_last_success_timestamp_seconds", at.timestamp())
    metrics.set_one_of("drift_verdict", check.verdict)
    metrics.set("drift_alert", float(check.verdict is DriftVerdict.DRIFT))
    for finding in check.strata:
        _tell_stratum(metrics, finding)
    return metrics


def metrics_of_failure(deployment_name: str) -> LoopMetrics:
    """Only the verdict: what the last good check told stays where it is."""
    metrics = LoopMetrics(Job.DRIFT, deployment_name)
    metrics.set_one_of("drift_verdict", DriftVerdict.ERROR)
    return metrics


def _tell_stratum(metrics: LoopMetrics, finding: StratumFinding) -> None:
    stratum = finding.stratum.name
    metrics.set("drift_reference_pictures", finding.reference_pictures, stratum=stratum)
    metrics.set("drift_window_pictures", finding.windows[-1].pictures if finding.windows else 0, stratum=stratum)
    judged = [window for window in finding.windows if window.judged]
    if not judged:
        return
    metrics.set("drift_bound", judged[-1].bound, stratum=stratum)
    for feature in judged[-1].features:
        labels = {"stratum": stratum, "feature": feature.feature}
        metrics.set("drift_score", feature.score, **labels)
        metrics.set("drift_effect_ratio", feature.effect_ratio, **labels)
        if feature.feature != EMBEDDING:
            metrics.set("drift_feature_median", feature.reference_median, **labels, window="reference")
            metrics.set("drift_feature_median", feature.current_median, **labels, window="current")
