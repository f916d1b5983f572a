"""Release: champion against challenger."""

from __future__ import annotations

from collections.abc import Sequence

from belisha.monitoring.dashboards.parts import ROLE, Look, Plot, Query, Row, of_role
from belisha.monitoring.settings import MonitoringSettings

DESCRIPTION = "Champion against challenger: who gets the requests, who fails, who is slower, who finds more."
_NARROW = Look(width=6)


def rows() -> Sequence[Row]:
    """Panels from top to bottom."""
    return (
        Row("Who serves", _who()),
        Row("Which is slower, which fails", _figures()),
        Row("What they find", _findings()),
        Row("Is the challenger better", _experiment()),
    )


def _who() -> Sequence[Plot]:
    slo = MonitoringSettings().availability_slo_ratio
    left = f'1 - ab:errors:ratio_rate3d{{$M, role="champion"}} / {1 - slo:g}'
    return (
        Plot(
            "Roles",
            "The versions that the ledger names champion and challenger now.",
            "none",
            [Query("ab:role:info{$M}", ROLE)],
            Look("number", 4),
        ),
        Plot(
            "Error budget left",
            f"Share of the champion's error budget ({1 - slo:.1%} of three days' requests) that is left; below 0 it is spent.",
            "percentunit",
            [Query(left, ROLE)],
            Look("number", 4),
        ),
        Plot(
            "Split",
            "Share of the drawn requests over ten minutes, and the share that the ledger asks for.",
            "percentunit",
            [
                Query("ab:traffic:ratio_increase10m{$M}", ROLE),
                Query("ab:traffic_wanted:ratio{$M}", f"{ROLE} asked for"),
            ],
        ),
        Plot(
            "Requests",
            "Requests a second by the model that answered.",
            "reqps",
            [Query("ab:requests:rate5m{$M}", ROLE)],
            Look(stacked=True),
        ),
    )


def _figures() -> Sequence[Plot]:
    latency = "Latency that callers see: {} of the answers came within this time over five minutes."
    return (
        Plot("Latency p50", latency.format("half"), "s", [Query("ab:latency_seconds:p50{$M}", ROLE)], _NARROW),
        Plot("Latency p95", latency.format("95 %"), "s", [Query("ab:latency_seconds:p95{$M}", ROLE)], _NARROW),
        Plot("Latency p99", latency.format("99 %"), "s", [Query("ab:latency_seconds:p99{$M}", ROLE)], _NARROW),
        Plot(
            "Errors",
            "Share of requests that failed through no fault of the caller, over five minutes.",
            "percentunit",
            [Query("ab:errors:ratio_rate5m{$M}", ROLE)],
            _NARROW,
        ),
    )


def _findings() -> Sequence[Plot]:
    boxes, scores = "belisha_boxes_per_picture", "belisha_score_bucket{$M}"
    per_picture = (
        f"sum by (namespace, deployment_name, model_version) (rate({boxes}_sum{{$M}}[$__rate_interval]))"
        f" / sum by (namespace, deployment_name, model_version) (rate({boxes}_count{{$M}}[$__rate_interval]))"
    )
    quantile = (
        "histogram_quantile(QUANTILE, sum by (namespace, deployment_name, model_version, le) (rate("
        + scores
        + "[$__rate_interval])))"
    )
    empty = (
        f'sum by (namespace, deployment_name, model_version) (rate({boxes}_bucket{{$M, le="0.0"}}[$__rate_interval]))'
        f" / sum by (namespace, deployment_name, model_version) (rate({boxes}_count{{$M}}[$__rate_interval]))"
    )
    return (
        Plot(
            "Boxes per picture",
            "Mean number of pedestrians found on a picture, at or above the serving threshold.",
            "short",
            [Query(of_role(per_picture), ROLE)],
        ),
        Plot(
            "Pictures without a box",
            "Share of pictures on which a model finds nobody.",
            "percentunit",
            [Query(of_role(empty), ROLE)],
        ),
        Plot(
            "Scores",
            "Median, and the range of the middle 80 %, of the scores of all boxes.",
            "none",
            [
                Query(of_role(quantile.replace("QUANTILE", str(q))), f"{ROLE} p{round(100 * q)}")
                for q in (0.1, 0.5, 0.9)
            ],
        ),
    )


def _experiment() -> Sequence[Plot]:
    return (
        Plot(
            "Estimate",
            "Share of decided disagreements that the challenger wins, with its confidence sequence: the challenger "
            "is better once the lower bound is above one half, whenever one looks.",
            "percentunit",
            [Query("belisha_experiment_win_ratio{$D}", "{{bound}}")],
            Look(bounds=(0.5,)),
        ),
        Plot(
            "Evidence",
            "What the judge has counted so far, by kind, and what its next step needs.",
            "short",
            [
                Query("belisha_experiment_samples{$D}", "{{kind}}"),
                Query("belisha_experiment_required_samples{$D}", "{{kind}} needed"),
            ],
        ),
        Plot(
            "Share wanted by the judge",
            "Share of requests that the judge wants for the challenger.",
            "percentunit",
            [Query("belisha_experiment_share_ratio{$D}", "{{deployment_name}}")],
        ),
        Plot(
            "Judge's verdict",
            "The judge's last verdict over time.",
            "none",
            [Query("belisha_experiment_verdict{$D} == 1", "{{verdict}}")],
            Look("states", 12),
        ),
        Plot(
            "Errors of the challenger beyond the champion's",
            "Difference of the shares of failed requests over half an hour; "
            "the alert asks for 1 % and four standard deviations.",
            "percentunit",
            [Query("ab:errors:difference_ratio{$D}", "difference")],
            Look(width=12, signed=True, bounds=(0.01,)),
        ),
    )
