"""Makes an alert of a check and records it in the ledger: once a cause, and not again while the cooldown lasts."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from belisha.components.drift.check import DriftCheck
from belisha.components.drift.findings import StratumFinding
from belisha.components.shared.drift_alert import DriftAlert, DriftedFeature, DriftedStratum, drift_alerts
from belisha.components.shared.ledger import Draft, Ledger, LedgerState, Record

_FEATURES_A_STRATUM = 5
_STRATA = 20


class AlertState(enum.StrEnum):
    """What became of a check's finding."""

    NONE = "none"
    RECORDED = "recorded"
    KNOWN = "known"
    COOLDOWN = "cooldown"
    OUTDATED = "outdated"
    NOT_RECORDED = "not_recorded"


@dataclass(frozen=True, slots=True)
class AlertOutcome:
    """What became of it: the state, the alert that stands for it, its record's number (0 for none), and a sentence."""

    state: AlertState
    alert: DriftAlert | None = None
    record: int = 0
    sentence: str = ""


def alert_from(check: DriftCheck, report_uri: str = "") -> DriftAlert | None:
    """The alert that a check's finding amounts to; None when drift is not confirmed."""
    drifted = check.drifted[:_STRATA]
    if not drifted:
        return None
    worst = drifted[0]
    end = max(finding.windows[-1].end for finding in drifted)
    return DriftAlert(
        deployment_name=check.deployment_name,
        model_version=check.model_version,
        reference_digest=check.reference_digest,
        begin=min(window.begin for finding in drifted for window in finding.flagged_windows),
        end=end,
        cooldown_until=end + check.settings.cooldown_windows * _window_length(worst),
        flagged_windows=len(worst.flagged_windows),
        windows=sum(window.judged for window in worst.windows),
        repeated=1,
        strata=tuple(_stratum_of(finding) for finding in drifted),
        features=tuple(feature for finding in drifted for feature in _features_of(finding)),
        sentence=check.sentence,
        report_uri=report_uri,
    )


def record_alert(ledger: Ledger, alert: DriftAlert, evidence_digest: str) -> AlertOutcome:
    """Write the alert unless it is known, in a cooldown, or about a model that is champion no more.

    Two checks that race for the same windows write one record: whoever loses the race decides again and finds it there.
    """
    outcome = AlertOutcome(AlertState.NONE)

    def decide(records: list[Record], state: LedgerState) -> Draft | None:
        nonlocal outcome
        outcome = _outcome(alert, records, state)
        return (
            outcome.alert.draft(state, evidence_digest)
            if outcome.state is AlertState.RECORDED and outcome.alert
            else None
        )

    record = ledger.append(decide)
    return replace(outcome, record=record.number) if record else outcome


def foreseen(ledger: Ledger, alert: DriftAlert) -> AlertOutcome:
    """What `record_alert` would do now; nothing is written."""
    return _outcome(alert, ledger.records(), ledger.state())


def _outcome(alert: DriftAlert, records: Sequence[Record], state: LedgerState) -> AlertOutcome:
    if state.champion != alert.model_version:
        sentence = f"{alert.model_version} is champion no more ({state.champion or 'nobody'} is): no alert was recorded"
        return AlertOutcome(AlertState.OUTDATED, alert, sentence=sentence)
    before = [
        (record, known)
        for record, known in drift_alerts(records, alert.deployment_name)
        if known.reference_digest == alert.reference_digest
    ]
    for record, known in reversed(before):
        if known.cause_id == alert.cause_id:
            sentence = f"this alert is record {record.number} already"
            return AlertOutcome(AlertState.KNOWN, known, record.number, sentence)
        if alert.end < known.cooldown_until:
            until = f"{known.cooldown_until:%Y-%m-%d %H:%M:%S} UTC"
            sentence = f"no new alert: that of record {record.number} has its cooldown until {until}"
            return AlertOutcome(AlertState.COOLDOWN, known, record.number, sentence)
    repeated = _repeated(alert, before[-1][1]) if before else 1
    again = f" (still there after {repeated - 1} cooldowns)" if repeated > 1 else ""
    alert = replace(alert, repeated=repeated, sentence=f"{alert.sentence}{again}")
    return AlertOutcome(AlertState.RECORDED, alert, sentence=f"alert {alert.cause_id} was recorded")


def _repeated(alert: DriftAlert, last: DriftAlert) -> int:
    """How often in a row, this one counted: it follows the last when it comes within one more cooldown of it."""
    cooldown = last.cooldown_until - last.end
    return last.repeated + 1 if alert.begin <= last.cooldown_until + cooldown else 1


def _window_length(finding: StratumFinding) -> timedelta:
    lengths = [window.end - window.begin for window in finding.windows if window.judged]
    return sum(lengths, timedelta()) / len(lengths)


def _stratum_of(finding: StratumFinding) -> DriftedStratum:
    flagged, stratum = finding.flagged_windows, finding.stratum
    return DriftedStratum(
        stratum.camera, stratum.daylight, flagged[0].begin, flagged[-1].end, finding.windows[-1].pictures
    )


def _features_of(finding: StratumFinding) -> list[DriftedFeature]:
    window = finding.flagged_windows[-1]
    return [
        DriftedFeature(
            stratum=finding.stratum.name,
            feature=feature.feature,
            score=feature.score,
            bound=window.bound,
            effect_ratio=feature.effect_ratio,
            reference_median=feature.reference_median,
            current_median=feature.current_median,
        )
        for feature in window.flagged_features[:_FEATURES_A_STRATUM]
    ]
