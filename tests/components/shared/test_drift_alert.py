from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from belisha.components.shared.drift_alert import (
    DriftAlert,
    DriftedFeature,
    DriftedStratum,
    alert_of,
    cause_id_of,
    drift_alerts,
)
from belisha.components.shared.errors import ContractError
from belisha.components.shared.ledger import Action, Draft, Ledger, LedgerState, Record
from belisha.components.shared.storage import open_store

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def some_alert(**changes: object) -> DriftAlert:
    stratum = DriftedStratum("north", "day", NOON - timedelta(hours=2), NOON, 300)
    feature = DriftedFeature("north/day", "brightness", 31.0, 4.2, 0.97, 0.5, 0.1)
    alert = DriftAlert(
        deployment_name="belisha",
        model_version="v1",
        reference_digest="a" * 64,
        begin=NOON - timedelta(hours=2),
        end=NOON,
        cooldown_until=NOON + timedelta(hours=6),
        flagged_windows=2,
        windows=3,
        repeated=1,
        strata=(stratum,),
        features=(feature,),
        sentence="brightness fell",
        report_uri="file:///somewhere",
    )
    return replace(alert, **changes)


def test_an_alert_survives_the_ledger(tmp_path):
    alert = some_alert()
    ledger = Ledger(open_store(str(tmp_path)))
    ledger.append(lambda _, state: alert.draft(state, "e" * 64))
    (record, found), *more = drift_alerts(Ledger(open_store(str(tmp_path))).records())
    assert found == alert
    assert not more
    assert record.draft.run_id == record.draft.details["cause_id"] == alert.cause_id
    assert record.state == LedgerState()


def test_only_the_alerts_of_the_deployment_asked_for_are_given():
    records = [
        Record(number, NOON, "somebody", some_alert(deployment_name=name).draft(LedgerState(), ""))
        for number, name in enumerate(("one", "other", "one"), start=1)
    ]
    assert [record.number for record, _ in drift_alerts(records, "one")] == [1, 3]
    assert len(list(drift_alerts(records))) == 3


@settings(deadline=None)
@given(st.text(), st.text(), st.datetimes(timezones=st.just(UTC)))
def test_a_cause_has_one_name_whatever_the_time_zone(deployment, digest, end):
    from datetime import timezone

    if end.year in (1, 9999):
        return
    elsewhere = end.astimezone(timezone(timedelta(hours=5)))
    assert cause_id_of(deployment, digest, end) == cause_id_of(deployment, digest, elsewhere)
    assert cause_id_of(deployment, digest, end) != cause_id_of(deployment, digest, end + timedelta(microseconds=1))


@pytest.mark.parametrize("spoil", ["schema", "cause_id", "strata", "end", "sentence"])
def test_a_damaged_record_is_refused_with_its_number(spoil):
    details = some_alert().to_details()
    del details[spoil]
    record = Record(7, NOON, "somebody", Draft(Action.DRIFT, "v1", "", LedgerState(), details=details))
    with pytest.raises(ContractError, match="record 7"):
        alert_of(record)


def test_details_are_plain_json():
    details = some_alert().to_details()
    assert json.loads(json.dumps(details)) == details
