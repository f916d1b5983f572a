"""Series that join Seldon's, the gateway's and the predictors' into one schema by role: `ab:…`."""

from __future__ import annotations

from collections.abc import Callable

from belisha.monitoring.rules.model import Recording
from belisha.monitoring.rules.sources import (
    BY_DEPLOYMENT,
    BY_PREDICTOR,
    BY_VERSION,
    EXECUTOR,
    SOURCES,
    Source,
    chosen,
    with_role,
)
from belisha.monitoring.settings import BURN_WINDOWS, MINUTE, MonitoringSettings, window_name

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
SHORT_WINDOW, SPLIT_WINDOW, COMPARE_WINDOW = 5 * MINUTE, 10 * MINUTE, 30 * MINUTE
_REMEMBERED = 15 * MINUTE
_WINDOWS = sorted(
    {SHORT_WINDOW, COMPARE_WINDOW} | {s for one in BURN_WINDOWS for s in (one.long_seconds, one.short_seconds)}
)
_BY_ROLE = f"{BY_VERSION}, role"


def joined(settings: MonitoringSettings) -> list[Recording]:
    """Who is who: roles, shares asked for, which predictor serves which version, and whose figures hold."""
    serves = f"max_over_time(belisha_model_info[{settings.duration(_REMEMBERED)}]) > 0"
    return [
        Recording("ab:role:info", _role_info()),
        Recording("ab:traffic_wanted:ratio", with_role(f"max by ({BY_VERSION}) (belisha_ledger_traffic_ratio)")),
        # A predictor that has died is remembered for a while, so that its last errors find their version.
        Recording(
            "ab:predictor:info",
            f"""
            group by ({BY_PREDICTOR}, model_version) ({serves})
            and on ({BY_PREDICTOR})
            count by ({BY_PREDICTOR}) (group by ({BY_PREDICTOR}, model_version) ({serves})) == 1
            """,
        ),
        Recording("ab:source:info", _source_info()),
    ]


def _role_info() -> str:
    """1 for each version's one role: should two exporters disagree for a moment, nothing that joins on it may break."""
    champion, challenger = (f'belisha_ledger_role_info{{role="{role}"}} == 1' for role in ("champion", "challenger"))
    return f"""
        group by ({_BY_ROLE}) ({champion})
        or (group by ({_BY_ROLE}) ({challenger}) unless on ({BY_VERSION}) group by ({BY_VERSION}) ({champion}))
        """


def _source_info() -> str:
    """1 for the first source that knows a version."""
    found: list[str] = []
    for number, source in enumerate(SOURCES):
        own = f"group by ({BY_VERSION}) (\n  {source.series}\n)"
        before = "".join(
            f"\nunless on ({BY_VERSION}) group by ({BY_VERSION}) (\n  {one.series}\n)" for one in SOURCES[:number]
        )
        found.append(f'label_replace(\n{own}{before},\n"source", "{source.name}", "", ""\n)')
    return "\nor\n".join(found)


def short(settings: MonitoringSettings) -> list[Recording]:
    """What happens now: latency over five minutes, and the split over ten."""
    window = settings.duration(SHORT_WINDOW)
    name = window_name(SHORT_WINDOW)
    buckets = with_role(chosen(lambda source: source.buckets(window, "")))
    return [
        Recording(f"ab:latency_seconds_bucket:rate{name}", buckets),
        *(
            Recording(f"ab:latency_seconds:{label}", f"histogram_quantile({q}, ab:latency_seconds_bucket:rate{name})")
            for label, q in QUANTILES.items()
        ),
        *_split(settings),
    ]


def _split(settings: MonitoringSettings) -> list[Recording]:
    window, name = settings.duration(SPLIT_WINDOW), window_name(SPLIT_WINDOW)
    drawn = f"""
        (
          sum by ({BY_VERSION}) (increase(belisha_gateway_drawn_total[{window}]))
          or sum by ({BY_VERSION}) (increase(belisha_router_routes_total{{drawn="true"}}[{window}]))
          or {EXECUTOR.requests(window)} * {settings.seconds(SPLIT_WINDOW)}
          or 0 * max by ({BY_VERSION}) (ab:role:info)
        )
        * on ({BY_VERSION}) group_left (role) ab:role:info
        """
    of_all = f"sum by ({BY_DEPLOYMENT}) (ab:drawn:increase{name})"
    return [
        Recording(f"ab:drawn:increase{name}", drawn),
        Recording(
            f"ab:traffic:ratio_increase{name}",
            f"ab:drawn:increase{name} / on ({BY_DEPLOYMENT}) group_left () ({of_all} > 0)",
        ),
    ]


def long(settings: MonitoringSettings) -> list[Recording]:
    """Requests, errors and slow answers over every window that an alert or a panel needs."""
    return [rule for seconds in _WINDOWS for rule in _over(seconds, settings)]


def _over(seconds: int, settings: MonitoringSettings) -> list[Recording]:
    name, window = window_name(seconds), settings.duration(seconds)
    return [
        Recording(f"ab:requests:rate{name}", with_role(chosen(lambda one: one.requests(window)))),
        Recording(f"ab:errors:rate{name}", _or_none(lambda one: one.errors(window), name)),
        Recording(f"ab:errors:ratio_rate{name}", f"ab:errors:rate{name} / (ab:requests:rate{name} > 0)"),
        Recording(f"ab:slow:rate{name}", _or_none(lambda one: _slow(one, window, settings.slow_seconds), name)),
        Recording(f"ab:slow:ratio_rate{name}", f"ab:slow:rate{name} / (ab:requests:rate{name} > 0)"),
    ]


def _slow(source: Source, window: str, seconds: float) -> str:
    quick = source.buckets(window, f', le="{seconds:g}"')
    return f"{source.answers(window)} - sum by ({BY_VERSION}) ({quick})"


def _or_none(of_source: Callable[[Source], str], name: str) -> str:
    """What a source says, and 0 where it has requests but never had one of these."""
    return f"{with_role(chosen(of_source))}\nor\n0 * ab:requests:rate{name}"


def compared(settings: MonitoringSettings) -> list[Recording]:
    """Challenger against champion: how sure it is that its share of errors is higher, in standard deviations."""
    name = window_name(COMPARE_WINDOW)
    seconds = settings.seconds(COMPARE_WINDOW)
    pooled = f"sum by ({BY_DEPLOYMENT}) (ab:errors:rate{name}) / sum by ({BY_DEPLOYMENT}) (ab:requests:rate{name})"
    challenger, champion = _of("challenger", f"ab:requests:rate{name}"), _of("champion", f"ab:requests:rate{name}")
    return [
        Recording("ab:errors:pooled_ratio", pooled),
        Recording(
            "ab:errors:difference_ratio",
            f"{_of('challenger', f'ab:errors:ratio_rate{name}')} - {_of('champion', f'ab:errors:ratio_rate{name}')}",
        ),
        # Two proportions with a pooled variance.
        Recording(
            "ab:errors:difference_z",
            f"""
            ab:errors:difference_ratio
            / sqrt(
              ab:errors:pooled_ratio * (1 - ab:errors:pooled_ratio)
              * (1 / ({challenger} * {seconds}) + 1 / ({champion} * {seconds}))
            )
            """,
        ),
    ]


def _of(role: str, series: str) -> str:
    return f'max by ({BY_DEPLOYMENT}) ({series}{{role="{role}"}})'
