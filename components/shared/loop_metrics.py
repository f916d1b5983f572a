"""What the loop's jobs tell Prometheus: every such metric declared in one place, and the push that delivers it.

A job that ends before anybody can scrape it pushes to a Pushgateway; each job has a group of its own there (`job`,
`deployment_name`, and `namespace` where BELISHA_NAMESPACE says it), which every push replaces whole, so a stratum that is gone
leaves no series behind. All are gauges: a job counts nothing across its runs, for the ledger does. A camera or a feature is a
label, a request or a picture never.
"""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.error import URLError

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import push_to_gateway, pushadd_to_gateway

from belisha.components.shared.errors import StorageError

PUSHGATEWAY_VARIABLE = "BELISHA_PUSHGATEWAY"
NAMESPACE_VARIABLE = "BELISHA_NAMESPACE"
_PUSH_SECONDS = 10.0


class Job(enum.StrEnum):
    """Who pushes; the `job` label of its group."""

    DRIFT = "belisha-drift"
    EXPERIMENT = "belisha-experiment"
    REVIEW = "belisha-review"
    RETRAIN = "belisha-retrain"


@dataclass(frozen=True, slots=True)
class LoopGauge:
    """One metric.

    Attributes:
        job: that pushes it.
        name: without the prefix `belisha_`.
        meaning: its help text.
        labels: besides `job` and `deployment_name`.
    """

    job: Job
    name: str
    meaning: str
    labels: tuple[str, ...] = ()


_BY_FEATURE = ("stratum", "feature")

LOOP_GAUGES = (
    LoopGauge(Job.DRIFT, "drift_last_success_timestamp_seconds", "When a drift check last came to an end."),
    LoopGauge(Job.DRIFT, "drift_verdict", "1 for the verdict of the last check, 0 for the others.", ("verdict",)),
    LoopGauge(Job.DRIFT, "drift_alert", "1 while drift is confirmed: enough of the last windows were flagged."),
    LoopGauge(Job.DRIFT, "drift_score", "How far a feature left its calibrated range; the bound is drift_bound.", _BY_FEATURE),
    LoopGauge(Job.DRIFT, "drift_bound", "Largest score that clean windows of the reference reach.", ("stratum",)),
    LoopGauge(Job.DRIFT, "drift_effect_ratio", "Distance of the two distributions of a feature, 0 to 1.", _BY_FEATURE),
    LoopGauge(Job.DRIFT, "drift_window_pictures", "Thinned pictures in the last window.", ("stratum",)),
    LoopGauge(Job.DRIFT, "drift_reference_pictures", "Thinned pictures in the reference.", ("stratum",)),
    LoopGauge(
        Job.DRIFT,
        "drift_feature_median",
        "Median of a feature, in the feature's own unit; window is reference or current.",
        (*_BY_FEATURE, "window"),
    ),
    LoopGauge(Job.EXPERIMENT, "experiment_last_success_timestamp_seconds", "When the judge last came to a verdict."),
    LoopGauge(Job.EXPERIMENT, "experiment_verdict", "1 for the judge's last verdict, 0 for the others.", ("verdict",)),
    LoopGauge(Job.EXPERIMENT, "experiment_share_ratio", "Share of requests that the judge wants for the challenger."),
    LoopGauge(
        Job.EXPERIMENT,
        "experiment_win_ratio",
        "Share of decided disagreements that the challenger wins; bound is estimate, lower or upper.",
        ("bound",),
    ),
    LoopGauge(Job.EXPERIMENT, "experiment_samples", "Evidence so far, by kind.", ("kind",)),
    LoopGauge(Job.EXPERIMENT, "experiment_required_samples", "Evidence that the next step needs, by kind.", ("kind",)),
    LoopGauge(Job.REVIEW, "review_last_success_timestamp_seconds", "When review pictures were last selected or imported."),
    LoopGauge(Job.REVIEW, "review_queue_pictures", "Pictures that wait for a person."),
    LoopGauge(Job.REVIEW, "review_queue_oldest_timestamp_seconds", "Since when the longest waiting picture waits; 0 for none."),
    LoopGauge(Job.RETRAIN, "retrain_last_start_timestamp_seconds", "When a training run last started.", ("cause",)),
    LoopGauge(Job.RETRAIN, "retrain_last_success_timestamp_seconds", "When a training run last ended well; 0 for never."),
    LoopGauge(Job.RETRAIN, "retrain_last_failure_timestamp_seconds", "When a training run last failed; 0 for never."),
    LoopGauge(Job.RETRAIN, "retrain_running", "1 while a training run that the policy started has not ended."),
    LoopGauge(Job.RETRAIN, "retrain_runs_today", "Runs that the policy started in the last 24 hours."),
    LoopGauge(Job.RETRAIN, "retrain_budget_runs", "Runs that the policy may start in 24 hours."),
)  # fmt: skip


class LoopMetrics:
    """The gauges of one job, to be set and then pushed.

    Args:
        job: whose.
        deployment_name: of the deployment that the job watches.
    """

    def __init__(self, job: Job, deployment_name: str = "belisha") -> None:
        self._job = job
        self._deployment_name = deployment_name
        self._registry = CollectorRegistry()
        self._set: set[str] = set()
        self._gauges = {
            gauge.name: Gauge(f"belisha_{gauge.name}", gauge.meaning, gauge.labels, registry=self._registry)
            for gauge in LOOP_GAUGES
            if gauge.job is job
        }

    def set(self, name: str, value: float, **labels: str) -> None:
        """Set one gauge; raises KeyError for a name that the job does not declare, ValueError for wrong labels."""
        gauge = self._gauges[name]
        self._set.add(name)
        (gauge.labels(**labels) if labels else gauge).set(value)

    def set_one_of(self, name: str, chosen: enum.StrEnum) -> None:
        """Set 1 for the chosen member of an enumeration and 0 for all others; the label is named as the gauge ends."""
        label = name.rsplit("_", 1)[1]
        for member in type(chosen):
            self.set(name, float(member is chosen), **{label: member.value})

    def exposition(self) -> bytes:
        """The gauges as Prometheus' text."""
        return generate_latest(self._registry)

    def push(self, gateway: str, namespace: str = "", *, replace: bool = True) -> None:
        """Replace the job's group at a Pushgateway, for example `http://pushgateway:9091`.

        Args:
            gateway: its address.
            namespace: of the deployment, where one Pushgateway serves several namespaces.
            replace: False replaces the gauges that were set alone: a job that failed must not wipe out what it told before.

        Raises:
            StorageError: it did not take them.
        """
        key = {"deployment_name": self._deployment_name} | ({"namespace": namespace} if namespace else {})
        names = [f"belisha_{name}" for name in sorted(self._set)]
        registry = self._registry if replace else self._registry.restricted_registry(names)
        push = push_to_gateway if replace else pushadd_to_gateway
        try:
            push(gateway, self._job, registry, grouping_key=key, timeout=_PUSH_SECONDS)
        except (URLError, OSError, ValueError) as error:
            raise StorageError(
                f"the Pushgateway {gateway} did not take the metrics of {self._job} ({error}): "
                f"check {PUSHGATEWAY_VARIABLE}, or unset it to go without"
            ) from None

    def push_if_configured(self, environment: Mapping[str, str] = os.environ, *, replace: bool = True) -> None:
        """Push when BELISHA_PUSHGATEWAY is set; raises StorageError."""
        gateway = environment.get(PUSHGATEWAY_VARIABLE)
        if gateway:
            self.push(gateway, environment.get(NAMESPACE_VARIABLE, ""), replace=replace)
