"""Alerts about what serves: budgets, the challenger against the champion, the split, and who is missing."""

from __future__ import annotations

from belisha.monitoring.rules.model import Alert
from belisha.monitoring.rules.recording import COMPARE_WINDOW, SPLIT_WINDOW
from belisha.monitoring.rules.sources import BY_DEPLOYMENT, BY_VERSION
from belisha.monitoring.settings import BURN_WINDOWS, MINUTE, MonitoringSettings, window_name

RELEASE, SERVING = "belisha-release", "belisha-serving"
TRAFFIC_ABSENT, PREDICTOR_ABSENT = "BelishaTrafficSeriesAbsent", "BelishaPredictorAbsent"
LEDGER_ABSENT = "BelishaLedgerSeriesAbsent"
_MODEL = "{{ $labels.model_version }} of {{ $labels.deployment_name }}"
_PERCENT = "{{ $value | humanizePercentage }}"
_READY = f'max by ({BY_VERSION}) (belisha_model_load{{result="ready"}}) == 1'


def serving_alerts(settings: MonitoringSettings) -> list[Alert]:
    """All of them."""
    return [
        *_budgets(settings),
        *_challenger(settings),
        *_split(settings),
        *_presence(),
        *_models(),
        *_request_log(settings),
        *_ledger(),
    ]


def _budgets(settings: MonitoringSettings) -> list[Alert]:
    kinds = (
        ("BelishaChampionErrorBudgetBurn", "errors", settings.availability_slo_ratio, "failed"),
        (
            "BelishaChampionLatencyBudgetBurn", "slow", settings.latency_slo_ratio,
            f"took longer than {settings.slow_seconds:g} s",
        ),
    )  # fmt: skip
    return [_budget(settings, *kind, window=number) for kind in kinds for number in range(len(BURN_WINDOWS))]


def _budget(settings: MonitoringSettings, name: str, series: str, slo_ratio: float, what: str, *, window: int) -> Alert:
    pair = BURN_WINDOWS[window]
    long, short = window_name(pair.long_seconds), window_name(pair.short_seconds)
    bound = f"{pair.factor * (1 - slo_ratio):g}"
    least = f"{settings.burn_least_errors} / {settings.seconds(pair.long_seconds)}"
    expr = f"""
        ab:{series}:ratio_rate{long}{{role="champion"}} > {bound}
        and ab:{series}:ratio_rate{short}{{role="champion"}} > {bound}
        and ab:{series}:rate{long}{{role="champion"}} >= {least}
        """
    return Alert(
        name,
        expr,
        pair.severity,
        RELEASE,
        f"The champion's requests {what} too often for its objective of {slo_ratio:.1%}.",
        f"{_PERCENT} of the requests to champion {_MODEL} {what} in the last {long}, and more than {float(bound):.2%} in the "
        f"last {short}, too: {pair.factor:g} times what the objective allows.",
        TRAFFIC_ABSENT,
        pair.for_seconds,
        5 * MINUTE,
        {"window": long},
    )


def _challenger(settings: MonitoringSettings) -> list[Alert]:
    compare = window_name(COMPARE_WINDOW)
    enough = f"min by ({BY_DEPLOYMENT}) (ab:requests:rate{compare}) * {settings.seconds(COMPARE_WINDOW)}"
    p95 = 'max by (%s) (ab:latency_seconds:p95{role="%s"})'
    challenger, champion = p95 % (BY_VERSION, "challenger"), p95 % (BY_DEPLOYMENT, "champion")
    above = f"> on ({BY_DEPLOYMENT}) group_left ()"
    enough_short = f"min by ({BY_DEPLOYMENT}) (ab:requests:rate5m) * {settings.seconds(5 * MINUTE)}"
    return [
        Alert(
            "BelishaChallengerFailsMore",
            f"""
            ab:errors:difference_ratio > {settings.worse_errors_ratio:g}
            and ab:errors:difference_z > {settings.significant_z:g}
            and {enough} >= {settings.least_requests}
            """,
            "warning",
            RELEASE,
            "The challenger fails more often than the champion.",
            f"The challenger's share of failed requests of {{{{ $labels.deployment_name }}}} is {_PERCENT} points above the "
            f"champion's over {compare}, which is no chance.",
            TRAFFIC_ABSENT,
            5 * MINUTE,
        ),
        Alert(
            "BelishaChallengerSlower",
            f"""
            {challenger} {above} {settings.worse_latency_factor:g} * {champion}
            and {challenger} {above} {champion} + {settings.worse_latency_seconds:g}
            and on ({BY_DEPLOYMENT}) {enough_short} >= {settings.least_requests}
            """,
            "warning",
            RELEASE,
            "The challenger is much slower than the champion.",
            f"The 95th percentile of challenger {_MODEL} is {{{{ printf \"%.3f\" $value }}}} s, more than "
            f"{settings.worse_latency_factor:g} times the champion's and {settings.worse_latency_seconds:g} s above it.",
            TRAFFIC_ABSENT,
            10 * MINUTE,
        ),
        Alert(
            "BelishaChallengerLosing",
            f'max by ({BY_DEPLOYMENT}) (belisha_experiment_verdict{{verdict="STOP"}}) == 1',
            "warning",
            RELEASE,
            "The judge has found the challenger worse than the champion.",
            "The experiment on {{ $labels.deployment_name }} ended with STOP: the challenger is to be withdrawn.",
            "BelishaExperimentSeriesAbsent",
        ),
    ]  # fmt: skip


