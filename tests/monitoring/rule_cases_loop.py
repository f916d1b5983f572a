"""Worlds in which the loop's jobs found something, stopped or never ran, by the alert that they try."""

from __future__ import annotations

from tests.monitoring.promtool import MINUTES, Fired, Series, role, series, steady
from tests.monitoring.rule_cases import Case, shares

DRIFT = Fired(
    "BelishaDriftConfirmed",
    "warning",
    "Enough of the last windows of crossing left the range that its reference knows; the drift report says where.",
)
RETRAIN_FAILED = Fired(
    "BelishaRetrainFailed", "warning", "A training run of crossing failed, and none has ended well since."
)


def stale(name: str, text: str) -> Fired:
    return Fired(name, "warning", text)


def nobody_pushes(name: str, what: str, severity: str) -> Fired:
    text = f"Nobody has pushed metrics of {what} for crossing: the job does not run, or cannot reach the Pushgateway."
    return Fired(name, severity, text)


def at_most(minute: int, last: str = "drift") -> Series:
    """The job succeeded every minute up to this one."""
    values = f"0+60x{minute} {60 * minute}+0x{MINUTES - minute}"
    return {series(f"belisha_{last}_last_success_timestamp_seconds"): values}


def retrain(start: int = 0, running: int = 0, success: int = 60, failure: int = 0) -> Series:
    return {
        series("belisha_retrain_last_start_timestamp_seconds", 'cause="drift"'): steady(start),
        series("belisha_retrain_running"): steady(running),
        series("belisha_retrain_last_success_timestamp_seconds"): steady(success),
        series("belisha_retrain_last_failure_timestamp_seconds"): steady(failure),
    }


OLDEST = series("belisha_review_queue_oldest_timestamp_seconds")
STUCK = Fired("BelishaRetrainStuck", "warning", "A training run of crossing started 14h 0m 0s ago and has not ended.")
QUEUE = Fired(
    "BelishaReviewQueueTooOld",
    "warning",
    "The oldest picture in the review queue of crossing has waited for 7d 2h 0m 0s.",
)
NO_RETRAIN = nobody_pushes("BelishaRetrainSeriesAbsent", "the retraining policy", "info")
NO_REVIEW = nobody_pushes("BelishaReviewSeriesAbsent", "the review queue", "info")


LOOP = {
    "BelishaDriftConfirmed": [
        Case("drift is confirmed", {series("belisha_drift_alert"): steady(1)}, [DRIFT]),
        Case("drift has passed", {series("belisha_drift_alert"): f"1x30 0x{MINUTES}"}),
        Case("drift is confirmed this minute", {series("belisha_drift_alert"): f"0x29 1x{MINUTES}"}, [DRIFT], at="30m"),
    ],
    "BelishaDriftCheckStale": [
        Case(
            "the drift check stopped",
            at_most(30),
            [
                stale(
                    "BelishaDriftCheckStale",
                    "The last drift check of crossing that came to an end is 3h 26m 0s old: drift would go unnoticed.",
                )
            ],
            at="236m",
        ),
        Case("the drift check stopped three hours ago", at_most(30), at="210m"),
        Case("the drift check stopped, and five minutes less one passed", at_most(30), at="215m"),
    ],
    "BelishaDriftSeriesAbsent": [
        Case(
            "there is no drift check",
            {},
            [nobody_pushes("BelishaDriftSeriesAbsent", "the drift check", "warning")],
            without="belisha_drift",
            at="122m",
        ),
        Case("there is no drift check yet", {}, at="119m", without="belisha_drift"),
    ],
    "BelishaExperimentJudgeStale": [
        Case(
            "the judge stopped",
            at_most(30, "experiment"),
            [
                stale(
                    "BelishaExperimentJudgeStale",
                    "The last verdict of the judge on crossing is 3h 26m 0s old while a challenger gets requests.",
                )
            ],
            at="236m",
        ),
        Case(
            "the judge stopped, and so did the trial",
            {
                **at_most(30, "experiment"),
                **role("v1", "champion", 1.0),
                **role("v2", "challenger", 0.0),
                **shares(0.0),
            },
            at="236m",
        ),
        Case("the judge stopped, and five minutes less one passed", at_most(30, "experiment"), at="215m"),
    ],
    "BelishaExperimentSeriesAbsent": [
        Case(
            "there is no judge",
            {},
            [nobody_pushes("BelishaExperimentSeriesAbsent", "the experiment's judge", "warning")],
            without="belisha_experiment",
            at="122m",
        ),
        Case(
            "there is no judge, and no trial",
            {**role("v1", "champion", 1.0), **role("v2", "challenger", 0.0), **shares(0.0)},
            without="belisha_experiment",
        ),
    ],
    "BelishaRetrainFailed": [
        Case("training failed", retrain(failure=120), [RETRAIN_FAILED]),
        Case("training failed and then went well", retrain(success=180, failure=120)),
        Case("training has never run", retrain(success=0)),
        Case("training failed and ended well at the same second", retrain(success=120, failure=120)),
    ],
    "BelishaReviewQueueTooOld": [
        Case("pictures wait for days less than a week", {OLDEST: steady(1)}),
    ],
}
# Ages of half a day and a week, in steps of an hour, before the rules of the loop alone.
SLOW_STEPS = {
    "BelishaRetrainStuck": [
        Case("a training run does not end", retrain(start=3600, running=1), [STUCK], at="15h"),
        Case("a training run of twelve hours", retrain(start=3600, running=1), at="13h"),
        Case("a training run of half a day ended", retrain(start=3600, success=7200), at="14h"),
    ],
    "BelishaReviewQueueTooOld": [
        Case("a picture waits for a week", {OLDEST: steady(3600)}, [QUEUE], at="171h"),
        Case("a picture waits for a week less an hour", {OLDEST: steady(3600)}, at="168h"),
    ],
    "BelishaRetrainSeriesAbsent": [
        Case("there is no retraining policy", {}, [NO_RETRAIN], at="25h", without="belisha_retrain"),
        Case("there is no retraining policy yet", {}, at="23h", without="belisha_retrain"),
    ],
    "BelishaReviewSeriesAbsent": [
        Case("there is no review queue", {}, [NO_REVIEW], at="25h", without="belisha_review"),
        Case("there is no review queue yet", {}, at="23h", without="belisha_review"),
    ],
}
