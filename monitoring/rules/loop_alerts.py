"""Alerts about the loop: drift, the judge, retraining, review. Its jobs push: age or absence tells that one has stopped."""

from __future__ import annotations

from belisha.monitoring.rules.model import Alert
from belisha.monitoring.rules.sources import BY_DEPLOYMENT
from belisha.monitoring.settings import DAY, HOUR, MINUTE, MonitoringSettings

DRIFT, LOOP, RELEASE = "belisha-drift", "belisha-loop", "belisha-release"
_WHO = "{{ $labels.deployment_name }}"
_AGE = "{{ $value | humanizeDuration }}"
_TRIAL = 'ab:traffic_wanted:ratio{role="challenger"} > 0'


def loop_alerts(settings: MonitoringSettings) -> list[Alert]:
    """All of them."""
    return [*_drift(settings), *_experiment(settings), *_retrain(settings), *_review(settings)]


def _newest(series: str) -> str:
    return f"max by ({BY_DEPLOYMENT}) (belisha_{series})"


def _absent(
    name: str, series: str, what: str, watched: str, severity: str, dashboard: str, for_seconds: float
) -> Alert:
    """The twin that fires for a deployment whose job has never pushed, or not since the Pushgateway was emptied.

    A Pushgateway may stand in another namespace than the deployment, so the deployment's name alone is compared.
    """
    expr = f"group by ({BY_DEPLOYMENT}) ({watched})\nunless on (deployment_name) belisha_{series}"
    return Alert(
        name, expr, severity, dashboard, f"Nothing is known of {what}.",
        f"Nobody has pushed metrics of {what} for {_WHO}: the job does not run, or cannot reach the Pushgateway.",
        "", for_seconds,
    )  # fmt: skip


def _drift(settings: MonitoringSettings) -> list[Alert]:
    last = "drift_last_success_timestamp_seconds"
    return [
        Alert(
            "BelishaDriftConfirmed",
            f"{_newest('drift_alert')} == 1",
            "warning",
            DRIFT,
            "The world has changed: drift is confirmed.",
            f"Enough of the last windows of {_WHO} left the range that its reference knows; the drift report says where.",
            "BelishaDriftSeriesAbsent",
        ),
        Alert(
            "BelishaDriftCheckStale",
            f"time() - {_newest(last)} > {settings.seconds(settings.drift_age_seconds)}",
            "warning",
            DRIFT,
            "Drift has not been checked for too long.",
            f"The last drift check of {_WHO} that came to an end is {_AGE} old: drift would go unnoticed.",
            "BelishaDriftSeriesAbsent",
            5 * MINUTE,
        ),
        _absent("BelishaDriftSeriesAbsent", last, "the drift check", "ab:role:info", "warning", DRIFT, 2 * HOUR),
    ]


def _experiment(settings: MonitoringSettings) -> list[Alert]:
    last = "experiment_last_success_timestamp_seconds"
    return [
        Alert(
            "BelishaExperimentJudgeStale",
            f"time() - {_newest(last)} > {settings.seconds(settings.experiment_age_seconds)}\n"
            f"and on (deployment_name) {_TRIAL}",
            "warning",
            RELEASE,
            "The challenger gets traffic, but nobody judges it.",
            f"The last verdict of the judge on {_WHO} is {_AGE} old while a challenger gets requests.",
            "BelishaExperimentSeriesAbsent",
            5 * MINUTE,
        ),
        _absent("BelishaExperimentSeriesAbsent", last, "the experiment's judge", _TRIAL, "warning", RELEASE, 2 * HOUR),
    ]


def _retrain(settings: MonitoringSettings) -> list[Alert]:
    failure, success, start = (
        _newest(f"retrain_last_{what}_timestamp_seconds") for what in ("failure", "success", "start")
    )
    return [
        Alert(
            "BelishaRetrainFailed",
            f"{failure} > {success}\nand {failure} > 0",
            "warning",
            LOOP,
            "The last training run failed.",
            f"A training run of {_WHO} failed, and none has ended well since.",
            "BelishaRetrainSeriesAbsent",
        ),
        Alert(
            "BelishaRetrainStuck",
            f"time() - {start} > {settings.seconds(settings.retrain_seconds)}\nand {_newest('retrain_running')} == 1",
            "warning",
            LOOP,
            "A training run does not end.",
            f"A training run of {_WHO} started {_AGE} ago and has not ended.",
            "BelishaRetrainSeriesAbsent",
            5 * MINUTE,
        ),
        _absent(
            "BelishaRetrainSeriesAbsent", "retrain_running", "the retraining policy", "ab:role:info", "info", LOOP, DAY
        ),
    ]


def _review(settings: MonitoringSettings) -> list[Alert]:
    oldest = _newest("review_queue_oldest_timestamp_seconds")
    return [
        Alert(
            "BelishaReviewQueueTooOld",
            f"time() - ({oldest} > 0) > {settings.seconds(settings.review_age_seconds)}",
            "warning",
            LOOP,
            "Pictures wait too long for a person.",
            f"The oldest picture in the review queue of {_WHO} has waited for {_AGE}.",
            "BelishaReviewSeriesAbsent",
            HOUR,
        ),
        _absent(
            "BelishaReviewSeriesAbsent", "review_queue_pictures", "the review queue", "ab:role:info", "info", LOOP, DAY
        ),
    ]