def _split(settings: MonitoringSettings) -> list[Alert]:
    name = window_name(SPLIT_WINDOW)
    wanted = 'ab:traffic_wanted:ratio{role="challenger"}'
    off = f'abs(ab:traffic:ratio_increase{name}{{role="challenger"}} - {wanted})'
    drawn = f"on ({BY_DEPLOYMENT}) group_left () sum by ({BY_DEPLOYMENT}) (ab:drawn:increase{name})"
    return [
        Alert(
            "BelishaTrafficSplitOff",
            f"""
            {off} > {settings.split_off_ratio:g}
            and {off} > {settings.significant_z:g} * sqrt({wanted} * (1 - {wanted}) / {drawn})
            and {off} * 0 + {drawn} >= {settings.least_requests}
            """,
            "warning",
            RELEASE,
            "The challenger does not get the share of requests that the ledger asks for.",
            f"The share of {_MODEL} misses the one asked for by {_PERCENT} points over {name}, which is no chance.",
            TRAFFIC_ABSENT,
            # Longer than an absent predictor takes to be told: who is not there cannot get its share.
            20 * MINUTE,
        )
    ]


def _presence() -> list[Alert]:
    missing = f'ab:role:info{{role="%s"}} unless on ({BY_VERSION}) ({_READY})'
    return [
        *(
            Alert(
                PREDICTOR_ABSENT,
                missing % role,
                severity,
                SERVING,
                f"No predictor of the {role} is ready.",
                f"The ledger says that {_MODEL} is {role}, but no predictor tells Prometheus that it has this model ready.",
                LEDGER_ABSENT,
                for_seconds,
            )
            for role, severity, for_seconds in (
                ("champion", "critical", 5 * MINUTE),
                ("challenger", "warning", 15 * MINUTE),
            )
        ),
        Alert(
            "BelishaNoTraffic",
            f"sum by ({BY_DEPLOYMENT}) (ab:requests:rate5m) == 0",
            "warning",
            RELEASE,
            "Nobody sends pictures.",
            "{{ $labels.deployment_name }} has had no request for a quarter of an hour.",
            TRAFFIC_ABSENT,
            15 * MINUTE,
        ),
        Alert(
            TRAFFIC_ABSENT,
            f'group by ({BY_DEPLOYMENT}) (ab:role:info) unless on ({BY_DEPLOYMENT}) ab:requests:rate5m{{role="champion"}}',
            "critical",
            RELEASE,
            "Nothing is known of the champion's requests.",
            "The ledger of {{ $labels.deployment_name }} has a champion, but no series counts its requests: "
            "budgets, split and comparison are blind.",
            "",
            10 * MINUTE,
        ),
    ]


def _models() -> list[Alert]:
    load = f'max by ({BY_VERSION}) (belisha_model_load{{result="%s"}}) == 1'
    return [
        Alert(
            "BelishaModelDiffersFromLedger",
            f"({_READY})\nunless on ({BY_VERSION}) ab:role:info\nand on ({BY_DEPLOYMENT}) ab:role:info",
            "warning",
            SERVING,
            "A model serves that the ledger gives no role.",
            f"A predictor has {_MODEL} ready, which is neither champion nor challenger.",
            LEDGER_ABSENT,
            15 * MINUTE,
        ),
        Alert(
            "BelishaGoldenPictureMismatch",
            load % "golden_mismatch",
            "critical",
            SERVING,
            "A model does not find on its golden pictures what its builder saw.",
            f"A predictor refuses to serve {_MODEL}: its boxes on the golden pictures inside the model are others.",
            PREDICTOR_ABSENT,
        ),
        Alert(
            "BelishaModelLoadFailed",
            load % "failed",
            "critical",
            SERVING,
            "A model cannot be loaded.",
            f"A predictor cannot load {_MODEL}; its log says why.",
            PREDICTOR_ABSENT,
            2 * MINUTE,
        ),
    ]  # fmt: skip


def _request_log(settings: MonitoringSettings) -> list[Alert]:
    window = settings.duration(SPLIT_WINDOW)
    return [
        Alert(
            "BelishaRequestLogDropping",
            f"sum by ({BY_VERSION}) (increase(belisha_request_log_dropped_total[{window}])) > 0",
            "warning",
            SERVING,
            "Predictions are missing in the request log.",
            "{{ printf \"%.0f\" $value }} rows of " + _MODEL + " were dropped in ten minutes: drift and experiment see less.",
            PREDICTOR_ABSENT,
            5 * MINUTE,
        ),
    ]  # fmt: skip


def _ledger() -> list[Alert]:
    return [
        Alert(
            "BelishaLedgerUnreadable",
            f"max by ({BY_DEPLOYMENT}) (belisha_ledger_readable) == 0",
            "critical",
            "belisha-loop",
            "The ledger cannot be read.",
            "The exporter of {{ $labels.deployment_name }} cannot read the ledger: roles are those of the last good reading.",
            LEDGER_ABSENT,
            5 * MINUTE,
        ),
        Alert(
            LEDGER_ABSENT,
            "absent(belisha_ledger_readable)",
            "critical",
            "belisha-loop",
            "Nothing is known of the ledger.",
            "No exporter of the ledger is scraped: who is champion is unknown, and every comparison by role is blind.",
            "",
            10 * MINUTE,
        ),
    ]
