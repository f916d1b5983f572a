"""Where the figures of a model version come from, each source with the same four series by version.

In a cluster Seldon's executor counts what callers get; on one machine the gateway does. Where neither counts by version, as in
a graph with a router, the predictors' own counters stand in. `ab:source:info` says which one holds for a version, so that
two of them never mix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

BY_DEPLOYMENT = "namespace, deployment_name"
BY_PREDICTOR = f"{BY_DEPLOYMENT}, predictor_name"
BY_VERSION = f"{BY_DEPLOYMENT}, model_version"
_EXECUTOR = "seldon_api_executor_server_requests_seconds"
# REST says "predictions", gRPC the full name of its method.
_PREDICTIONS = 'service=~"predictions|.*Predict|.*ModelInfer"'
_FAILED = 'outcome=~"error|not_ready"'


@dataclass(frozen=True, slots=True)
class Source:
    """PromQL of one source, by namespace, deployment_name and model_version.

    Attributes:
        name: value of the label `source`.
        series: that exist where the source does.
        requests: per second, of a window as PromQL writes it.
        errors: those that failed through no fault of the caller.
        buckets: answers by latency, with `le`.
        answers: whose latency the buckets count.
    """

    name: str
    series: str
    requests: Callable[[str], str]
    errors: Callable[[str], str]
    buckets: Callable[[str, str], str]
    answers: Callable[[str], str]


def _sum(rate: str, extra: str = "") -> str:
    return f"sum by ({BY_VERSION}{extra}) ({rate})"


def _of_version(rate: str) -> str:
    """The executor names predictors; the version that each serves is known from the predictor itself."""
    return f"{rate} * on ({BY_PREDICTOR}) group_left (model_version) ab:predictor:info"


def _executor(suffix: str, matchers: str, window: str, extra: str = "") -> str:
    rate = f"sum by ({BY_PREDICTOR}{extra}) (rate({_EXECUTOR}_{suffix}{{{matchers}}}[{window}]))"
    return _sum(_of_version(rate), extra)


EXECUTOR = Source(
    "executor",
    _of_version(f"group by ({BY_PREDICTOR}) ({_EXECUTOR}_count{{{_PREDICTIONS}}})"),
    lambda window: _executor("count", _PREDICTIONS, window),
    lambda window: _executor(
        "count", f'{_PREDICTIONS}, code=~"5..|UNKNOWN|INTERNAL|UNAVAILABLE|DEADLINE_EXCEEDED"', window
    ),
    lambda window, le: _executor("bucket", f"{_PREDICTIONS}{le}", window, ", le"),
    lambda window: _executor("count", _PREDICTIONS, window),
)
# An attempt that never reached a predictor is made again elsewhere, often many times, and harms nobody.
_BROKEN = 'reason=~"timeout|connection|status"'
_UNANSWERED = 'belisha_gateway_requests_total{model_version="none", outcome="failed"}'


def _gateway_errors(window: str) -> str:
    """Attempts that broke, and for the champion also requests that nobody answered."""
    broken = _sum(f"rate(belisha_gateway_failures_total{{{_BROKEN}}}[{window}])")
    champion = f'group by ({BY_VERSION}) (ab:role:info{{role="champion"}})'
    unanswered = (
        f"sum by ({BY_DEPLOYMENT}) (rate({_UNANSWERED}[{window}])) * on ({BY_DEPLOYMENT}) group_right () {champion}"
    )
    return f"({broken} + ({unanswered} or 0 * {broken}))"


def _gateway_requests(window: str) -> str:
    answered = _sum(f'rate(belisha_gateway_requests_total{{model_version!="none"}}[{window}])')
    return f"({answered} + {_gateway_errors(window)})"


_GATEWAY = "belisha_gateway_seconds"
GATEWAY = Source(
    "gateway",
    'belisha_gateway_requests_total{model_version!="none"}',
    _gateway_requests,
    _gateway_errors,
    lambda window, le: _sum(f'rate({_GATEWAY}_bucket{{stage="total"{le}}}[{window}])', ", le"),
    lambda window: _sum(f'rate({_GATEWAY}_count{{stage="total"}}[{window}])'),
)
_OWN = 'shadow="false"'
PREDICTOR = Source(
    "predictor",
    f"belisha_requests_total{{{_OWN}}}",
    lambda window: _sum(f"rate(belisha_requests_total{{{_OWN}}}[{window}])"),
    lambda window: _sum(f"rate(belisha_requests_total{{{_OWN}, {_FAILED}}}[{window}])"),
    lambda window, le: _sum(f'rate(belisha_stage_seconds_bucket{{stage="total"{le}}}[{window}])', ", le"),
    lambda window: _sum(f'rate(belisha_stage_seconds_count{{stage="total"}}[{window}])'),
)
SOURCES = (EXECUTOR, GATEWAY, PREDICTOR)


def chosen(of_source: Callable[[Source], str]) -> str:
    """For each version the expression of the source that holds for it."""
    parts = [
        f'(\n  {of_source(source)}\n  and on ({BY_VERSION}) ab:source:info{{source="{source.name}"}}\n)'
        for source in SOURCES
    ]
    return "\nor\n".join(parts)


def with_role(expr: str) -> str:
    """The same with the role that the ledger gives each version now; versions without one are left out."""
    return f"(\n{expr}\n)\n* on ({BY_VERSION}) group_left (role) ab:role:info"
