"""Serving: is there room, and where does the time go."""

from __future__ import annotations

from collections.abc import Sequence

from belisha.monitoring.dashboards.parts import ROLE, Look, Plot, Query, Row, of_role

DESCRIPTION = "Is there room, and where does the time go: saturation, queues, decoding, inference, CPU and GPU."
_BY = "namespace, deployment_name, model_version"
_RATE = "[$__rate_interval]"


def rows() -> Sequence[Row]:
    """Panels from top to bottom."""
    return (
        Row("Who is there", _presence()),
        Row("Is there room", _room()),
        Row("Where does the time go", _time()),
        Row("The machine", _machine()),
    )


def _sum(expr: str, by: str = _BY) -> str:
    return f"sum by ({by}) ({expr})"


def _stage(kind: str, stage: str) -> str:
    return _sum(f'rate(belisha_stage_seconds_{kind}{{$M, stage="{stage}"}}{_RATE})')


def _presence() -> Sequence[Plot]:
    outcomes = f"sum by (model_version, outcome) (rate(belisha_requests_total{{$M}}{_RATE})) > 0"
    return (
        Plot(
            "Models loaded",
            "What came of loading each model; golden_mismatch and failed never serve.",
            "none",
            [Query("max by (model_version, result) (belisha_model_load{$M}) == 1", "{{model_version}} {{result}}")],
            Look("states", 8),
        ),
        Plot(
            "Runtimes",
            "The runtime that runs each model.",
            "none",
            [Query("max by (model_version, runtime) (belisha_model_info{$M}) == 1", "{{model_version}} {{runtime}}")],
            Look("states", 8),
        ),
        Plot(
            "How requests ended",
            "Requests a second at the predictors, by how they ended, shadow requests included.",
            "reqps",
            [Query(outcomes, "{{model_version}} {{outcome}}")],
        ),
    )


def _room() -> Sequence[Plot]:
    cpu = f"{_sum(f'rate(belisha_predictor_cpu_seconds_total{{$M}}{_RATE})')} / {_sum('belisha_predictor_cpus{$M}')}"
    waiting = (
        f"({_stage('sum', 'total')} - {_stage('sum', 'decode')} - {_stage('sum', 'inference')}) / "
        f"{_stage('count', 'total')}"
    )
    return (
        Plot(
            "CPU saturation",
            "CPU time that the predictor's processes use, over the CPUs they may use: near 1 there is no room.",
            "percentunit",
            [Query(of_role(cpu), ROLE)],
            Look(bounds=(0.9,)),
        ),
        Plot(
            "Waiting inside the predictor",
            "Mean time of an answer that is neither decoding nor inference: waiting for a place, "
            "and for the answer to be written.",
            "s",
            [Query(of_role(waiting), ROLE)],
        ),
        Plot(
            "Inferences under way",
            "Mean number of inferences at a time.",
            "short",
            [Query(of_role(_stage("sum", "inference")), ROLE)],
        ),
        Plot(
            "Request log queue",
            "Rows that wait to be written to the request log.",
            "short",
            [Query(of_role(_sum("belisha_request_log_queue_rows{$M}")), ROLE)],
        ),
        Plot(
            "Gateway",
            "On one machine: requests under way at the gateway, and those a second that it refused because there were "
            "too many. In a cluster the mesh does this, and the panel is empty.",
            "short",
            [
                Query("belisha_gateway_in_flight{$D}", "under way"),
                Query(
                    f'sum by (deployment_name) (rate(belisha_gateway_requests_total{{$D, outcome="shed"}}{_RATE})) '
                    "or 0 * belisha_gateway_in_flight{$D}",
                    "refused a second",
                ),
            ],
        ),
        Plot(
            "Failed attempts at the gateway",
            "On one machine: attempts a second at a predictor that failed, by why.",
            "cps",
            [
                Query(
                    f"sum by (model_version, reason) (rate(belisha_gateway_failures_total{{$M}}{_RATE}))",
                    "{{model_version}} {{reason}}",
                )
            ],
        ),
    )


def _time() -> Sequence[Plot]:
    quantile = (
        "histogram_quantile(0.95, "
        + _sum('rate(belisha_stage_seconds_bucket{$M, stage="STAGE"}' + _RATE + ")", f"{_BY}, le")
        + ")"
    )
    texts = {
        "decode": "95 % of the pictures were decoded within this time.",
        "inference": "95 % of the inferences, with scaling and suppression, took at most this time.",
        "total": "95 % of the answers left the predictor within this time.",
    }
    return [
        Plot(f"{stage.capitalize()} p95", text, "s", [Query(of_role(quantile.replace("STAGE", stage)), ROLE)])
        for stage, text in texts.items()
    ]


def _machine() -> Sequence[Plot]:
    return (
        Plot(
            "CPU",
            "CPUs that each model's predictors keep busy.",
            "none",
            [Query(of_role(_sum(f"rate(belisha_predictor_cpu_seconds_total{{$M}}{_RATE})")), ROLE)],
            Look(width=6),
        ),
        Plot(
            "Memory",
            "Resident memory of each model's predictors, shared pages counted in every process.",
            "bytes",
            [Query(of_role(_sum("belisha_predictor_resident_bytes{$M}")), ROLE)],
            Look(width=6),
        ),
        Plot(
            "GPU",
            "Share of time in which each GPU was busy, as NVIDIA's exporter (DCGM) tells it; empty without one.",
            "percentunit",
            [Query('DCGM_FI_DEV_GPU_UTIL{namespace=~"$namespace"} / 100', "{{pod}} GPU {{gpu}}")],
            Look(width=6),
        ),
        Plot(
            "GPU memory",
            "Memory used on each GPU, as NVIDIA's exporter (DCGM) tells it; empty without one.",
            "bytes",
            [Query('DCGM_FI_DEV_FB_USED{namespace=~"$namespace"} * 1048576', "{{pod}} GPU {{gpu}}")],
            Look(width=6),
        ),
    )
