"""Every threshold, window and address of the rules and dashboards, in one place."""

from __future__ import annotations

from dataclasses import dataclass, replace

MINUTE, HOUR, DAY = 60, 3600, 86400


@dataclass(frozen=True, slots=True)
class BurnWindow:
    """One pair of windows over which an error budget may burn too fast; see chapter 5 of Google's SRE workbook.

    Attributes:
        long_seconds: over which the budget burns.
        short_seconds: over which it must still burn, so that the alert ends soon after the trouble.
        factor: times as fast as the budget allows.
        for_seconds: how long both must hold.
        severity: of the alert.
    """

    long_seconds: int
    short_seconds: int
    factor: float
    for_seconds: int
    severity: str


BURN_WINDOWS = (
    BurnWindow(HOUR, 5 * MINUTE, 14.4, 2 * MINUTE, "critical"),
    BurnWindow(6 * HOUR, 30 * MINUTE, 6, 15 * MINUTE, "critical"),
    BurnWindow(DAY, 2 * HOUR, 3, HOUR, "warning"),
    BurnWindow(3 * DAY, 6 * HOUR, 1, 3 * HOUR, "warning"),
)


@dataclass(frozen=True, slots=True)
class MonitoringSettings:
    """What the rules and dashboards are generated from. Times are in seconds; `time_scale` shortens all of them alike.

    Attributes:
        runbook_url: where the runbooks are served; the chart and `belisha monitor` put their own address here.
        grafana_url: where the dashboards are shown; likewise.
        time_scale: every window, age and pause is multiplied by it, so that tests see in seconds what takes minutes.
        interval_seconds: between evaluations.
        availability_slo_ratio: share of the champion's requests that must not fail, 0..1.
        latency_slo_ratio: share of the champion's answers that must come within `slow_seconds`, 0..1.
        slow_seconds: a bucket's edge of all three latency histograms that rules read.
        burn_least_errors: fewer bad answers in the long window never burn a budget, whatever their share.
        least_requests: of a model, before it is compared with another.
        worse_errors_ratio: by which the challenger's share of errors must exceed the champion's.
        worse_latency_factor: by which the challenger's p95 must exceed the champion's.
        worse_latency_seconds: by which it must exceed it besides.
        significant_z: standard deviations that chance is not believed to make.
        split_off_ratio: by which the realised share must miss the one asked for.
        drift_age_seconds: age of the last drift check that is too old.
        experiment_age_seconds: age of the judge's last verdict that is too old while a challenger gets traffic.
        retrain_seconds: a training run that takes longer is stuck.
        review_age_seconds: how long a picture may wait for a person.
    """

    runbook_url: str = "https://runbooks.belisha.example"
    grafana_url: str = "https://grafana.belisha.example"
    time_scale: float = 1.0
    interval_seconds: float = 30
    availability_slo_ratio: float = 0.995
    latency_slo_ratio: float = 0.99
    slow_seconds: float = 0.5
    burn_least_errors: int = 5
    least_requests: int = 50
    worse_errors_ratio: float = 0.01
    worse_latency_factor: float = 1.5
    worse_latency_seconds: float = 0.05
    significant_z: float = 4.0
    split_off_ratio: float = 0.05
    drift_age_seconds: float = 3 * HOUR
    experiment_age_seconds: float = 3 * HOUR
    retrain_seconds: float = 12 * HOUR
    review_age_seconds: float = 7 * DAY

    def duration(self, seconds: float) -> str:
        """A time as PromQL writes it, in whole units: `5m`, `1d`, `250ms`."""
        milliseconds = max(1, round(seconds * self.time_scale * 1000))
        units = (("d", DAY * 1000), ("h", HOUR * 1000), ("m", MINUTE * 1000), ("s", 1000), ("ms", 1))
        return next(f"{milliseconds // size}{unit}" for unit, size in units if milliseconds % size == 0)

    def seconds(self, seconds: float) -> str:
        """A scaled number of seconds for comparisons."""
        return f"{seconds * self.time_scale:g}"

    def at(self, *, runbook_url: str, grafana_url: str) -> MonitoringSettings:
        """The same with other addresses."""
        return replace(self, runbook_url=runbook_url, grafana_url=grafana_url)


def window_name(seconds: int) -> str:
    """A window as it stands in the name of a recorded series, whatever the time scale: `5m`, `1d`."""
    return MonitoringSettings().duration(seconds)
