"""Worlds that differ from the healthy one, by the alert that they try, with what fires in each: that and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.monitoring.promtool import (
    MINUTES,
    Fired,
    Series,
    counted,
    growing,
    healthy,
    model,
    role,
    series,
    steady,
)

V1, V2 = {"model_version": "v1"}, {"model_version": "v2"}
CHAMPION, CHALLENGER = {**V1, "role": "champion"}, {**V2, "role": "challenger"}


@dataclass(frozen=True)
class Case:
    """A world that differs from the healthy one, when to look at it, and what fires then: exactly these."""

    what: str
    changed: Mapping[str, str]
    fires: Sequence[Fired] = ()
    at: str = "45m"
    without: str = ""

    @property
    def world(self) -> Series:
        kept = {name: values for name, values in healthy().items() if not (self.without and self.without in name)}
        return {**kept, **self.changed}


def burn(window: str, severity: str, ratio: str, short: str, bound: str, factor: str) -> Fired:
    text = (
        f"{ratio} of the requests to champion v1 of crossing failed in the last {window}, and more than {bound} in the last "
        f"{short}, too: {factor} times what the objective allows."
    )
    return Fired("BelishaChampionErrorBudgetBurn", severity, text, {**CHAMPION, "window": window})


def slow(window: str, severity: str, ratio: str, short: str, bound: str, factor: str) -> Fired:
    text = (
        f"{ratio} of the requests to champion v1 of crossing took longer than 0.5 s in the last {window}, and more than "
        f"{bound} in the last {short}, too: {factor} times what the objective allows."
    )
    return Fired("BelishaChampionLatencyBudgetBurn", severity, text, {**CHAMPION, "window": window})


FAST, SLOWER, DAY = (
    ("1h", "critical", "20%", "5m", "7.20%", "14.4"),
    ("6h", "critical", "20%", "30m", "3.00%", "6"),
    ("1d", "warning", "20%", "2h", "1.50%", "3"),
)
SLOW_FAST, SLOW_6H, SLOW_DAY = (
    ("1h", "critical", "30%", "5m", "14.40%", "14.4"),
    ("6h", "critical", "30%", "30m", "6.00%", "6"),
    ("1d", "warning", "30%", "2h", "3.00%", "3"),
)


def with_ratio(burnt: tuple[str, ...], ratio: str) -> Fired:
    return burn(*burnt[:2], ratio, *burnt[3:])


FAILS_MORE = Fired(
    "BelishaChallengerFailsMore",
    "warning",
    "The challenger's share of failed requests of crossing is 10% points above the champion's over 30m, which is no chance.",
)
SLOWER_P95 = Fired(
    "BelishaChallengerSlower",
    "warning",
    "The 95th percentile of challenger v2 of crossing is 0.500 s, more than 1.5 times the champion's and 0.05 s above it.",
    V2,
)
LOSING = Fired(
    "BelishaChallengerLosing",
    "warning",
    "The experiment on crossing ended with STOP: the challenger is to be withdrawn.",
)
NO_TRAFFIC = Fired("BelishaNoTraffic", "warning", "crossing has had no request for a quarter of an hour.")
TRAFFIC_ABSENT = Fired(
    "BelishaTrafficSeriesAbsent",
    "critical",
    "The ledger of crossing has a champion, but no series counts its requests: budgets, split and comparison are blind.",
)
DIFFERS = Fired(
    "BelishaModelDiffersFromLedger",
    "warning",
    "A predictor has v3 of crossing ready, which is neither champion nor challenger.",
    {"model_version": "v3"},
)
GOLDEN = Fired(
    "BelishaGoldenPictureMismatch",
    "critical",
    "A predictor refuses to serve v2 of crossing: its boxes on the golden pictures inside the model are others.",
    V2,
)
LOAD_FAILED = Fired(
    "BelishaModelLoadFailed", "critical", "A predictor cannot load v2 of crossing; its log says why.", V2
)
DROPPING = Fired(
    "BelishaRequestLogDropping",
    "warning",
    "10 rows of v1 of crossing were dropped in ten minutes: drift and experiment see less.",
    V1,
)
UNREADABLE = Fired(
    "BelishaLedgerUnreadable",
    "critical",
    "The exporter of crossing cannot read the ledger: roles are those of the last good reading.",
)
LEDGER_ABSENT = Fired(
    "BelishaLedgerSeriesAbsent",
    "critical",
    "No exporter of the ledger is scraped: who is champion is unknown, and every comparison by role is blind.",
)


def missing(version: str, name: str, severity: str) -> Fired:
    text = (
        f"The ledger says that {version} of crossing is {name}, but no predictor tells Prometheus that it has this model "
        "ready."
    )
    return Fired("BelishaPredictorAbsent", severity, text, {"model_version": version, "role": name})


def split_off(points: str) -> Fired:
    text = f"The share of v2 of crossing misses the one asked for by {points} points over 10m, which is no chance."
    return Fired("BelishaTrafficSplitOff", "warning", text, CHALLENGER)


def dropped(values: str) -> Series:
    of = 'predictor_name="p-v1", model_version="v1", reason="queue_full"'
    return {series("belisha_request_log_dropped_total", of): values}


def shares(challenger: float) -> Series:
    """The mesh gives the challenger another share than the fifth that is asked for."""
    return {**counted("v1", 600 * (1 - challenger)), **counted("v2", 600 * challenger)}


# Judged after an hour by all rules.
BUDGETS = {
    "": [
        Case("healthy", {}),
    ],
    "BelishaChampionErrorBudgetBurn": [
        Case("errors of the champion", counted("v1", 480, failed_ratio=0.2), [burn(*FAST), burn(*SLOWER), burn(*DAY)]),
        Case("errors below every budget", counted("v1", 480, failed_ratio=0.0045)),
        Case(
            "errors just above what six hours allow",
            counted("v1", 480, failed_ratio=0.031),
            [with_ratio(SLOWER, "3.1%"), with_ratio(DAY, "3.1%")],
        ),
        Case("errors for two minutes less one", counted("v1", 480, failed_ratio=0.2), at="2m"),
        Case("four errors of twenty requests", {**counted("v1", 0.1, failed_ratio=0.2), **counted("v2", 0.025)}),
    ],
    "BelishaChampionLatencyBudgetBurn": [
        Case(
            "slow answers of the champion",
            {**counted("v1", 480, slow_ratio=0.3), **counted("v2", 120, slow_ratio=0.3)},
            [slow(*SLOW_FAST), slow(*SLOW_6H), slow(*SLOW_DAY)],
        ),
        Case(
            "slow answers within the objective",
            {**counted("v1", 480, slow_ratio=0.009), **counted("v2", 120, slow_ratio=0.009)},
        ),
        Case("slow answers for a minute", counted("v1", 480, slow_ratio=0.3), at="2m"),
    ],
}
SERVING = {
    "BelishaChallengerFailsMore": [
        Case("the challenger fails", counted("v2", 120, failed_ratio=0.1), [FAILS_MORE]),
        Case("both fail alike", {**counted("v1", 480, failed_ratio=0.004), **counted("v2", 120, failed_ratio=0.004)}),
        Case("the challenger fails a point more", counted("v2", 120, failed_ratio=0.0099)),
    ],
    "BelishaChallengerSlower": [
        Case("the challenger is slow", counted("v2", 120, slow_ratio=0.1), [SLOWER_P95]),
        Case("both are slow alike", {**counted("v1", 480, slow_ratio=0.008), **counted("v2", 120, slow_ratio=0.008)}),
        Case("the challenger has been slow for ten minutes less one", counted("v2", 120, slow_ratio=0.1), at="10m"),
    ],
    "BelishaChallengerLosing": [
        Case("the judge says STOP", {series("belisha_experiment_verdict", 'verdict="STOP"'): steady(1)}, [LOSING]),
        Case("the judge says PROMOTE", {series("belisha_experiment_verdict", 'verdict="PROMOTE"'): steady(1)}),
        Case(
            "the judge has just said STOP no more",
            {series("belisha_experiment_verdict", 'verdict="STOP"'): f"1x30 0x{MINUTES}"},
            at="31m",
        ),
    ],
    "BelishaTrafficSplitOff": [
        Case("the split is off", shares(0.3), [split_off("10%")]),
        Case("the challenger gets nothing", shares(0.0), [split_off("20%")]),
        Case("the split is off by what is allowed", shares(0.249)),
        Case("the split is off among few requests", {**counted("v1", 3), **counted("v2", 1.5)}),
        Case("the split was off for twenty minutes less one", shares(0.3), at="20m"),
    ],
    "BelishaNoTraffic": [
        Case("nobody asks", {**counted("v1", 0), **counted("v2", 0)}, [NO_TRAFFIC]),
        Case("one asks now and then", {**counted("v1", 0.3), **counted("v2", 0.1)}),
        Case("nobody has asked for a quarter of an hour less one", {**counted("v1", 0), **counted("v2", 0)}, at="15m"),
    ],
}
PRESENCE = {
    "BelishaPredictorAbsent": [
        Case(
            "the challenger's predictor is not ready", model("v2", "loading"), [missing("v2", "challenger", "warning")]
        ),
        Case(
            "the champion's predictor is gone",
            {},
            [missing("v1", "champion", "critical"), TRAFFIC_ABSENT, split_off("80%")],
            without='p-v1"',
        ),
        Case("the champion's predictor has been gone for five minutes less one", {}, at="4m", without='p-v1"'),
        Case(
            "a challenger on trial without traffic",
            role("v2", "challenger", 0.0) | role("v1", "champion", 1.0) | shares(0.0),
        ),
    ],
    "BelishaTrafficSeriesAbsent": [
        Case("nothing counts requests", {}, [TRAFFIC_ABSENT], without="seldon_"),
        Case("nothing has counted requests for ten minutes less one", {}, at="9m", without="seldon_"),
    ],
    "BelishaModelDiffersFromLedger": [
        Case("a version without a role serves", model("v3"), [DIFFERS]),
        Case("a version without a role is being loaded", model("v3", "loading")),
        Case("a withdrawn version is still there for a while", model("v3"), at="14m"),
    ],
    "BelishaGoldenPictureMismatch": [
        Case(
            "golden pictures differ", model("v2", "golden_mismatch"), [GOLDEN, missing("v2", "challenger", "warning")]
        ),
        Case("golden pictures agree", model("v2")),
        Case("golden pictures differ at once", model("v2", "golden_mismatch"), [GOLDEN], at="0m"),
    ],
    "BelishaModelLoadFailed": [
        Case("a model cannot be loaded", model("v2", "failed"), [LOAD_FAILED, missing("v2", "challenger", "warning")]),
        Case("a model is loaded", model("v2")),
        Case("a model cannot be loaded for a minute", model("v2", "failed"), at="1m"),
    ],
    "BelishaRequestLogDropping": [
        Case("rows are dropped", dropped(growing(1)), [DROPPING]),
        Case("rows were dropped long ago", dropped(f"0+1x20 20+0x{MINUTES}")),
        Case("rows are dropped for four minutes", dropped(growing(1)), at="5m"),
    ],
    "BelishaLedgerUnreadable": [
        Case("the ledger cannot be read", {series("belisha_ledger_readable"): steady(0)}, [UNREADABLE]),
        Case("the ledger was away", {series("belisha_ledger_readable"): f"0x10 1x{MINUTES}"}),
        Case("the ledger cannot be read for four minutes", {series("belisha_ledger_readable"): steady(0)}, at="4m"),
    ],
    "BelishaLedgerSeriesAbsent": [
        Case("no exporter", {}, [LEDGER_ABSENT], without="belisha_ledger"),
        Case("no exporter for nine minutes", {}, at="9m", without="belisha_ledger"),
    ],
}
