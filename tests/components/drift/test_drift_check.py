"""From a request log to a verdict and a record of the ledger, on real stores."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from belisha.components.drift.alerting import AlertState
from belisha.components.drift.drift_file import read_drift
from belisha.components.drift.findings import DriftVerdict
from belisha.components.drift.settings import DriftSettings, Mode
from belisha.components.drift.step import CheckRequest, freeze_reference, run_check
from belisha.components.release.release import release
from belisha.components.shared.drift_alert import drift_alerts
from belisha.components.shared.drift_features import features_of
from belisha.components.shared.drift_reference import Reference, Source, encode_reference
from belisha.components.shared.errors import ContractError, DigestError, InputError, NoDataError
from belisha.components.shared.files import write_json
from belisha.components.shared.ledger import Draft
from belisha.components.shared.model_artifact import read_model_info, write_model_info
from belisha.components.shared.progress import silent
from belisha.components.shared.registry import open_registry
from belisha.components.shared.storage import open_store
from tests.components.drift.drift_log import NOON, end_of, log_table, write_log
from tests.release_folders import write_folders
from tests.serving_world import make_world

SMALL = DriftSettings(window_pictures=100, min_window_pictures=50, min_reference_pictures=600)
REFERENCE_ROWS = 1000


@pytest.fixture
def storage(tmp_path: Path) -> str:
    """A champion v1 and a reference frozen from a thousand of its answers before noon."""
    make_world(tmp_path, models=1, pictures=1)
    uri = str(tmp_path / "storage")
    table = log_table(REFERENCE_ROWS, seed=1, begin=NOON - timedelta(hours=2))
    write_log(open_store(uri), table)
    freeze_reference(uri, "", 1.0, silent, min_pictures=600, until=end_of(table))
    return uri


def add_log(storage: str, **changes: object) -> pa.Table:
    table = log_table(**{"rows": 300, "seed": 2, **changes})
    write_log(open_store(storage), table, writer="host-2")
    return table


def check(storage: str, until: pa.Table, **changes: object):
    request = CheckRequest(storage, until=end_of(until), settings=SMALL)
    return run_check(replace(request, **changes), silent)


def alerts(storage: str):
    return list(drift_alerts(open_registry(storage).ledger.records()))


def test_unchanged_pictures_are_no_drift(storage: str) -> None:
    outcome = check(storage, add_log(storage))
    assert outcome.check.verdict is DriftVerdict.NO_DRIFT
    assert [window.pictures for window in outcome.check.strata[0].windows] == [100, 100, 100]
    assert outcome.alert.state is AlertState.NONE
    assert not alerts(storage)


def test_dark_pictures_are_drift_with_the_feature_named_and_recorded_once(storage: str) -> None:
    until = add_log(storage, shift={"brightness": -4.0})
    first, second = check(storage, until), check(storage, until)

    assert first.check.verdict is second.check.verdict is DriftVerdict.DRIFT
    assert "brightness fell from 0.497 to 0.304" in first.check.sentence
    assert (first.alert.state, second.alert.state) == (AlertState.RECORDED, AlertState.KNOWN)
    ((record, alert),) = alerts(storage)
    assert record.number == first.alert.record == second.alert.record
    assert record.draft.evidence_digest == first.drift["digest"] == second.drift["digest"]
    assert alert.features[0].feature == "brightness"
    assert alert.strata[0].name == "north/any"
    assert (alert.flagged_windows, alert.windows, alert.repeated) == (3, 3, 1)
    folder = Path(alert.report_uri.removeprefix("file://"))
    assert read_drift(folder / "drift.json") == first.drift
    page = (folder / "report.html").read_text()
    assert "brightness fell" in page
    assert "<script" not in page


def test_racing_checks_write_one_record(storage: str) -> None:
    until = add_log(storage, shift={"noise": 5.0})
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda _: check(storage, until), range(4)))
    assert len(alerts(storage)) == 1
    assert sorted(outcome.alert.state for outcome in outcomes).count(AlertState.RECORDED) == 1


def test_one_changed_window_of_three_is_not_enough(storage: str) -> None:
    add_log(storage, rows=200)
    until = add_log(storage, rows=100, seed=3, begin=NOON + timedelta(seconds=200), shift={"contrast": 5.0})
    outcome = check(storage, until)
    assert outcome.check.verdict is DriftVerdict.NO_DRIFT
    assert [window.flagged for window in outcome.check.strata[0].windows] == [False, False, True]
    assert "2 of 3 are needed" in outcome.check.sentence


def test_too_few_pictures_are_insufficient_and_never_no_drift(storage: str) -> None:
    until = add_log(storage, rows=30, begin=NOON + timedelta(days=10))
    outcome = check(storage, until)
    assert outcome.check.verdict is DriftVerdict.INSUFFICIENT
    assert outcome.check.verdict.exit_code == 3
    assert "30 pictures of at least 50" in outcome.check.sentence


def test_no_pictures_at_all_are_insufficient(storage: str) -> None:
    outcome = run_check(CheckRequest(storage, until=NOON + timedelta(days=30), settings=SMALL), silent)
    assert outcome.check.verdict is DriftVerdict.INSUFFICIENT
    assert "no pictures" in outcome.check.sentence


def test_a_small_reference_is_insufficient(storage: str) -> None:
    outcome = check(
        storage, add_log(storage, shift={"brightness": -9.0}), settings=replace(SMALL, min_reference_pictures=2000)
    )
    assert outcome.check.verdict is DriftVerdict.INSUFFICIENT
    assert "1000 pictures of at least 2000" in outcome.check.sentence


def test_a_camera_that_the_reference_does_not_know_is_not_judged(storage: str) -> None:
    add_log(storage, rows=300)
    until = add_log(storage, rows=300, seed=4, cameras=("elsewhere",), shift={"brightness": -9.0})
    outcome = check(storage, until)
    assert outcome.check.verdict is DriftVerdict.INSUFFICIENT
    assert "elsewhere" in outcome.check.sentence


def test_a_stray_picture_of_an_unknown_camera_changes_nothing(storage: str) -> None:
    add_log(storage, rows=300)
    until = add_log(storage, rows=10, seed=4, begin=NOON + timedelta(seconds=301), cameras=("elsewhere",))
    assert check(storage, until).check.verdict is DriftVerdict.NO_DRIFT


def test_answers_of_other_models_do_not_count(storage: str) -> None:
    add_log(storage, rows=300)
    until = add_log(storage, rows=300, seed=5, begin=NOON + timedelta(seconds=300), version="v2", shift={"noise": 9.0})
    assert check(storage, until).check.verdict is DriftVerdict.NO_DRIFT


def test_after_the_cooldown_the_same_drift_counts_as_repeated(storage: str) -> None:
    first = check(storage, add_log(storage, shift={"brightness": -4.0}))
    soon = add_log(storage, seed=6, begin=NOON + timedelta(seconds=300), shift={"brightness": -4.0})
    during = check(storage, soon)
    later = add_log(storage, rows=600, seed=7, begin=NOON + timedelta(seconds=600), shift={"brightness": -4.0})
    after = check(storage, later)

    assert during.check.verdict is DriftVerdict.DRIFT
    assert during.alert.state is AlertState.COOLDOWN
    assert during.alert.record == first.alert.record
    assert after.alert.state is AlertState.RECORDED
    assert [alert.repeated for _, alert in alerts(storage)] == [1, 2]
    assert len({alert.cause_id for _, alert in alerts(storage)}) == 2


def test_a_check_that_was_overtaken_by_a_promotion_records_nothing(storage: str) -> None:
    until = add_log(storage, shift={"brightness": -4.0})
    from belisha.components.drift import step

    request = CheckRequest(storage, until=end_of(until), settings=SMALL)
    found, evidence, registry = step._checked(request, silent, lambda: end_of(until))
    registry.ledger.append(
        lambda records, state: Draft(records[-1].draft.action, "v9", "", replace(state, champion="v9"))
    )
    from belisha.components.drift.drift_file import drift_to_json

    outcome = step._recorded(request, found, evidence, drift_to_json(found), registry)
    assert outcome.state is AlertState.OUTDATED
    assert not alerts(storage)


def test_the_ledger_can_be_left_alone(storage: str) -> None:
    outcome = check(storage, add_log(storage, shift={"brightness": -4.0}), record=False)
    assert outcome.alert.state is AlertState.NOT_RECORDED
    assert not alerts(storage)


def test_textbook_mode_flags_too_and_says_p_values(storage: str) -> None:
    settings = replace(SMALL, mode=Mode.TEXTBOOK)
    clean = check(storage, add_log(storage), settings=settings, record=False)
    until = add_log(storage, seed=8, begin=NOON + timedelta(seconds=300), shift={"entropy_bits": 3.0})
    shifted = check(storage, until, settings=settings)
    assert clean.check.verdict is DriftVerdict.NO_DRIFT
    assert shifted.check.verdict is DriftVerdict.DRIFT
    assert shifted.check.strata[0].windows[-1].features[0].p_value < 1e-10


def test_embeddings_are_compared_where_both_sides_have_them(tmp_path: Path) -> None:
    make_world(tmp_path, models=1, pictures=1)
    storage = str(tmp_path / "storage")
    table = log_table(REFERENCE_ROWS, seed=1, begin=NOON - timedelta(hours=2), embedding=32)
    write_log(open_store(storage), table)
    freeze_reference(storage, "", 1.0, silent, min_pictures=600, until=end_of(table))
    clean = check(storage, add_log(storage, embedding=32), record=False)
    moved = add_log(storage, seed=3, begin=NOON + timedelta(seconds=300), embedding=32, shift={"embedding": 1.0})
    assert clean.check.verdict is DriftVerdict.NO_DRIFT
    outcome = check(storage, moved, record=False)
    assert outcome.check.verdict is DriftVerdict.DRIFT
    assert outcome.check.strata[0].windows[-1].features[0].feature == "embedding"
    without = add_log(storage, seed=4, begin=NOON + timedelta(seconds=600))
    assert len(check(storage, without).check.strata[0].windows[-1].features) == 15


def test_only_the_hours_that_are_needed_are_read(storage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    until = add_log(storage)
    broken = open_store(storage)
    broken.write("requests/date=2026-05-01/hour=09/x.parquet", b"this is no Parquet file")
    assert check(storage, until).check.verdict is DriftVerdict.NO_DRIFT
    with pytest.raises(ContractError, match="damaged shard"):
        check(storage, until, settings=replace(SMALL, windows=30, flagged_windows=2))


def test_without_a_champion_or_a_reference_it_says_what_to_do(tmp_path: Path) -> None:
    open_registry(str(tmp_path / "empty")).ledger.records()
    with pytest.raises(InputError, match="nobody is champion"):
        run_check(CheckRequest(str(tmp_path / "empty")), silent)
    make_world(tmp_path, models=1, pictures=1)
    with pytest.raises(InputError, match="belisha drift reference --from-log"):
        run_check(CheckRequest(str(tmp_path / "storage")), silent)


def test_without_a_frozen_reference_that_of_the_training_counts_until_one_is_frozen(tmp_path: Path) -> None:
    folders = write_folders(tmp_path / "made")
    rows = features_of(log_table(700, seed=1, begin=NOON - timedelta(hours=2), cameras=("of the training",)))
    path = folders.model / "reference/reference.parquet"
    path.parent.mkdir()
    path.write_bytes(encode_reference(Reference(Source.TRAINING, 0.0, rows)))
    digest = write_model_info(folders.model, replace(read_model_info(folders.model), files={})).digest
    for file in (folders.decision / "decision.json", folders.evaluation / "metrics.json"):
        write_json(file, {**json.loads(file.read_text()), "model_digest": digest})
    storage = str(tmp_path / "storage")
    release(folders.model, folders.evaluation, folders.decision, storage, "run-1")

    trained = check(storage, add_log(storage), record=False)
    assert (trained.check.reference_source, trained.check.verdict) == ("training", DriftVerdict.NO_DRIFT)
    assert trained.check.strata[0].stratum.name == "any/any"
    dark = add_log(storage, seed=3, begin=NOON + timedelta(seconds=300), shift={"brightness": -4.0})
    assert check(storage, dark, record=False).check.verdict is DriftVerdict.DRIFT
    frozen = freeze_reference(storage, "", 1.0, silent, min_pictures=600, gap_seconds=0, until=end_of(dark))
    again = check(storage, dark, record=False, reference_dir=None)
    assert again.check.reference_digest == frozen.reference.digest != trained.check.reference_digest


def test_too_short_a_log_freezes_nothing(storage: str) -> None:
    with pytest.raises(NoDataError, match="fewer than 5000"):
        freeze_reference(storage, "", 1.0, silent, min_pictures=5000, until=NOON)


def test_a_changed_drift_file_is_refused(storage: str, tmp_path: Path) -> None:
    check(storage, add_log(storage), out_dir=tmp_path / "out")
    path = tmp_path / "out/drift.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "verdict": "drift"}))
    with pytest.raises(DigestError):
        read_drift(path)


def test_metrics_say_what_was_found(storage: str) -> None:
    from belisha.components.drift.telling import metrics_of

    outcome = check(storage, add_log(storage, shift={"brightness": -4.0}))
    text = metrics_of(outcome.check, NOON).exposition().decode()
    assert 'belisha_drift_verdict{verdict="drift"} 1.0' in text
    assert "belisha_drift_alert 1.0" in text
    assert 'belisha_drift_window_pictures{stratum="north/any"} 100.0' in text
    assert 'belisha_drift_feature_median{feature="brightness",stratum="north/any",window="current"} 0.3' in text


def test_a_check_that_died_before_the_record_is_made_good_by_the_next(
    storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from belisha.components.drift import step

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    until = add_log(storage, shift={"brightness": -4.0})
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(step, "record_alert", die)
        check(storage, until)
    assert not alerts(storage)
    assert check(storage, until).alert.state is AlertState.RECORDED
    assert len(alerts(storage)) == 1


def test_a_cameras_name_is_no_html(tmp_path: Path) -> None:
    camera = "<script>alert(1)</script>/../any"
    make_world(tmp_path, models=1, pictures=1)
    storage = str(tmp_path / "storage")
    table = log_table(REFERENCE_ROWS, seed=1, begin=NOON - timedelta(hours=2), cameras=(camera,))
    write_log(open_store(storage), table)
    freeze_reference(storage, "", 1.0, silent, min_pictures=600, until=end_of(table))
    until = add_log(storage, cameras=(camera,), shift={"brightness": -4.0})
    outcome = check(storage, until, report_file=tmp_path / "report.html")
    assert outcome.alert.state is AlertState.RECORDED
    assert "<script" not in (tmp_path / "report.html").read_text()
    assert alerts(storage)[0][1].strata[0].camera == camera


def test_the_log_may_lie_in_a_store_of_its_own_that_several_readers_ask(storage: str) -> None:
    table = log_table(rows=300, seed=2, shift={"brightness": -4.0})
    write_log(open_store("memory://drift-log"), table, shard_rows=20)
    elsewhere = check(storage, table, log_uri="memory://drift-log", record=False)
    write_log(open_store(storage), table, writer="host-2")
    assert elsewhere.drift["strata"] == check(storage, table).drift["strata"]
    assert elsewhere.check.verdict is DriftVerdict.DRIFT


def test_a_dark_noon_is_drift_and_a_dark_midnight_is_not(storage: str) -> None:
    """Five days of a camera that sees the sun; then half a day like any other, and one whose noon is as dark as a night."""
    rows, begin = 5 * 2880, NOON - timedelta(days=6, hours=12)
    night = log_table(rows + 2 * 2880, seed=9, begin=begin, step_seconds=30.0)
    hours = np.array([time.hour for time in night["time"].to_pylist()])
    place = night.column_names.index("brightness")
    at_day = (hours >= 6) & (hours < 21)
    dark = (night["brightness"].to_numpy() - np.float32(0.35)).astype(np.float32)

    def sky(bright: np.ndarray) -> pa.Table:
        values = np.where(bright, night["brightness"].to_numpy(), dark).astype(np.float32)
        return night.set_column(place, night.field(place), pa.array(values))

    store = open_store("memory://dark-noon")
    write_log(store, sky(at_day))
    freeze_reference(storage, "memory://dark-noon", 5.0, silent, until=begin + timedelta(days=5), gap_seconds=30.0)
    settings = replace(SMALL, window_pictures=300, min_reference_pictures=3000)
    until = night.slice(0, rows + 2880 + 1440)
    usual = check(storage, until, log_uri="memory://dark-noon", settings=settings, record=False)
    assert {finding.stratum.name: finding.verdict.value for finding in usual.check.strata} == {
        "north/day": "no_drift", "north/night": "no_drift",
    }  # fmt: skip
    store = open_store("memory://dark-noon-2")
    write_log(store, sky(at_day & (np.arange(len(hours)) < rows + 2880)))
    eclipse = check(storage, night.slice(0, rows + 2880 + 2160), log_uri="memory://dark-noon-2", settings=settings)
    assert {finding.stratum.name: finding.verdict.value for finding in eclipse.check.strata} == {
        "north/day": "drift", "north/night": "no_drift",
    }  # fmt: skip
    assert eclipse.alert.alert is not None
    assert [(one.camera, one.daylight) for one in eclipse.alert.alert.strata] == [("north", "day")]
